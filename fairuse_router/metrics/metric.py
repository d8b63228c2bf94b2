"""What a model said about rows, and a risk of it with how to show it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


@dataclass(frozen=True, eq=False)
class Predictions(NDArrayOperatorsMixin):
    """What one model said about ``n`` rows; compared or computed with, it is its labels.

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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.label, dtype=dtype, copy=copy is not False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
        plain = [x.label if isinstance(x, Predictions) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **more)

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
    style : {"percent", "number"}, default="number"
        How `format` shows it.
    regression : bool, default=False
        Whether labels are real numbers.
    any_target : bool, default=False
        Whether it judges classes and real numbers alike, as a risk of one's own may.
    top : float or None, default=None
        What it is shown as less the risk, where more is better: 1 for AUC; None: the risk itself.
    zero_one : bool, default=False
        Whether the loss of every row is 0 or 1, so that tests may count.
    among : callable or None, default=None
        ``y -> ndarray of bool (n,)``: the rows of which it is the mean; None: all.
    steps : tuple of two floats or None, default=None
        What a row of the second and one of the first class cost more if they are decided wrong,
        where that is all that can differ between two models.
    directed : bool, default=True
        Whether less of it is better, so that routes may be chosen by it.

    Examples
    --------
    >>> from fairuse_router.metrics import get_metric
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
    style: Literal["percent", "number"] = "number"
    regression: bool = False
    any_target: bool = False
    top: float | None = None
    zero_one: bool = False
    among: Callable[[np.ndarray], np.ndarray] | None = None
    steps: tuple[float, float] | None = None
    directed: bool = True

    def shown(self, risk: float) -> float:
        """Return the number people expect: the area itself for AUC, else the risk."""
        return risk if self.top is None else self.top - risk

    def counted(self, y: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Return the groups of the rows that the metric looks at; -1 for the others."""
        return groups if self.among is None else np.where(self.among(y), groups, -1)

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


_SLACK = 1e-3  # single precision, and rounding to a few digits


def check_probabilities(proba: np.ndarray, whose: str) -> None:
    """Refuse rows that are no probabilities; NaN is another matter.

    Raises
    ------
    ValueError
        If some lie outside [0, 1], or do not sum to one.

    Examples
    --------
    >>> check_probabilities(np.array([[0.2, 0.8], [np.nan, np.nan]]), "model")
    >>> check_probabilities(np.array([[0.2, 0.9]]), "model")
    Traceback (most recent call last):
        ...
    ValueError: model: the probabilities of 1 of 1 rows do not sum to one, such as [0.2, 0.9]. ...
    """
    with np.errstate(invalid="ignore"):
        outside = np.asarray(((proba < -_SLACK) | (proba > 1 + _SLACK)).any(axis=1))
        off = np.asarray(np.abs(proba.sum(axis=1) - 1) > _SLACK)
    for rows, what in ((outside, "lie outside [0, 1]"), (off, "do not sum to one")):
        if rows.any():
            row = int(rows.argmax())
            raise ValueError(
                f"{whose}: the probabilities of {int(rows.sum())} of {len(rows)} rows {what}, such "
                f"as {proba[row].tolist()[:5]}. Normalize them, or apply the model's link function."
            )
