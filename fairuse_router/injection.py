"""Injection: make an estimator of the user's hand group columns to its final step only.

Every candidate stays one ordinary estimator. The columns to add stand last in its input; each
non-final step of each Pipeline inside it is wrapped so that they pass by unchanged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone

from fairuse_router import frames


class KeepLast(TransformerMixin, BaseEstimator):
    """A transformer that sees all but the last columns, and passes those by unchanged.

    It answers for the transformer that it wraps: same parameters, same tags, so that parameter
    grids still address the user's step.

    Parameters
    ----------
    transformer : estimator
        The user's step.
    n_last : int
        Number of columns on the right that it must not see.
    """

    def __init__(self, transformer: Any, n_last: int) -> None:
        self.transformer = transformer
        self.n_last = n_last

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the wrapped transformer."""
        return self.transformer.get_params(deep=deep)

    def set_params(self, **params: Any) -> KeepLast:
        """Set parameters of the wrapped transformer."""
        self.transformer.set_params(**params)
        return self

    def __sklearn_clone__(self) -> KeepLast:
        return KeepLast(clone(self.transformer), self.n_last)

    def __sklearn_tags__(self) -> Any:
        return self.transformer.__sklearn_tags__()

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return f"KeepLast({self.transformer!r}, n_last={self.n_last})"

    def fit(self, X: Any, y: Any = None, **params: Any) -> KeepLast:
        """Fit the transformer on all but the last columns."""
        self.transformer_ = clone(self.transformer)
        self.transformer_.fit(self._split(X)[0], y, **params)
        return self

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit and transform; some transformers answer their training rows differently."""
        head, last, names = self._split(X)
        self.transformer_ = clone(self.transformer)
        return frames.append_columns(
            self.transformer_.fit_transform(head, y, **params), last, names
        )

    def transform(self, X: Any) -> Any:
        """Transform all but the last columns, and put those on the right again."""
        head, last, names = self._split(X)
        return frames.append_columns(self.transformer_.transform(head), last, names)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "transformer_")

    def _split(self, X: Any) -> tuple[Any, NDArray[np.float64], list[str]]:
        """The transformer's input, the last columns as an array, and their names."""
        if hasattr(X, "nnz"):
            cut = X.shape[1] - self.n_last
            X = X.tocsc()
            return X[:, :cut].tocsr(), X[:, cut:].toarray(), []
        width = frames.shape(X)[1]
        cut = width - self.n_last
        names = frames.column_names(X)
        last = np.asarray(frames.take_columns(X, range(cut, width)), dtype=np.float64)
        return frames.take_columns(X, range(cut)), last, names[cut:] if names else []
