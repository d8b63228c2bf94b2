"""The risks that are built in, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fairuse_router.metrics.metric import Metric, Predictions, RowLoss, Weight
from fairuse_router.metrics.own import read_callable

_ECE_EDGES = np.arange(1, 10) / 10


def get_metric(metric: str | Callable | Metric) -> Metric:
    """Return the `Metric` of a name, of a callable, or itself.

    Parameters
    ----------
    metric : str, callable or Metric
        A name in `METRICS`, or a risk of your own: see `fairuse_router.metrics.own`. One that is
        called as ``metric(y, predictions, weight)`` is given class indices of shape (n,), a
        `Predictions`, and an array of shape (n,) or None; one of ``(y_true, y_pred)`` labels. It
        returns one number, lower is better, nan if undefined. Functions and scorers of
        scikit-learn count as it says which way is better. Its name must not be a built-in's.

    Returns
    -------
    Metric

    Raises
    ------
    ValueError, TypeError
        If the name is unknown, or that of a built-in for another risk; if it is none of these.

    Examples
    --------
    >>> get_metric("brier").needs_proba
    True
    >>> def misses(y, predictions, weight):
    ...     return float(np.average((y == 1) & (predictions.label != 1), weights=weight))
    >>> get_metric(misses).name
    'misses'
    """
    if isinstance(metric, Metric):
        return _own_name(metric)
    if isinstance(metric, str):
        if metric in _BUILT_IN:
            return _BUILT_IN[metric]
        raise ValueError(
            f"metric={metric!r} is not known. Allowed: {', '.join(METRICS)}, or a callable "
            "metric(y, predictions, weight) that returns a risk (lower is better)."
        )
    if callable(metric):
        return _own_name(read_callable(metric))
    raise TypeError(
        f"metric must be a name, a callable or a Metric, got {type(metric).__name__}. "
        f"Allowed names: {', '.join(METRICS)}."
    )


def _own_name(metric: Metric) -> Metric:
    """Refuse a built-in's name for another risk: tests are chosen and numbers shown by the name."""
    built_in = _BUILT_IN.get(metric.name, metric)
    if _parts(metric) == _parts(built_in):
        return built_in
    raise ValueError(
        f"metric: a risk of your own is named {metric.name!r}, like the built-in metric. Pass "
        f"metric={metric.name!r} for that one, or rename yours (name= of a Metric, __name__ of a "
        f"callable) to other than {', '.join(METRICS)}."
    )


def _parts(metric: Metric) -> tuple[Any, ...]:
    """What makes a metric; copies of a built-in (`clone`, pickle) share its functions."""
    risk = metric.risk
    inner = (risk.func, risk.args) if isinstance(risk, partial) else (risk, ())
    return metric.rowwise, *inner


def row_losses(metric: str | Metric, y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Return the loss of each row.

    Parameters
    ----------
    metric : str or Metric
        A metric that is a mean over rows: error, log_loss, brier, squared_error, absolute_error.
    y : ndarray of shape (n,)
        Class indices, or the target of a regression.
    predictions : Predictions

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If the metric is no mean over rows, or the predictions hold NaN, lack probabilities that it
        needs, or do not fit y.

    Examples
    --------
    >>> row_losses("brier", np.array([0, 1]), Predictions.from_proba([0.5, 0.9])).round(2)
    array([0.25, 0.01])
    """
    metric = get_metric(metric)
    if metric.rowwise is None:
        raise ValueError(
            f"metric={metric.name!r} is no mean over rows, so rows have no loss of their own. "
            "Use one of error, log_loss, brier, squared_error, absolute_error here."
        )
    return metric.rowwise(y, predictions)


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


def _label(name: str, y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Return the labels, having refused NaN."""
    _check_length(name, y, predictions)
    return _without_nan(name, predictions.label, "predictions are NaN")


def _without_nan(name: str, values: np.ndarray, found: str) -> np.ndarray:
    """Return labels (n,) or probabilities (n, K), having refused NaN."""
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


def _error_rows(y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """0-1 loss."""
    return (_label("error", y, predictions) != y).astype(float)


def _log_loss_rows(y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """-log of the probability of the class that came true."""
    proba = probabilities("log_loss", y, predictions)
    with np.errstate(divide="ignore"):
        return -np.log(proba[np.arange(len(y)), y])


def _brier_rows(y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Squared distance to what came true, once for two classes (Brier 1950 counts it twice)."""
    proba = probabilities("brier", y, predictions)
    if proba.shape[1] == 2:
        return (proba[:, 1] - y) ** 2
    return np.einsum("ij,ij->i", proba, proba) - 2 * proba[np.arange(len(y)), y] + 1


def _squared_error_rows(y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Squared error of a regression."""
    return (_label("squared_error", y, predictions) - y) ** 2


def _absolute_error_rows(y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Absolute error of a regression."""
    return np.abs(_label("absolute_error", y, predictions) - y)


def _mean_risk(rows: RowLoss, y: np.ndarray, predictions: Predictions, weight: Weight) -> float:
    """Weighted mean of the row losses; rows of weight zero do not exist."""
    loss = rows(y, predictions)
    if weight is None:
        return float(loss.mean()) if len(loss) else math.nan
    used = weight > 0
    if not used.any():
        return math.nan
    return float(np.average(loss[used], weights=weight[used]))


def _auc_risk(y: np.ndarray, predictions: Predictions, weight: Weight) -> float:
    """1 - AUC, macro average of one-vs-rest for more than two classes."""
    proba = probabilities("auc", y, predictions)
    classes = [1] if proba.shape[1] == 2 else range(proba.shape[1])
    areas = [_area(y == k, proba[:, k], weight) for k in classes]
    return 1 - sum(areas) / len(areas)


def _area(positive: np.ndarray, score: np.ndarray, weight: Weight) -> float:
    """Probability that a positive row scores above a negative one, ties counting one half."""
    order = np.argsort(score)
    score, positive = score[order], positive[order]
    mass = np.ones(len(score)) if weight is None else weight[order].astype(float)
    new = np.flatnonzero(np.r_[True, score[1:] != score[:-1]]) if len(score) else np.array([], int)
    up = np.add.reduceat(mass * positive, new) if len(new) else np.zeros(0)
    down = np.add.reduceat(mass * ~positive, new) if len(new) else np.zeros(0)
    total = up.sum() * down.sum()
    if total <= 0:
        return math.nan
    return float(up @ (np.cumsum(down) - down / 2) / total)


def _ece_risk(y: np.ndarray, predictions: Predictions, weight: Weight) -> float:
    """Sum up calibration errors over ten equal-width bins (Guo et al. 2017), closed above."""
    confidence, hit = confidence_and_hit(y, predictions)
    excess = confidence - hit
    mass = float(len(y)) if weight is None else float(weight.sum())
    if mass <= 0:
        return math.nan
    bins = np.searchsorted(_ECE_EDGES, confidence, side="left")
    sums = np.bincount(bins, weights=excess if weight is None else excess * weight, minlength=10)
    return float(np.abs(sums).sum() / mass)


def confidence_and_hit(y: np.ndarray, predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return what calibration compares: a probability per row, and whether it came true, (n,) each.

    Two classes: the probability of the second. More: the largest, with the class it belongs to.

    Examples
    --------
    >>> confidence_and_hit(np.array([1, 0]), Predictions.from_proba([0.9, 0.4]))
    (array([0.9, 0.4]), array([ True, False]))
    """
    proba = probabilities("ece", y, predictions)
    if proba.shape[1] == 2:
        return proba[:, 1], y == 1
    return proba.max(axis=1), proba.argmax(axis=1) == y


def _row_metric(name: str, needs_proba: bool, rows: RowLoss, **more: Any) -> Metric:
    """A risk that is the mean of row losses."""
    return Metric(name, needs_proba, rows, partial(_mean_risk, rows), **more)


_BUILT_IN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _row_metric("error", False, _error_rows, style="percent"),
        _row_metric("log_loss", True, _log_loss_rows),
        _row_metric("brier", True, _brier_rows),
        Metric("auc", True, None, _auc_risk, "auc"),
        Metric("ece", True, None, _ece_risk, "percent"),
        _row_metric("squared_error", False, _squared_error_rows, regression=True),
        _row_metric("absolute_error", False, _absolute_error_rows, regression=True),
    )
}

METRICS: tuple[str, ...] = tuple(_BUILT_IN)


def named_metric(name: str) -> Metric:
    """Return a metric to show values by; one of a user's own, known by name only, shows numbers."""
    return _BUILT_IN.get(name) or Metric(name, False, None, lambda *_: math.nan)
