"""Risks that are means over rows, and what they refuse to read."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fairuse_router.metrics.metric import Metric, Predictions, RowLoss, Weight


def probabilities(name: str, y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Return the probabilities, having refused what would give a wrong number in silence.

    Raises ValueError, naming the metric that asks, if there are none, they hold NaN, or y (n,) is
    of another length or no index of their columns.

    Examples
    --------
    >>> probabilities("auc", np.array([1]), Predictions.from_proba([0.75]))
    array([[0.25, 0.75]])
    """
    _check_length(name, y, predictions)
    if predictions.proba is None:
        raise ValueError(
            f"metric={name!r} needs probabilities and these predictions have none. "
            "Use metric='error', or an estimator with predict_proba."
        )
    proba = _without_nan(name, predictions.proba, "rows have NaN probabilities")
    if len(y) and (y.min() < 0 or y.max() >= proba.shape[1]):
        raise ValueError(
            f"metric={name!r}: y runs from {y.min()} to {y.max()}; give class indices from 0 to "
            f"{proba.shape[1] - 1}, one per column of the probabilities."
        )
    return proba


def labels(name: str, y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Return the labels, having refused NaN."""
    _check_length(name, y, predictions)
    return _without_nan(name, predictions.label, "predictions are NaN")


def _without_nan(name: str, values: np.ndarray, found: str) -> np.ndarray:
    """Return labels (n,) or probabilities (n, K), having refused NaN."""
    if values.dtype.kind != "f" or not len(values) or not np.isnan(values.min()):
        return values
    missing = np.isnan(values).any(axis=tuple(range(1, values.ndim)))
    if missing.any():
        raise ValueError(
            f"metric={name!r}: {int(missing.sum())} of {len(values)} {found}. Leave these rows "
            "out, or find why the model returns NaN."
        )
    return values


def _check_length(name: str, y: np.ndarray, predictions: Predictions) -> None:
    """Refuse arrays that broadcasting would accept."""
    if y.shape != predictions.label.shape:
        raise ValueError(
            f"metric={name!r}: y has shape {y.shape} and the predictions "
            f"{predictions.label.shape}; give one label per row to both."
        )


def mean_risk(
    rows: RowLoss,
    among: Callable[[np.ndarray], np.ndarray] | None,
    y: np.ndarray,
    predictions: Predictions,
    weight: Weight,
) -> float:
    """Weighted mean of the losses of the rows that count; rows of weight zero do not exist."""
    loss = rows(y, predictions)
    if among is not None:
        counts = among(y)
        loss, weight = loss[counts], None if weight is None else weight[counts]
    if weight is None:
        return float(loss.mean()) if len(loss) else math.nan
    used = weight > 0
    if not used.any():
        return math.nan
    return float(np.average(loss[used], weights=weight[used]))


def row_metric(name: str, needs_proba: bool, rows: RowLoss, **more: Any) -> Metric:
    """A risk that is the mean of row losses."""
    return Metric(name, needs_proba, rows, partial(mean_risk, rows, more.get("among")), **more)
