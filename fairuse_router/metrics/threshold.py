"""Labels by a threshold on the probability of the second class, and risks of such labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairuse_router.grids import told
from fairuse_router.metrics.decisions import decision_metric
from fairuse_router.metrics.metric import Metric, Predictions


def read_threshold(threshold: Any) -> float | None:
    """Return a threshold that was given as a number, or by what mistakes cost.

    Parameters
    ----------
    threshold : float, str or None
        In (0, 1); or ``"cost(5,1)"``: where missing somebody costs 5 and acting in vain 1, it pays
        to act from a probability of 1 / (5 + 1) on (Elkan 2001).

    Returns
    -------
    float or None

    Raises
    ------
    ValueError, TypeError
        For what is neither.

    Examples
    --------
    >>> read_threshold("cost(4,1)")
    0.2
    """
    if threshold is None:
        return None
    if isinstance(threshold, str):
        metric = decision_metric(threshold)
        if metric is not None and metric.name == threshold and threshold.startswith("cost"):
            misses, alarms = metric.steps or (1.0, 1.0)
            return alarms / (misses + alarms)
        raise ValueError(
            f"threshold={told(threshold)} is not known: pass a number between 0 and 1, or costs of "
            "a miss and of an alarm in vain as 'cost(5,1)'."
        )
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float, np.number)):
        raise TypeError(
            f"threshold={told(threshold)}: pass a number between 0 and 1, or 'cost(5,1)'."
        )
    if not 0 < threshold < 1:
        raise ValueError(f"threshold={told(threshold)} is not allowed: it lies between 0 and 1.")
    return float(threshold)


def cut(predictions: Predictions, threshold: float | None) -> Predictions:
    """Return predictions whose label is the second class from a probability on.

    Examples
    --------
    >>> cut(Predictions.from_proba([0.1, 0.2, 0.3]), 0.2).label
    array([0, 1, 1])
    """
    if threshold is None or predictions.proba is None:
        return predictions
    return Predictions((predictions.proba[:, 1] >= threshold).astype(np.int64), predictions.proba)


@dataclass(frozen=True)
class Cut:
    """A risk, or the losses of rows, of labels by a threshold.

    Parameters
    ----------
    threshold : float
    inner : callable
        ``(y, predictions, ...)``

    Examples
    --------
    >>> from fairuse_router.metrics import get_metric
    >>> error = Cut(0.2, get_metric("error").risk)
    >>> told = Predictions.from_proba(np.array([0.1, 0.3, 0.4]))
    >>> error(np.array([0, 1, 1]), told, None)
    0.0
    """

    threshold: float
    inner: Callable[..., Any]

    def __call__(self, y: np.ndarray, predictions: Predictions, *more: Any) -> Any:
        """Return what `inner` says of the predictions so labelled."""
        return self.inner(y, cut(predictions, self.threshold), *more)


def at_threshold(metric: Metric, threshold: float | None) -> Metric:
    """Return a metric of labels by a threshold; None: of the labels as they are.

    Examples
    --------
    >>> from fairuse_router.metrics import get_metric
    >>> y, told = np.array([0, 1, 1]), Predictions.from_proba(np.array([0.1, 0.3, 0.4]))
    >>> error = get_metric("error")
    >>> [round(metric.risk(y, told, None), 2) for metric in (error, at_threshold(error, 0.2))]
    [0.67, 0.0]
    """
    if threshold is None or metric.regression:
        return metric
    rowwise = None if metric.rowwise is None else Cut(threshold, metric.rowwise)
    return replace(metric, rowwise=rowwise, risk=Cut(threshold, metric.risk), needs_proba=True)
