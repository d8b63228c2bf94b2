"""Leakage: how well the features give away what a person withheld."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairuse_router import tables
from fairuse_router.audit.leaks import Leak, Leakage
from fairuse_router.audit.records import number
from fairuse_router.groups import GroupSchema
from fairuse_router.inference.auc import auc_parts, delong
from fairuse_router.levels import level_text

__all__ = ["leakage_of"]

_FOLDS, _FEWEST, _SHOWN = 5, 10, 5


def leakage_of(
    features: tables.Table,
    names: Sequence[str],
    schema: GroupSchema,
    codes: NDArray[np.int64],
    alpha: float,
    random_state: int = 0,
) -> Leakage:
    """Predict every attribute from the features, on rows that the predictor has not seen.

    The predictor is the mean of a logistic regression and of gradient boosting, so that neither a
    lack of rows nor of straight lines hides what is there.

    Parameters
    ----------
    features : table of n rows
        Without the group columns.
    names : sequence of str
        Of the features.
    schema : GroupSchema
    codes : ndarray of shape (n, k)
        Reports: 0 withholds, else 1 + the place of the level.
    alpha : float
    random_state : int, default=0

    Returns
    -------
    Leakage
    """
    X = as_numbers(features)
    leaks = [
        _leak(X, names, attribute, codes[:, j], alpha, random_state)
        for j, attribute in enumerate(schema.attributes)
    ]
    return Leakage(tuple(leaks), alpha)


def as_numbers(features: tables.Table) -> NDArray[np.float64]:
    """Features as numbers, categories by their order as texts; missing values stay missing."""
    columns = []
    for j in range(tables.shape(features)[1]):
        told = tables.column(features, j)
        values = np.empty(tables.shape(features)[0], dtype=object)
        if told.category_codes is None:
            values[:] = list(told.values)
        else:
            known = np.array([*(told.categories or ()), None], dtype=object)
            values[:] = known[told.category_codes]
        if tables.is_numeric(features, j):
            columns.append(np.array([np.nan if v is None else v for v in values], dtype=float))
            continue
        texts = np.array([level_text(v) or "" for v in values.tolist()])
        place = np.unique(texts, return_inverse=True)[1].astype(float)
        columns.append(np.where(texts == "", np.nan, place))
    return np.column_stack(columns)


def _leak(
    X: NDArray[np.float64],
    names: Sequence[str],
    attribute: str,
    codes: NDArray[np.int64],
    alpha: float,
    seed: int,
) -> Leak:
    known = np.flatnonzero(codes > 0)
    levels, counts = np.unique(codes[known], return_counts=True)
    levels = levels[counts >= _FEWEST]
    known = known[np.isin(codes[known], levels)]
    if len(levels) < 2:
        reason = f"fewer than two levels with {_FEWEST} rows each"
        return Leak(attribute, len(known), None, None, None, (), (), reason)
    X, y = X[known], np.searchsorted(levels, codes[known])
    proba = np.zeros((len(y), len(levels)))
    shuffled = np.zeros((X.shape[1], len(y), len(levels)))
    rng = np.random.default_rng(seed)
    for train, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(X, y):
        models = [model.fit(X[train], y[train]) for model in _predictors(seed)]
        proba[test] = np.mean([m.predict_proba(X[test]) for m in models], axis=0)
        for j in range(X.shape[1]):
            other = X[test].copy()
            other[:, j] = rng.permutation(other[:, j])
            shuffled[j, test] = np.mean([m.predict_proba(other) for m in models], axis=0)
    auc = _auc(y, proba)
    falls = [(str(name), auc - _auc(y, shuffled[j])) for j, name in enumerate(names)]
    falls.sort(key=lambda pair: -pair[1])
    low = high = None
    if len(levels) == 2:
        low, high = _interval(y, proba, alpha)
    most, by = zip(*falls[:_SHOWN], strict=True)
    return Leak(attribute, len(y), auc, low, high, most, by)


def _predictors(seed: int) -> list[Any]:
    linear = make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(max_iter=500)
    )
    return [linear, HistGradientBoostingClassifier(max_iter=60, random_state=seed)]


def _auc(y: NDArray[np.int64], proba: NDArray[np.float64]) -> float:
    """AUC of the second of two levels; of more, one against the rest, weighted by rows."""
    ids = np.zeros(len(y), dtype=np.int64)
    if proba.shape[1] == 2:
        return float(auc_parts(y, proba[:, 1], ids, 1).area[0])
    counts = np.bincount(y, minlength=proba.shape[1])
    areas = [
        auc_parts((y == k).astype(np.int64), proba[:, k], ids, 1).area[0]
        for k in range(proba.shape[1])
    ]
    return float(np.average(areas, weights=counts))


def _interval(
    y: NDArray[np.int64], proba: NDArray[np.float64], alpha: float
) -> tuple[float | None, float | None]:
    """DeLong's interval of one area: that of its difference from a constant score's one half."""
    ids = np.zeros(len(y), dtype=np.int64)
    flat, own = (auc_parts(y, p, ids, 1) for p in (np.zeros(len(y)), proba[:, 1]))
    test = delong(flat, own, ids, None, alpha)
    ends = [0.5 + float(np.ravel(part)[0]) for part in (test.low, test.high)]
    return number(max(ends[0], 0.0)), number(min(ends[1], 1.0))
