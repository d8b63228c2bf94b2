"""Sites and periods: where a gain holds, and whether routes hang on one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from fairuse_router.audit.records import number
from fairuse_router.audit.told import EVERYBODY
from fairuse_router.candidates.names import GENERIC
from fairuse_router.documents import Printed, Written
from fairuse_router.grids import Column, Grid, numbers, wrap
from fairuse_router.inference.compare import Resampling, Rows, compare, default_test
from fairuse_router.inference.heterogeneity import cochran_q
from fairuse_router.levels import level_text
from fairuse_router.metrics import Metric, Predictions, named_metric
from fairuse_router.routing.table import RoutingTable

__all__ = ["LeftOut", "PlaceGain", "PlaceSummary", "Places", "Stability", "places_of"]

_SHOWN = 8


@dataclass(frozen=True)
class PlaceGain:
    """Gain of the routing over generic in one group at one place."""

    group: str
    place: str
    n: int
    gain: float | None
    low: float | None
    high: float | None
    se: float | None


@dataclass(frozen=True)
class PlaceSummary:
    """One group over all places.

    Parameters
    ----------
    group : str
    gain, low, high : float or None
        Random-effects mean over places (DerSimonian & Laird 1986); none where routed is generic.
    places, better, worse : int
        Places that bear evidence; those whose gain is above, below 0.
    q, p, i2 : float or None
        Cochran's Q, its p-value, and the share of the variance that is between places.
    """

    group: str
    gain: float | None
    low: float | None
    high: float | None
    places: int
    better: int
    worse: int
    q: float | None
    p: float | None
    i2: float | None


@dataclass(frozen=True)
class Places(Printed):
    """Gains of the routing by site or by period. Print it.

    Parameters
    ----------
    gains : tuple of PlaceGain
    summaries : tuple of PlaceSummary
        Everybody first, then every group.
    places : tuple of str
    metric : str
    alpha : float
        Intervals are at level ``1 - alpha``, each for one number alone.
    """

    gains: tuple[PlaceGain, ...]
    summaries: tuple[PlaceSummary, ...]
    places: tuple[str, ...]
    metric: str
    alpha: float

    def _lines(self) -> Iterator[str]:
        show = named_metric(self.metric).format_gain
        yield from wrap(
            f"Gain of the routing over generic in {self.metric}, at {len(self.places)} places: "
            "mean over places (random effects), how many gain and lose, Cochran's Q and I2. "
            f"Intervals {100 * (1 - self.alpha):g}%."
        )
        columns = [
            Column("group", 24, left=True),
            *numbers({"gain": 8, "interval": 16, "+": 4, "-": 4, "Q": 7, "p": 7, "I2": 6}),
        ]
        rows = [
            [
                s.group,
                show(s.gain),
                "" if s.low is None else f"{show(s.low)} {show(s.high)}",
                str(s.better),
                str(s.worse),
                "" if s.q is None else f"{s.q:.1f}",
                "" if s.p is None else f"{s.p:.3f}",
                "" if s.i2 is None else f"{s.i2:.0%}",
            ]
            for s in self.summaries
        ]
        yield from ("", *Grid(columns, rows).lines(), "")
        lost = [g for g in self.gains if g.high is not None and g.high < 0]
        if lost:
            told = "; ".join(f"{g.group} at {g.place} ({show(g.gain)})" for g in lost[:_SHOWN])
            yield from wrap(f"It loses, by its own interval, for {told}.")


def places_of(
    rows: Rows,
    groups: Sequence[str],
    models: tuple[Predictions, Predictions],
    places: Any,
    metric: Metric,
    alpha: float,
) -> Places:
    """Compare generic with the routing at every place, for everybody and in every group.

    Parameters
    ----------
    rows : Rows
        Of groups as they are named.
    groups : sequence of str
    models : tuple of two Predictions
        Generic's, and the routing's.
    places : array-like of shape (n,)
        Site or period of each row.
    metric : Metric
    alpha : float

    Returns
    -------
    Places

    Raises
    ------
    ValueError
        If places are fewer than two, more than 100, or not one for each row.
    """
    names, which = read_places(places, len(rows.y))
    gains: list[PlaceGain] = []
    summaries = []
    test = default_test(metric, rows)
    for g, group in enumerate((EVERYBODY, *groups)):
        member = rows.groups >= 0 if g == 0 else rows.groups == g - 1
        here = replace(rows, groups=np.where(member, which, -1), m=len(names))
        found = compare(metric, *models, here, test, Resampling(alpha))
        for i, place in enumerate(names):
            told = (number(getattr(found, name)[i]) for name in ("gain", "low", "high", "se"))
            gains.append(PlaceGain(group, place, int(here.sizes[i]), *told))
        summaries.append(_summary(group, np.array(found.gain), np.array(found.se), alpha))
    return Places(tuple(gains), tuple(summaries), names, metric.name, alpha)


def read_places(places: Any, n: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the places in order, and the place of each row, shape (n,).

    Raises
    ------
    ValueError
        If there is not one for each of n rows, or fewer than two, or more than 100 of them.
    """
    values = np.asarray(places, dtype=object).reshape(-1)
    if len(values) != n:
        raise ValueError(f"places has {len(values)} entries for {n} rows; give one for each.")
    missing = sum(v is None or v != v for v in values.tolist())
    if missing:
        raise ValueError(f"places is missing in {missing} of {n} rows. Leave these rows out.")
    kinds = {type(v) for v in values.tolist()}
    order = sorted(set(values.tolist()), key=None if len(kinds) == 1 else str)
    if not 2 <= len(order) <= 100:
        raise ValueError(
            f"places names {len(order)} places; two to 100 can be compared. Put dates into periods."
        )
    index = {value: i for i, value in enumerate(order)}
    return tuple(str(level_text(value)) for value in order), np.array(
        [index[v] for v in values.tolist()]
    )


def _summary(group: str, gain: np.ndarray, se: np.ndarray, alpha: float) -> PlaceSummary:
    """Random-effects mean and heterogeneity of one group."""
    known = np.isfinite(gain) & np.isfinite(se) & (se > 0)
    found = cochran_q(gain, se)
    signs = gain[np.isfinite(gain)]
    better, worse = int((signs > 0).sum()), int((signs < 0).sum())
    if not known.any():
        return PlaceSummary(group, None, None, None, 0, better, worse, None, None, None)
    d, w = gain[known], se[known] ** -2.0
    spread = w.sum() - (w**2).sum() / w.sum()
    between = 0.0
    if len(d) > 1 and spread > 0:
        between = max(0.0, (float(found.q) - (len(d) - 1)) / spread)
    w = 1 / (se[known] ** 2 + between)
    mean = float(w @ d / w.sum())
    half = float(stats.norm.isf(alpha / 2)) / math.sqrt(float(w.sum()))
    told = (number(v) for v in (found.q, found.p, found.i2))
    return PlaceSummary(group, mean, mean - half, mean + half, len(d), better, worse, *told)


@dataclass(frozen=True)
class LeftOut:
    """What would have been chosen without one place.

    Parameters
    ----------
    place : str
    n : int
        Rows of that place.
    changed : tuple of (str, str, str)
        Group, its candidate, and its candidate without the place.
    """

    place: str
    n: int
    changed: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Stability(Written):
    """Would these routes have been chosen without a site, or a period? Print it.

    Parameters
    ----------
    places : tuple of LeftOut
    groups : int
    """

    places: tuple[LeftOut, ...]
    groups: int

    def __str__(self) -> str:
        lines = []
        for left in self.places:
            if not left.changed:
                told = "yes, all of them"
            else:
                some = "; ".join(f"{g} ({a} -> {b})" for g, a, b in left.changed[:_SHOWN])
                told = f"no, {len(left.changed)} of {self.groups} groups change: {some}"
            question = f"Would these routes have been chosen without {left.place}"
            lines += wrap(f"{question} ({left.n:,} rows)? {told}.", "", "  ")
        return "\n".join(lines)


def stability_of(
    table: RoutingTable, places: Any, n: int, refit: Callable[[np.ndarray], RoutingTable]
) -> Stability:
    """Choose again without each place; `refit` takes a mask of the rows to keep."""
    names, which = read_places(places, n)
    own = _choices(table)
    left = []
    for i, name in enumerate(names):
        other = _choices(refit(which != i))
        changed = [
            (group, candidate, other.get(group, GENERIC))
            for group, candidate in own.items()
            if other.get(group, GENERIC) != candidate
        ]
        left.append(LeftOut(name, int((which == i).sum()), tuple(changed)))
    return Stability(tuple(left), len(own))


def _choices(table: RoutingTable) -> dict[str, str]:
    """Candidate of every group, by the text of its report."""
    return {", ".join(record.report): record.candidate for record in table.groups}
