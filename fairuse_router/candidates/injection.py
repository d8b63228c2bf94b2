"""Injection: make an estimator of the user's hand group columns to its final step only.

Every candidate stays one ordinary estimator. The columns to add stand last in its input; each
non-final step of each Pipeline inside it is wrapped so that they pass by unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline

from fairuse_router import tables
from fairuse_router.candidates.fresh import fresh
from fairuse_router.candidates.percolumn import PER_COLUMN, pad


class _Wrapped(BaseEstimator):
    """A step that answers for the one it wraps: same parameters, same tags."""

    def __init__(self, transformer: Any, n_last: int) -> None:
        self.transformer = transformer
        self.n_last = n_last

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the wrapped transformer."""
        return self.transformer.get_params(deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the wrapped transformer."""
        self.transformer.set_params(**params)
        return self

    def __sklearn_clone__(self) -> Self:
        return type(self)(fresh(self.transformer), self.n_last)

    def __sklearn_tags__(self) -> Any:
        return self.transformer.__sklearn_tags__()

    def get_metadata_routing(self) -> Any:
        """What the wrapped transformer asks for, such as sample weights."""
        return self.transformer.get_metadata_routing()

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return f"{type(self).__name__}({self.transformer!r}, n_last={self.n_last})"


class KeepLast(TransformerMixin, _Wrapped):
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

    def fit(self, X: Any, y: Any = None, **params: Any) -> KeepLast:
        """Fit the transformer on all but the last columns."""
        self.transformer_ = fresh(self.transformer)
        self.transformer_.fit(self._split(X)[0], y, **params)
        return self

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit and transform; some transformers answer their training rows differently."""
        head, last, names = self._split(X)
        self.transformer_ = fresh(self.transformer)
        return tables.append_columns(
            self.transformer_.fit_transform(head, y, **params), last, names
        )

    def transform(self, X: Any) -> Any:
        """Transform all but the last columns, and put those on the right again."""
        head, last, names = self._split(X)
        return tables.append_columns(self.transformer_.transform(head), last, names)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "transformer_")

    def _split(self, X: Any) -> tuple[Any, NDArray[np.float64], list[str]]:
        """The transformer's input, the last columns as an array, and their names."""
        if hasattr(X, "nnz"):
            cut = X.shape[1] - self.n_last
            X = X.tocsc()
            return X[:, :cut].tocsr(), X[:, cut:].toarray(), []
        width = tables.shape(X)[1]
        cut = width - self.n_last
        names = tables.column_names(X)
        last = np.asarray(tables.take_columns(X, range(cut, width)), dtype=np.float64)
        # a step may turn an array into a dataframe, whose columns need names
        last_names = names[cut:] if names else [f"group{j}" for j in range(self.n_last)]
        return tables.take_columns(X, range(cut)), last, last_names


class ResampleAll(_Wrapped):
    """A sampler of training rows, as imbalanced-learn has them; it sees the last columns, too.

    Rows that it makes up between two others get the last columns of the nearer one.
    """

    def fit_resample(self, X: Any, y: Any, **params: Any) -> Any:
        """Resample rows and labels."""
        self.transformer_ = fresh(self.transformer)
        rows, y = self.transformer_.fit_resample(X, y, **params)
        if hasattr(rows, "nnz") or hasattr(self.transformer_, "sample_indices_"):
            return rows, y
        width = tables.shape(rows)[1]
        last = range(width - self.n_last, width)
        names = tables.column_names(rows)
        values = np.asarray(tables.take_columns(rows, last), dtype=np.float64).round()
        head = tables.take_columns(rows, range(width - self.n_last))
        return tables.append_columns(head, values, names[last.start :] if names else []), y


def inject(estimator: Any, n_last: int, names: Sequence[str] | None = None) -> Any:
    """Return a clone of `estimator` whose final steps are given `n_last` more columns.

    Parameters
    ----------
    estimator : estimator
        Any classifier or regressor, Pipeline or meta-estimator, unfitted.
    n_last : int
        Number of columns that will stand on the right of its input.
    names : sequence of str, default=None
        What they are called; None: ``group0`` and so on.

    Returns
    -------
    estimator
        With the same step names and the same nested parameters.

    Raises
    ------
    ValueError
        If a meta-estimator inside hands only some columns on to a Pipeline with several steps.
    """
    last = names or [f"group{j}" for j in range(n_last)]
    return _inject(fresh(estimator), tuple(last))


def estimator_params(estimator: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parameters of a meta-estimator that hold estimators which see its columns."""
    params = estimator.get_params(deep=False)
    for name, value in params.items():
        if name == "transformer":  # of the target, as in TransformedTargetRegressor
            continue
        if name == "final_estimator" and not params.get("passthrough", False):
            continue  # it sees predictions only
        if is_estimator(value) or (are_named(value) and any(is_estimator(v[1]) for v in value)):
            yield name, value


def are_named(value: Any) -> bool:
    """Whether a value is a list of names, each with something such as an estimator."""
    pairs = isinstance(value, (list, tuple)) and len(value) > 0
    return pairs and all(isinstance(v, tuple) and len(v) > 1 for v in value)


def is_estimator(value: Any) -> bool:
    """Whether a value is an estimator (and no class)."""
    return hasattr(value, "fit") and hasattr(value, "get_params") and not isinstance(value, type)


def _inject(estimator: Any, last: tuple[str, ...]) -> Any:
    if isinstance(estimator, Pipeline):
        *before, (name, final) = estimator.steps
        wrapped = [(s, _wrap(step, len(last))) for s, step in before]
        estimator.set_params(steps=[*wrapped, (name, _inject_value(final, last))])
        return estimator
    changes = {name: _inject_value(v, last) for name, v in estimator_params(estimator)}
    if _hands_on_some_columns(estimator) and any(map(_has_wrapped_steps, changes.values())):
        raise ValueError(
            f"estimator: {type(estimator).__name__} hands only some columns on, or reorders them, "
            "so the group columns cannot be told apart inside the Pipeline below it. Put the "
            f"preprocessing steps before {type(estimator).__name__}, or let it use all columns."
        )
    changes.update(through_grids(estimator, lambda e: _inject(e, last)))
    changes.update(pad(estimator, last))
    return estimator.set_params(**changes) if changes else estimator


def _inject_value(value: Any, last: tuple[str, ...]) -> Any:
    """Inject into an estimator or a list of named ones; leave everything else alone."""
    if is_estimator(value):
        return _inject(value, last)
    if isinstance(value, (list, tuple)):
        return [(name, _inject_value(v, last), *rest) for name, v, *rest in value]
    return value


def _wrap(step: Any, n_last: int) -> Any:
    if hasattr(step, "fit_resample"):
        return ResampleAll(step, n_last)
    return KeepLast(step, n_last) if is_estimator(step) else step


def _has_wrapped_steps(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_has_wrapped_steps(v) for _, v, *_ in value)
    params = value.get_params(deep=True).values() if is_estimator(value) else ()
    return any(isinstance(v, _Wrapped) for v in params)


def _hands_on_some_columns(estimator: Any) -> bool:
    params = estimator.get_params(deep=False)
    bags = "max_samples" in params and "bootstrap_features" in params
    selects = "n_features_to_select" in params or "min_features_to_select" in params
    chains = "chain_method" in params or ("base_estimator" in params and "order" in params)
    return (bags and params["max_features"] != 1.0) or selects or chains


def through_grids(estimator: Any, change: Callable[[Any], Any]) -> dict[str, Any]:
    """Parameter grids of a search, their values changed as the estimator that they are set on is.

    Parameters
    ----------
    estimator : estimator
        Any; one that is no search has no grids.
    change : callable
        Takes a clone of the searched estimator, with one value of the grid set, and returns it
        changed.

    Returns
    -------
    dict of str to object
        By parameter.
    """
    params = estimator.get_params(deep=False)
    return {
        name: _through_grid(params[name], estimator.estimator, change)
        for name in ("param_grid", "param_distributions")
        if name in params
    }


def _through_grid(grid: Any, searched: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(grid, (list, tuple)):
        return [_through_grid(part, searched, change) for part in grid]

    def changed(key: str, value: Any) -> Any:
        if not is_estimator(value) and key.rpartition("__")[2] not in (*PER_COLUMN, *_NAMED):
            return value
        return change(fresh(searched).set_params(**{key: value})).get_params()[key]

    listed = {
        key: isinstance(values, (list, tuple))
        or (isinstance(values, np.ndarray) and values.dtype == object)
        for key, values in grid.items()
    }
    return {
        key: [changed(key, value) for value in values] if listed[key] else values
        for key, values in grid.items()
    }


_NAMED = ("steps", "transformers", "transformer_list", "estimators")  # lists of named estimators
