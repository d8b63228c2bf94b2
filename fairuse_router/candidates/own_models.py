"""Logistic regressions of groups' own, asked at once: rows are checked once, not group by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import validate_data

from fairuse_router import tables
from fairuse_router.candidates.corrected import has_log_odds
from fairuse_router.candidates.scores import answer

__all__ = ["own_answers"]


def own_answers(
    models: Sequence[Any],
    places: Sequence[NDArray[np.int64]],
    features: tables.Table,
    methods: Sequence[str],
    classes: NDArray[Any] | None,
) -> list[NDArray[Any]] | None:
    """Answer all rows, each by one of several logistic regressions of the same two classes.

    Parameters
    ----------
    models : sequence of fitted estimators
    places : sequence of ndarray of int
        Rows of each model.
    features : table of n rows
    methods : sequence of {"predict", "predict_proba", "decision_function"}
    classes : ndarray of shape (K,) or None

    Returns
    -------
    list of ndarray of shape (n,) or (n, 2), or None
        One for each method; None if the models are not of this kind, or not fitted to the same
        columns, and are to be asked one by one.
    """
    if classes is None or len(classes) != 2 or not _alike(models, classes):
        return None
    X = validate_data(models[0], features, accept_sparse="csr", reset=False)
    kind = np.result_type(X, *{model.coef_.dtype for model in models})
    margin = np.empty(X.shape[0], dtype=kind)
    for model, rows in zip(models, places, strict=True):
        margin[rows] = (X[rows] @ model.coef_.T + model.intercept_)[:, 0]
    told = answer(margin, False)
    found = {
        "predict": classes[told.label],
        "predict_proba": told.proba,
        "decision_function": margin,
    }
    return [found[method] for method in methods]


def _alike(models: Sequence[Any], classes: NDArray[Any]) -> bool:
    """Whether all are logistic regressions of these classes and the same columns."""
    if not all(type(m) is LogisticRegression and has_log_odds(m) for m in models):
        return False
    names = {id(n): n for n in (getattr(m, "feature_names_in_", None) for m in models)}
    columns = {None if n is None else tuple(n.tolist()) for n in names.values()}
    same = len(columns) == len({model.n_features_in_ for model in models}) == 1
    return same and all(np.array_equal(model.classes_, classes) for model in models)
