"""Calibration of every model in every group, whether what is told may be taken at its word."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairuse_router.audit.arguments import check_level
from fairuse_router.audit.records import number
from fairuse_router.audit.told import Told
from fairuse_router.documents import Printed
from fairuse_router.grids import Column, Grid, numbers, wrap
from fairuse_router.inference.calibration import (
    Curve,
    Recalibration,
    calibration_curve,
    observed_over_expected,
    recalibrate,
)
from fairuse_router.inference.multiplicity import adjust
from fairuse_router.metrics import get_metric

__all__ = ["Calibration", "CalibrationRecord", "calibration"]


@dataclass(frozen=True)
class CalibrationRecord:
    """One model in one group.

    Parameters
    ----------
    model, group : str
        Everybody is a group of its own.
    n, events : int
        Rows, and those of the second class.
    expected, observed : float or None
        Mean probability, and share that came true.
    ratio, ratio_low, ratio_high : float or None
        Observed over expected; 1 is calibrated.
    intercept, intercept_low, intercept_high : float or None
        Calibration in the large, in log-odds; 0 is calibrated, above it risks are told too low.
    slope, slope_low, slope_high : float or None
        Calibration slope; 1 is calibrated, below it what is told is too extreme.
    ece : float or None
        Expected calibration error.
    p : float or None
        Of a slope of 1 and an intercept of 0: twice the smaller of both p-values, for this record
        alone.
    p_corrected : float or None
        The same, corrected (Holm) over the groups of one model.
    curve : tuple of 4 tuples of float
        What was told, what came true, and its band.
    """

    model: str
    group: str
    n: int
    events: int
    expected: float | None
    observed: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    intercept: float | None
    intercept_low: float | None
    intercept_high: float | None
    slope: float | None
    slope_low: float | None
    slope_high: float | None
    ece: float | None
    p: float | None
    p_corrected: float | None
    curve: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Calibration(Printed):
    """Calibration of models, group by group. Print it.

    Parameters
    ----------
    records : tuple of CalibrationRecord
    models, groups : tuple of str
    alpha : float
        Intervals are at level ``1 - alpha``, for one number alone.

    Examples
    --------
    >>> y, sex = np.array([0, 0, 0, 1] * 100), np.repeat(["F", "M"], 200)
    >>> found = calibration(y, {"model": np.where(sex == "F", 0.25, 0.5)}, sex)
    >>> [(group, found.of("model", group).ratio) for group in found.groups]
    [('F', 1.0), ('M', 0.5)]
    """

    records: tuple[CalibrationRecord, ...]
    models: tuple[str, ...]
    groups: tuple[str, ...]
    alpha: float

    def of(self, model: str, group: str) -> CalibrationRecord:
        """One record.

        Raises
        ------
        KeyError
            If there is none.
        """
        for record in self.records:
            if (record.model, record.group) == (model, group):
                return record
        raise KeyError(f"no record of {model!r} in {group!r}")

    def _lines(self) -> Iterator[str]:
        yield from wrap(
            "Calibration: observed over expected (1), intercept (0) and slope (1) of the logistic "
            f"recalibration; intervals {100 * (1 - self.alpha):g}%, each for one number alone. A "
            "star: not calibrated, Holm over the groups of a model."
        )
        columns = [
            Column("group", 22, left=True),
            *numbers({"rows": 7, "O/E": 6, "interval": 12, "slope": 7, "interval ": 13, "ECE": 7}),
        ]
        for model in self.models:
            rows = []
            for r in self.records:
                if r.model == model:
                    star = "*" if r.p_corrected is not None and r.p_corrected <= self.alpha else ""
                    rows.append(
                        [
                            r.group,
                            f"{r.n:,}",
                            _two(r.ratio) + star,
                            _span(r.ratio_low, r.ratio_high),
                            _two(r.slope),
                            _span(r.slope_low, r.slope_high),
                            "" if r.ece is None else f"{100 * r.ece:.1f}%",
                        ]
                    )
            yield from ("", f"{model}:", *Grid(columns, rows).lines())


def _two(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _span(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.2f} {high:.2f}"


def calibration(
    y: Any,
    predictions: Any,
    groups: Any,
    sample_weight: Any = None,
    *,
    alpha: float = 0.1,
) -> Calibration:
    """Measure how well probabilities are calibrated, for every model in every group.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels of two classes; the second in order is what probabilities are of.
    predictions : mapping of str to array-like, or DataFrame
        Per model, probabilities as `audit_predictions` takes them, for rows it has not seen.
    groups : DataFrame, Series or array-like
        Group attributes.
    sample_weight : array-like of shape (n,), default=None
    alpha : float, default=0.1

    Returns
    -------
    Calibration

    Raises
    ------
    ValueError, TypeError
        For labels alone, other than two classes, or arrays that do not fit each other.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p, sex = rng.uniform(0.05, 0.95, 2000), np.repeat(["F", "M"], 1000)
    >>> y = (rng.random(2000) < np.where(sex == "F", p, p**2)).astype(int)
    >>> found = calibration(y, {"model": p}, sex)
    >>> [(r.group, round(r.ratio, 1)) for r in found.records]
    [('everybody', 0.8), ('F', 1.0), ('M', 0.6)]
    """
    return calibration_of(Told.read(y, predictions, groups, sample_weight), alpha)


def calibration_of(told: Told, alpha: float) -> Calibration:
    """Calibration of what was told, see `calibration`."""
    check_level(alpha)
    records: list[CalibrationRecord] = []
    for model in told.predictions:
        found = [_record(told, model, name, rows, alpha) for name, rows in told.parts()]
        p = np.array([math.nan if r.p is None else r.p for r in found[1:]])
        corrected = [found[0].p, *map(number, adjust(p, "holm"))]
        for r, value in zip(found, corrected, strict=True):
            records.append(CalibrationRecord(**{**vars(r), "p_corrected": value}))
    return Calibration(tuple(records), tuple(told.predictions), told.groups, alpha)


def _record(
    told: Told, model: str, group: str, rows: np.ndarray, alpha: float
) -> CalibrationRecord:
    p, y, weight = told.chance(model)[rows], told.rows.y[rows], told.weight(rows)
    fit = recalibrate(p, y, weight, alpha)
    both = np.array([fit.p_intercept, fit.p_slope])
    known = both[np.isfinite(both)]
    curve = calibration_curve(p, y, weight, alpha) if len(rows) else Curve(*(np.zeros(0),) * 4)
    empty = not len(rows)
    ratio, ratio_low, ratio_high = map(number, observed_over_expected(p, y, weight, alpha))
    numbers = {name: number(getattr(fit, name)) for name in Recalibration._fields[:6]}
    return CalibrationRecord(
        model=model,
        group=group,
        n=len(rows),
        events=int((y == 1).sum()),
        expected=None if empty else float(np.average(p, weights=weight)),
        observed=None if empty else float(np.average(y, weights=weight)),
        ratio=ratio,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        **numbers,
        ece=number(get_metric("ece").risk(y, told.predictions[model][rows], weight)),
        p=min(1.0, len(known) * float(known.min())) if len(known) else None,
        p_corrected=None,
        curve=tuple(tuple(map(float, part)) for part in curve),
    )
