"""Misreports: what a candidate says of the same rows under the report of each group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import validate_data

from fairuse_router import tables
from fairuse_router.candidates.candidate import Candidate, Unusable, predict_rows
from fairuse_router.metrics import Predictions

_BY_MARGIN = (LogisticRegression.predict, RidgeClassifier.predict)  # a subclass may differ


def predict_as(
    candidate: Candidate,
    features: tables.Table,
    groups: NDArray[np.int64],
    classes: NDArray[Any] | None,
    proba: bool = True,
) -> Predictions:
    """What a candidate says about rows under the group given for each.

    Parameters
    ----------
    candidate : Candidate
    features : table of n rows
    groups : ndarray of shape (n,)
    classes : ndarray of shape (K,) or None
        None for a regression.
    proba : bool, default=True
        Whether probabilities are wanted, where the models have them.

    Returns
    -------
    Predictions

    Raises
    ------
    ValueError
        If it answers a row by NaN.
    """
    predictions = predict_rows(
        candidate.served, candidate.model_of_group, features, groups, classes, proba
    )
    lost = int(predictions.undefined.sum())
    if lost:
        raise Unusable(f"the model answers {lost} of {len(predictions)} rows by NaN")
    return predictions


def under_reports(
    candidate: Candidate,
    features: tables.Table,
    groups: NDArray[np.int64],
    own: Predictions,
    classes: NDArray[Any] | None,
    proba: bool,
) -> Callable[[int], Predictions]:
    """Return a function from a group to the predictions of all rows under its report.

    The group's own rows are not asked again. Where only labels are wanted of a linear final step,
    a report shifts the margin by a constant, so that the features are scored once for all reports;
    and linear models of the groups' own are all given the features that one of them has checked.

    Parameters
    ----------
    candidate, features, groups, classes, proba
        As for `predict_as`.
    own : Predictions
        Of the rows under the group of each.
    """
    offsets = None if proba or classes is None else _margin_offsets(candidate)
    if offsets is not None:
        return _shifted_labels(candidate, features, classes, offsets)
    if not proba and classes is not None and _are_linear(candidate):
        return _labels_of_own_models(candidate, features, groups, own, classes)

    def others(h: int) -> Predictions:
        rows = np.flatnonzero(groups != h)
        if not len(rows):
            return own
        part = tables.take_rows(features, rows)
        answer = predict_as(candidate, part, np.full(len(rows), h), classes, proba)
        label = own.label.copy()
        label[rows] = answer.label
        if answer.proba is None or own.proba is None:
            return Predictions(label)
        probabilities = own.proba.copy()
        probabilities[rows] = answer.proba
        return Predictions(label, probabilities)

    return others


def _shifted_labels(
    candidate: Candidate, features: tables.Table, classes: Any, offsets: NDArray[np.float64]
) -> Callable[[int], Predictions]:
    """Labels of a linear model: its margin under one report, plus what each report adds."""
    n = tables.shape(features)[0]
    model = candidate.models[0]
    first = candidate.evaluate(features, np.zeros(n, dtype=np.int64), "decision_function", None)
    base = first.reshape(n, -1) - offsets[0]
    index = np.searchsorted(classes, model.classes_)

    return lambda h: Predictions(index[_largest(base + offsets[h])])


def _labels_of_own_models(
    candidate: Candidate,
    features: tables.Table,
    groups: NDArray[np.int64],
    own: Predictions,
    classes: NDArray[Any],
) -> Callable[[int], Predictions]:
    """Labels of linear models, one for each group, from features that are checked once."""
    X = validate_data(candidate.models[0], features, accept_sparse="csr", reset=False)

    def labels(h: int) -> Predictions:
        model = candidate.models[candidate.model_of_group[h]]
        margin = X @ np.atleast_2d(model.coef_).T + model.intercept_
        index = np.searchsorted(classes, model.classes_)
        return Predictions(np.where(groups == h, own.label, index[_largest(margin)]))

    return labels


def _largest(margin: NDArray[np.float64]) -> NDArray[np.int64]:
    """Place of the class with the largest margin; one column is the margin of the second of two."""
    if margin.shape[1] > 1:
        return margin.argmax(axis=1)
    return (margin[:, 0] > 0).astype(np.int64)


def _are_linear(candidate: Candidate) -> bool:
    """Whether its models are several, linear, and told nothing but the features."""
    kinds = {type(model) for model in candidate.models}
    return (
        candidate.added is None
        and len(candidate.models) > 1
        and all(getattr(kind, "predict", None) in _BY_MARGIN for kind in kinds)
        and all(kind.decision_function is LogisticRegression.decision_function for kind in kinds)
    )


def _margin_offsets(candidate: Candidate) -> NDArray[np.float64] | None:
    """What each group adds to the margin of a linear model, shape (m, 1 or K); None if not so."""
    if candidate.added is None or candidate.positions is not None:
        return None
    final = candidate.models[0]
    while isinstance(final, Pipeline):
        final = final.steps[-1][1]
    if getattr(type(final), "predict", None) not in _BY_MARGIN:
        return None
    return candidate.added @ np.atleast_2d(final.coef_)[:, -candidate.added.shape[1] :].T
