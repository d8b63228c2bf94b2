"""Differences between groups: whom a model serves worse than whom, another question than fair use.

Fair use compares models within a group: does reporting pay? Equalized odds and its kin compare
groups under one model. A routing may gain in every group and widen the gap between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from fairuse_router.audit.arguments import check_level, read_metrics
from fairuse_router.audit.records import number
from fairuse_router.audit.told import Told
from fairuse_router.documents import Printed
from fairuse_router.grids import Column, Grid, numbers, wrap
from fairuse_router.inference.calibration import wilson
from fairuse_router.metrics import Metric, Predictions, named_metric

__all__ = ["Between", "GapRecord", "between_groups"]

_RESAMPLES = 400


@dataclass(frozen=True)
class GapRecord:
    """The gap between the worst and the best group of one model in one metric.

    Parameters
    ----------
    metric, model : str
    worst, best : str or None
        Groups with the highest and the lowest risk; of a rate without a direction, the least and
        the most of it.
    gap : float or None
        Difference of their risks, never negative.
    low, high : float or None
        Interval of the largest difference between any two groups: all pairs are covered together
        (Bonferroni), so that picking the two extremes is paid for; conservative.
    groups : tuple of (str, int, float or None)
        Every group, its rows that count, and its risk.
    """

    metric: str
    model: str
    worst: str | None
    best: str | None
    gap: float | None
    low: float | None
    high: float | None
    groups: tuple[tuple[str, int, float | None], ...]


@dataclass(frozen=True)
class Between(Printed):
    """Gaps between groups, which is another question than fair use. Print it.

    Parameters
    ----------
    records : tuple of GapRecord
    alpha : float

    Examples
    --------
    >>> y, sex = np.array([0, 1] * 100), np.repeat(["F", "M"], 100)
    >>> missed = np.where((sex == "F") & (np.arange(200) % 4 == 1), 0, y)
    >>> between = between_groups(y, {"model": missed}, sex, metrics="fnr")
    >>> between.alpha, [(gap.metric, gap.worst, gap.gap) for gap in between.records]
    (0.1, [('fnr', 'F', 0.5)])
    """

    records: tuple[GapRecord, ...]
    alpha: float

    def _lines(self) -> Iterator[str]:
        yield from wrap(
            "Gaps between groups (worst less best). This is another question than fair use: it "
            "compares groups under one model, not models within a group. Intervals "
            f"{100 * (1 - self.alpha):g}% for the largest gap, all pairs covered together."
        )
        columns = [
            Column("metric", 16, left=True),
            Column("model", 12, left=True, gap=1),
            *numbers({"gap": 7, "interval": 15}),
            Column("worst, best", 26, left=True, gap=2),
        ]
        rows = []
        for r in self.records:
            show = named_metric(r.metric).format_gain
            span = "" if r.low is None else f"{show(r.low)} {show(r.high)}"
            pair = f"{r.worst}; {r.best}" if r.worst else "n/a"
            rows.append([r.metric, r.model, show(r.gap).lstrip("+"), span, pair])
        yield from ("", *Grid(columns, rows).lines())


def between_groups(
    y: Any,
    predictions: Any,
    groups: Any,
    sample_weight: Any = None,
    *,
    metrics: Any = ("fnr", "fpr", "selection_rate"),
    alpha: float = 0.1,
) -> Between:
    """Measure gaps between groups: equalized odds, and the worst against the best in any metric.

    The larger of the gaps in ``"fnr"`` and ``"fpr"`` is the equalized odds difference (Hardt, Price
    & Srebro 2016), the gap in ``"selection_rate"`` the demographic parity difference.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels of two classes.
    predictions : mapping of str to array-like, or DataFrame
        Per model, as `audit_predictions` takes them.
    groups : DataFrame, Series or array-like
        Group attributes; rows of different groups must be independent.
    sample_weight : array-like of shape (n,), default=None
    metrics : str, callable, or sequence of them, default=("fnr", "fpr", "selection_rate")
        ``"net_benefit@0.2"``, ``"auc"`` and others just as well.
    alpha : float, default=0.1

    Returns
    -------
    Between

    Raises
    ------
    ValueError, TypeError
        As `audit_predictions`.

    Examples
    --------
    >>> y, sex = np.array([0, 1] * 100), np.repeat(["F", "M"], 100)
    >>> missed = np.where((sex == "F") & (np.arange(200) % 4 == 1), 0, y)
    >>> (record,) = between_groups(y, {"model": missed}, sex, metrics="fnr").records
    >>> record.worst, record.gap, round(record.low, 2), round(record.high, 2)
    ('F', 0.5, 0.38, 0.61)
    """
    return between_of(Told.read(y, predictions, groups, sample_weight), metrics, alpha)


def between_of(told: Told, metrics: Any, alpha: float) -> Between:
    """Gaps between the groups of what was told, see `between_groups`."""
    check_level(alpha)
    chosen = read_metrics(metrics)
    records = [_gap(told, metric, model, alpha) for metric in chosen for model in told.predictions]
    return Between(tuple(records), alpha)


def _gap(told: Told, metric: Metric, model: str, alpha: float) -> GapRecord:
    predictions = told.predictions[model]
    parts = [rows for _, rows in told.parts()[1:]]
    if metric.among is not None:
        counted = metric.among(told.rows.y)
        parts = [rows[counted[rows]] for rows in parts]
    risks = [metric.risk(told.rows.y[r], predictions[r], told.weight(r)) for r in parts]
    known = [g for g, risk in enumerate(risks) if math.isfinite(risk)]
    shown = tuple(
        (name, len(rows), number(risk))
        for name, rows, risk in zip(told.groups, parts, risks, strict=True)
    )
    if len(known) < 2:
        return GapRecord(metric.name, model, None, None, None, None, None, shown)
    worst, best = max(known, key=risks.__getitem__), min(known, key=risks.__getitem__)
    pairs = list(combinations(known, 2))
    level = alpha / len(pairs)
    reach = [_reach(metric, told, predictions, rows, level) for rows in parts]
    lows, highs = [], []
    for a, b in pairs:  # Newcombe's (1998) square-and-add, for any two independent intervals
        up, down = (a, b) if risks[a] >= risks[b] else (b, a)
        gap = risks[up] - risks[down]
        lows.append(gap - math.hypot(reach[up][0], reach[down][1]))
        highs.append(gap + math.hypot(reach[up][1], reach[down][0]))
    return GapRecord(
        metric.name,
        model,
        told.groups[worst],
        told.groups[best],
        float(risks[worst] - risks[best]),
        max(0.0, *lows) if len(lows) > 1 else max(0.0, lows[0]),
        max(highs),
        shown,
    )


def _reach(
    metric: Metric, told: Told, predictions: Predictions, rows: np.ndarray, level: float
) -> tuple[float, float]:
    """How far the interval of a group's risk reaches below and above it."""
    if not len(rows):
        return math.nan, math.nan
    y, own, weight = told.rows.y[rows], predictions[rows], told.weight(rows)
    risk = metric.risk(y, own, weight)
    if metric.zero_one:
        mass = np.ones(len(rows)) if weight is None else weight
        low, high = wilson(risk, float(mass.sum() ** 2 / (mass @ mass)), level)
        return risk - low, high - risk
    half = float(stats.norm.isf(level / 2)) * _standard_error(metric, y, own, weight)
    return half, half


def _standard_error(
    metric: Metric, y: np.ndarray, own: Predictions, weight: np.ndarray | None
) -> float:
    """Standard error of a risk: of its rows' mean, or by a bootstrap within classes."""
    mass = np.ones(len(y)) if weight is None else weight
    if metric.rowwise is not None:
        loss = metric.rowwise(y, own)
        away = mass * (loss - np.average(loss, weights=mass))
        return float(np.sqrt((away**2).sum() * len(y) / max(len(y) - 1, 1)) / mass.sum())
    rng = np.random.default_rng(0)
    strata: Sequence[np.ndarray] = [np.flatnonzero(y == c) for c in (0, 1) if (y == c).any()]
    found = []
    for _ in range(_RESAMPLES):
        drawn = np.concatenate([rng.choice(s, len(s)) for s in strata])
        found.append(metric.risk(y[drawn], own[drawn], None if weight is None else weight[drawn]))
    return float(np.nanstd(found))
