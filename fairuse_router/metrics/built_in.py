"""The risks that are built in, by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from fairuse_router.metrics.decisions import FORMS, decision_metric
from fairuse_router.metrics.metric import Metric, Predictions, Weight
from fairuse_router.metrics.own import read_callable
from fairuse_router.metrics.rowwise import labels, probabilities, row_metric
from fairuse_router.metrics.threshold import Cut

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
        return metric if isinstance(metric.risk, Cut) else _own_name(metric)
    if isinstance(metric, str):
        known = _find(metric) or _scorer_named(metric)
        if known is not None:
            return known
        raise ValueError(
            f"metric={metric!r} is not known. Allowed: {', '.join(METRICS)}, {_MORE}, a scorer of "
            "scikit-learn by its name, or a callable metric(y, predictions, weight) that returns a "
            "risk (lower is better)."
        )
    if callable(metric):
        return _own_name(read_callable(metric))
    raise TypeError(
        f"metric must be a name, a callable or a Metric, got {type(metric).__name__}. "
        f"Allowed names: {', '.join(METRICS)}."
    )


_SAME = {  # scorers that are built-in metrics
    "accuracy": "error",
    "roc_auc": "auc",
    "neg_brier_score": "brier",
    "neg_mean_squared_error": "squared_error",
    "neg_mean_absolute_error": "absolute_error",
}


def _find(name: str) -> Metric | None:
    """Built-in metric of a name, thresholds and quantiles included."""
    return _BUILT_IN.get(name) or decision_metric(name) or _pinball(name)


def _scorer_named(name: str) -> Metric | None:
    """A scorer of scikit-learn by its name, which then is that of the metric."""
    if name in _SAME:
        return _BUILT_IN[_SAME[name]]
    from sklearn.metrics import (  # audits load scikit-learn for this alone
        get_scorer,
        get_scorer_names,
    )

    return (
        replace(read_callable(get_scorer(name)), name=name) if name in get_scorer_names() else None
    )


def _own_name(metric: Metric) -> Metric:
    """Refuse a built-in's name for another risk: tests are chosen and numbers shown by the name."""
    built_in = _find(metric.name) or metric
    if _parts(metric) == _parts(built_in):
        return built_in
    raise ValueError(
        f"metric: a risk of your own is named {metric.name!r}, like the built-in metric. Pass "
        f"metric={metric.name!r} for that one, or rename yours (name= of a Metric, __name__ of a "
        f"callable) to other than {', '.join(METRICS)}."
    )


def _parts(metric: Metric) -> tuple[Any, ...]:
    """What makes a metric; copies of a built-in (`clone`, pickle) share its functions."""
    return _unfolded(metric.rowwise), _unfolded(metric.risk)


def _unfolded(part: Any) -> Any:
    """A function, or what a partial one is made of: copies are equal by that alone."""
    if isinstance(part, partial):
        return (part.func, *map(_unfolded, part.args))
    return part


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
    if metric.rowwise is None or metric.among is not None:
        raise ValueError(
            f"metric={metric.name!r} is no mean over rows, so rows have no loss of their own. "
            "Use one of error, log_loss, brier, squared_error, absolute_error here."
        )
    return metric.rowwise(y, predictions)


def _error_rows(y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """0-1 loss."""
    return (labels("error", y, predictions) != y).astype(float)


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
    return (labels("squared_error", y, predictions) - y) ** 2


def _absolute_error_rows(y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Absolute error of a regression."""
    return np.abs(labels("absolute_error", y, predictions) - y)


def _unexplained(y: np.ndarray, predictions: Predictions, weight: Weight) -> float:
    """1 - R squared: squared error over the variance of y; nan where y does not vary."""
    loss = _squared_error_rows(y, predictions)
    if not len(y) or (weight is not None and not weight.any()):
        return math.nan
    spread = np.average((y - np.average(y, weights=weight)) ** 2, weights=weight)
    return float(np.average(loss, weights=weight) / spread) if spread > 0 else math.nan


def _pinball_rows(name: str, q: float, y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Loss of a q-quantile (Koenker & Bassett 1978)."""
    short = y - labels(name, y, predictions)
    return np.where(short >= 0, q * short, (q - 1) * short)


@cache
def _pinball(name: str) -> Metric | None:
    """The pinball loss of a name such as ``"pinball@0.9"``."""
    found = re.fullmatch(r"pinball@([0-9.]+)", name)
    if found is None:
        return None
    q = float(found[1]) if found[1].count(".") < 2 else math.nan
    if not 0 < q < 1:
        raise ValueError(f"metric={name!r}: a quantile lies between 0 and 1, such as pinball@0.9.")
    name = f"pinball@{q:.12g}"
    return row_metric(name, False, partial(_pinball_rows, name, q), regression=True)


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


_BUILT_IN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        row_metric("error", False, _error_rows, style="percent", zero_one=True),
        row_metric("log_loss", True, _log_loss_rows),
        row_metric("brier", True, _brier_rows),
        Metric("auc", True, None, _auc_risk, top=1.0),
        Metric("ece", True, None, _ece_risk, "percent"),
        row_metric("squared_error", False, _squared_error_rows, regression=True),
        row_metric("absolute_error", False, _absolute_error_rows, regression=True),
        Metric("r2", False, None, _unexplained, regression=True, top=1.0),
    )
}

METRICS: tuple[str, ...] = tuple(_BUILT_IN)
_MORE = f"{', '.join(FORMS)} (each with @T to act above a threshold), pinball@Q"


def named_metric(name: str) -> Metric:
    """Return a metric to show values by; one of a user's own, known by name only, shows numbers.

    Examples
    --------
    >>> named_metric("error").format_gain(0.021), named_metric("cost of a bed").format_gain(0.021)
    ('+2.1%', '+0.021')
    """
    return _find(name) or Metric(name, False, None, lambda *_: math.nan)


def is_built_in(metric: Metric) -> bool:
    """Whether a metric is one of ours, and none of a user's own.

    Examples
    --------
    >>> is_built_in(get_metric("auc")), is_built_in(named_metric("cost of a bed"))
    (True, False)
    """
    return _find(metric.name) is not None
