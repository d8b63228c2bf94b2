"""Risks: what a prediction costs, lower is better.

Every metric is an instance of :class:`Metric`. AUC enters as ``1 - AUC`` so that a gain,
``risk(reference) - risk(model)``, is positive when the model is better, whatever the metric.

================== ============================================================= ==========
name               risk of ``n`` rows                                            per row
================== ============================================================= ==========
``error``          mean of ``y != label``                                        yes
``log_loss``       mean of ``-log proba[y]``, not clipped: may be infinite       yes
``brier``          mean of ``(p - y)**2``, ``p = proba[:, 1]``; with K > 2       yes
                   classes, of the sum over classes of ``(proba[k] - 1[y=k])**2``
``auc``            1 - area under the ROC curve, ties count one half; K > 2:     no
                   one-vs-rest, mean over classes; undefined if a class is absent
``ece``            ten equal-width bins ``((k-1)/10, k/10]``, the first closed   no
                   at 0; sum over bins of ``|sum(p - 1[y = 1])| / n``; K > 2:
                   the largest probability against whether that class is right
``squared_error``  mean of ``(y - prediction)**2`` (regression)                  yes
``absolute_error`` mean of ``|y - prediction|`` (regression)                     yes
================== ============================================================= ==========
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

__all__ = [
    "METRICS",
    "Metric",
    "Predictions",
    "confidence_and_hit",
    "get_metric",
    "probabilities",
    "row_losses",
]

_ECE_EDGES = np.arange(1, 10) / 10


@dataclass(frozen=True)
class Predictions:
    """What one model said about ``n`` rows.

    Parameters
    ----------
    label : ndarray of shape (n,)
        The predicted class as its index into the classes; for a regressor, the prediction.
    proba : ndarray of shape (n, K) or None, default=None
        Class probabilities, columns in class order; None if the model has none.

    Examples
    --------
    >>> p = Predictions.from_proba([[0.9, 0.1], [0.2, 0.8]])
    >>> p.label
    array([0, 1])
    >>> len(p[:1])
    1
    """

    label: np.ndarray
    proba: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.label.ndim != 1:
            raise ValueError(
                f"Predictions.label has shape {self.label.shape}; give one label per row, (n,)."
            )
        proba, n = self.proba, len(self.label)
        if proba is not None and (proba.ndim != 2 or len(proba) != n or proba.shape[1] < 2):
            raise ValueError(
                f"Predictions.proba has shape {proba.shape} for {n} labels; "
                "give one row per label and one column per class (two or more classes)."
            )

    @property
    def undefined(self) -> np.ndarray:
        """Rows without an answer: NaN in the label or in a probability, shape (n,)."""
        nan = np.isnan(self.label) if self.label.dtype.kind == "f" else np.zeros(len(self), bool)
        return nan if self.proba is None else nan | np.isnan(self.proba).any(axis=1)

    @classmethod
    def from_proba(cls, proba: np.ndarray) -> Predictions:
        """Probabilities of shape (n, K), or (n,) for the second of two classes, and their label."""
        proba = np.asarray(proba, dtype=float)
        if proba.ndim == 1:
            proba = np.column_stack([1 - proba, proba])
        return cls(proba.argmax(axis=1), proba)

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: np.ndarray | slice) -> Predictions:
        """Return the predictions of some rows (a slice, a mask or an index array)."""
        return Predictions(self.label[rows], None if self.proba is None else self.proba[rows])


Weight = np.ndarray | None
RowLoss = Callable[[np.ndarray, Predictions], np.ndarray]
Risk = Callable[[np.ndarray, Predictions, Weight], float]


@dataclass(frozen=True)
class Metric:
    """A risk, lower is better, and how to show it.

    Parameters
    ----------
    name : str
        One of `METRICS`, or the name of a callable.
    needs_proba : bool
        Whether it reads `Predictions.proba`.
    rowwise : callable or None
        ``(y, predictions) -> ndarray (n,)``, the loss of each row; None where the risk is no mean
        over rows (AUC, ECE, callables).
    risk : callable
        ``(y, predictions, weight) -> float``; nan where undefined.
    style : {"percent", "auc", "number"}, default="number"
        How `format` shows it.
    regression : bool, default=False
        Whether labels are real numbers.

    Examples
    --------
    >>> auc = get_metric("auc")
    >>> auc.shown(0.188), auc.format(0.188), auc.format_gain(0.02)
    (0.812, '0.812', '+0.020')
    >>> get_metric("error").format(0.123), get_metric("error").format_gain(-0.012)
    ('12.3%', '-1.2%')
    """

    name: str
    needs_proba: bool
    rowwise: RowLoss | None
    risk: Risk
    style: Literal["percent", "auc", "number"] = "number"
    regression: bool = False

    def shown(self, risk: float) -> float:
        """Return the number people expect: the area itself for AUC, else the risk."""
        return 1 - risk if self.style == "auc" else risk

    def format(self, risk: float | None) -> str:
        """Return the risk as text: ``12.3%``, AUC ``0.812``, ``0.412``; undefined is ``n/a``."""
        return self._text(math.nan if risk is None else self.shown(risk), "")

    def format_gain(self, gain: float | None) -> str:
        """Return a gain as signed text: ``+1.2%``, ``+0.013``; undefined is ``n/a``."""
        return self._text(math.nan if gain is None else gain, "+")

    def _text(self, value: float, sign: str) -> str:
        """One number in the metric's own style."""
        if math.isnan(value):
            return "n/a"
        if self.style == "percent":
            return f"{round(100 * value, 1) + 0.0:{sign}.1f}%"
        digits = 3 if abs(value) < 100 or math.isinf(value) else 0
        return f"{round(value, digits) + 0.0:{sign},.{digits}f}"


def get_metric(metric: str | Callable | Metric) -> Metric:
    """Return the `Metric` of a name, of a callable, or itself.

    Parameters
    ----------
    metric : str, callable or Metric
        A name in `METRICS`, or a risk of your own, called as ``metric(y, predictions, weight)``:
        ``y`` holds class indices of shape (n,), ``predictions`` is a `Predictions`, ``weight`` is
        an array of shape (n,) or None. It returns one number, lower is better, nan if undefined.
        Its name must not be a built-in's.

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
        name = getattr(metric, "__name__", type(metric).__name__)
        return _own_name(Metric(name, False, None, partial(_callable_risk, metric)))
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


def _callable_risk(
    function: Callable, y: np.ndarray, predictions: Predictions, weight: Weight
) -> float:
    """Call the user's risk and insist on one real number; no rows have no risk."""
    if len(y) == 0:
        return math.nan
    value = function(y, predictions, weight)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"metric {getattr(function, '__name__', function)!r} returned "
            f"{type(value).__name__}; it must return one number, lower is better."
        ) from error


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
