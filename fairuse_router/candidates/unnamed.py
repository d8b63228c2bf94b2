"""Tables of numbers, read once: linear models get arrays, and are told the names afterwards.

scikit-learn looks at every column of a frame at each fit and each question, which takes longer than
a linear model of a small group does.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier

from fairuse_router import tables

# they read of a frame its numbers and its names, and nothing else; a subclass may
LINEAR = (LogisticRegression, LinearRegression, Ridge, RidgeClassifier)
_KINDS = {"float64", "float32", "int64", "int32"}
_SPARSE = 4  # times as many columns as cells of a row that are not zero, from where on it pays


@dataclass(frozen=True)
class Numbers:
    """A table of numbers as one array.

    Parameters
    ----------
    values : ndarray or sparse matrix of shape (n, d)
    names : ndarray of object, shape (d,), or None
        Names of the columns, of a frame.
    """

    values: Any
    names: NDArray[np.object_] | None

    @classmethod
    def of(cls, table: tables.Table, model: Any) -> Self | None:
        """Read an array or a frame of pandas for a linear model; None for others of either."""
        if type(model) not in LINEAR:
            return None
        if isinstance(table, np.ndarray):
            return cls(table, None) if str(table.dtype) in _KINDS else None
        if not hasattr(table, "iloc") or not {str(k) for k in set(table.dtypes)} <= _KINDS:
            return None
        names = np.asarray(table.columns, dtype=object)
        if not all(isinstance(name, str) for name in names.tolist()):
            return None
        return cls(table.to_numpy(), names)

    @classmethod
    def known_to(cls, table: tables.Table, model: Any) -> Self | None:
        """As `of`; None, too, if the model was fitted to other columns, which it will say."""
        read = cls.of(table, model)
        if read is None:
            return None
        known, own = (list(n) if n is not None else None for n in (_names(model), read.names))
        return read if known == own else None

    def take(self, rows: NDArray[Any]) -> Self:
        """Some of the rows."""
        return type(self)(self.values[rows], self.names)

    def fit(self, unfitted: Any, *args: Any, **params: Any) -> Any:
        """Fit a model as on the table."""
        model = unfitted.fit(self.values, *args, **params)
        if self.names is not None:
            model.feature_names_in_ = self.names
        return model


def _names(model: Any) -> NDArray[np.object_] | None:
    return getattr(model, "feature_names_in_", None)


def without_names(model: Any) -> Any:
    """Return a fitted model that answers arrays, and does not warn that they have no names."""
    if _names(model) is None:
        return model
    bare = copy.copy(model)
    del bare.feature_names_in_
    return bare


def with_dummies(
    estimator: Any,
    table: tables.Table,
    dummies: NDArray[np.float64],
    groups: NDArray[np.int64],
    names: Sequence[str],
) -> tables.Table | Numbers:
    """Append dummies for a fit; sparse where an estimator fits the same to it in less time.

    Parameters
    ----------
    estimator : estimator
    table : table of n rows
    dummies : ndarray of shape (m, k)
    groups : ndarray of int of shape (n,)
        Row of the dummies of each row.
    names : sequence of str
        Of the dummies.
    """
    filled, d = np.count_nonzero(dummies) / len(dummies), tables.shape(table)[1]
    wide = dummies.shape[1] + d > _SPARSE * (filled + d)
    read = Numbers.of(table, estimator)
    if read is None or not wide or getattr(estimator, "solver", "") != "lbfgs":
        return tables.append_columns(table, dummies[groups], names)
    kind = read.values.dtype if read.values.dtype.kind == "f" else np.dtype(float)
    own = sparse.csr_matrix(read.values, dtype=kind)
    added = sparse.csr_matrix(dummies, dtype=kind)[groups]
    known = read.names
    known = None if known is None else np.append(known, np.array(names, dtype=object))
    return Numbers(sparse.hstack([own, added], format="csr"), known)
