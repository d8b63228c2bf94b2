"""Giving up gains to ask less: which groups go back to generic, and at what price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fairuse_router.inference import combine_intervals
from fairuse_router.metrics import named_metric
from fairuse_router.routing.asking import order_questions, spread, trade_offs
from fairuse_router.routing.grid import RoutingGrid
from fairuse_router.routing.paying import may_stop, sent_as_they_are

Floats = NDArray[np.float64]
Table = TypeVar("Table", bound=RoutingGrid)
_MANY = 2000  # reports with questions left; beyond, fewer trades are kept for each


@dataclass(frozen=True)
class Price:
    """What asking less costs.

    Parameters
    ----------
    asked : float
        Attributes asked, mean over people.
    gain : float
        Gain over generic that is left, mean over people; nan where undefined.
    given_up : float
        Gain given up, mean over people, as estimated when the routes were chosen.
    at_most : float
        Upper limit of its interval.
    groups : tuple of int
        Groups that go back to generic.

    Examples
    --------
    >>> from fairuse_router.groups import GroupSchema
    >>> from fairuse_router.routing import GroupRecord, RoutingTable
    >>> schema = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("<60", "60+")))
    >>> picks = {("F", "<60"): "onehot", ("M", "<60"): "decoupled"}
    >>> groups = [schema.report_texts(code) for code in schema.group_codes]
    >>> known = {"reason": "", "gain": 0.05, "low": 0.01, "high": 0.09}
    >>> generic = [GroupRecord(g, 50, "generic", "") for g in groups if g not in picks]
    >>> others = [GroupRecord(g, 50, pick, **known) for g, pick in picks.items()]
    >>> table = RoutingTable.from_choices(
    ...     schema, [others[0], generic[0], others[1], generic[1]],
    ...     policy="best", metric="error", alpha=0.1)
    >>> [(p.asked, p.gain, p.given_up, p.groups) for p in table.disclosure_plan().curve()]
    [(1.5, 0.025, 0.0, ()), (0.0, 0.0, 0.025, (0, 2))]
    """

    asked: float
    gain: float
    given_up: float
    at_most: float
    groups: tuple[int, ...] = ()


def give_up(table: RoutingGrid, tolerance: float, per: str) -> dict[int, str]:
    """Groups to send back to generic so that least is asked within a tolerance, and why.

    Raises
    ------
    ValueError
        For a negative tolerance or an unknown `per`.
    """
    if per not in ("everyone", "group"):
        raise ValueError(
            f"per={per!r} is not allowed: pass 'everyone' (the mean loss over all people is within "
            "the tolerance) or 'group' (that of every group is)."
        )
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float, np.number)):
        raise TypeError(f"tolerance={tolerance!r} is a {type(tolerance).__name__}; pass a number.")
    if not tolerance >= 0:
        raise ValueError(
            f"tolerance={tolerance!r} is not allowed: pass a gain to give up, 0 or more, in the "
            "unit of the metric (0.01 is one point of error)."
        )
    groups: tuple[int, ...]
    if per == "group":
        groups = _small_gains(table, tolerance)
    else:
        within = [price for price in prices(table) if price.at_most <= tolerance]
        groups = within[-1].groups if within else ()
    return {g: _why(table, g) for g in groups}


def prices(table: RoutingGrid) -> list[Price]:
    """The best ways to trade gain for questions, from asking all that helps to asking nothing.

    Trades are found for the upper limits of what each group may lose, which add up; each is then
    priced by the interval of the sum.
    """
    weight = spread(_on_grid(table, table.weights()), np.sum)
    free = may_stop(table)
    loss = _losses(table)
    most = 64 if int((~free).sum()) <= _MANY else 8
    found = {}
    for trade in trade_offs(free, weight, loss, most):
        groups = tuple(sorted({g for r in trade.stops for g in _served_below(table, r)}))
        found[groups] = price(table, groups)
    best: list[Price] = []
    for candidate in sorted(found.values(), key=lambda p: (p.at_most, p.asked)):
        if not best or candidate.asked < best[-1].asked:
            best.append(candidate)
    return best


def price(table: RoutingGrid, groups: tuple[int, ...] = ()) -> Price:
    """Price of sending some groups back to generic."""
    after = collapsed(table, dict.fromkeys(groups, "")) if groups else table
    weight = spread(_on_grid(table, table.weights()), np.sum)
    questions = order_questions(may_stop(after), weight)
    kept = [g for g in served_groups(table) if g not in groups]
    given_up, _, at_most = mean_gain(table, groups)
    full, partial, most = _of_partial_reporters(table, fallen(table, groups))
    given_up, at_most = full * given_up + partial, full * at_most + most
    return Price(questions.per_person, mean_gain(table, kept)[0], given_up, at_most, groups)


def collapsed(table: Table, reasons: dict[int, str]) -> Table:
    """Send groups back to generic, and the partial reports that are then nobody's but generic's."""
    gone = fallen(table, tuple(reasons))
    less = table.to_generic(reasons, "collapsed")
    why = "collapsed to ask less: all groups it may come from are served by generic now"
    return less.reports_to_generic(dict.fromkeys(gone, why), "collapsed") if gone else less


def fallen(table: RoutingGrid, groups: tuple[int, ...]) -> list[int]:
    """Partial reports with routes of their own whose groups all go back to generic, some just now.

    Theirs goes with them: nobody is to be asked for it any more.
    """
    if not table.partial:
        return []
    served = set(served_groups(table)) - set(groups)
    found = []
    for report, code in enumerate(table.schema.report_codes):
        below = set() if code.all() else set(table.schema.completions(code).tolist())
        if table.grid[tuple(code)] and below & set(groups) and not below & served:
            found.append(report)
    return found


def _of_partial_reporters(table: RoutingGrid, reports: list[int]) -> tuple[float, float, float]:
    """Share of people who tell everything, and the mean loss of the others, estimate and limit."""
    if not reports:
        return 1.0, 0.0, 0.0
    sent = sent_as_they_are(table)
    told = sent[tuple(table.schema.group_codes.T)].sum()
    share = sent.ravel()[reports] / max(float(sent.sum()), 1.0)
    gains = np.array([table.standing(table.schema.report_codes[r])[1:] for r in reports])
    lost = np.where(share > 0, gains[:, 0], 0.0)
    most = np.where(share > 0, np.maximum(gains[:, 2], 0.0), 0.0)
    full = float(told / max(float(sent.sum()), 1.0))
    return full, float(share @ np.nan_to_num(lost)), float(share @ np.where(share > 0, most, 0.0))


def mean_gain(
    table: RoutingGrid, groups: tuple[int, ...] | list[int]
) -> tuple[float, float, float]:
    """Gain of some groups' routes, and its interval, as a mean over all people."""
    if not len(groups):
        return (0.0, 0.0, 0.0)
    share = table.weights() / table.weights().sum()
    gain, low, high = np.array([gain_of(table, g) for g in groups]).T
    with np.errstate(invalid="ignore"):
        return combine_intervals(gain, low, high, share[list(groups)])


def gain_of(table: RoutingGrid, g: int) -> tuple[float, float, float]:
    """Gain of a group's route and its interval; nan where undefined."""
    record = table.groups[g]
    gain, low, high = (
        math.nan if v is None else float(v) for v in (record.gain, record.low, record.high)
    )
    return gain, low, high


def served_groups(table: RoutingGrid) -> list[int]:
    """Groups that another model than generic serves."""
    return np.flatnonzero(table.grid[tuple(table.schema.group_codes.T)] != 0).tolist()


def _small_gains(table: RoutingGrid, tolerance: float) -> tuple[int, ...]:
    """Groups to give up if each may lose so much: where that saves questions."""
    may = np.ones(len(table.groups), dtype=bool)
    for g in served_groups(table):
        may[g] = gain_of(table, g)[2] <= tolerance
    stop = spread(_on_grid(table, may), np.min) & (table.grid == 0)
    free = may_stop(table)
    weight = spread(_on_grid(table, table.weights()), np.sum)
    ask = order_questions(free | stop, weight).ask.ravel()
    groups: set[int] = set()
    reports, ids = [np.zeros(table.grid.ndim, dtype=np.int64)], table.schema.report_ids
    while reports:
        code = reports.pop()
        report = int(ids(code[None, :])[0])
        if ask[report] >= 0:
            for level in range(1, table.grid.shape[ask[report]]):
                after = code.copy()
                after[ask[report]] = level
                reports.append(after)
        elif not free.flat[report]:
            groups |= set(_served_below(table, report))
    return tuple(sorted(groups))


def _losses(table: RoutingGrid) -> Floats:
    """Most that the people under each report lose if it stops there, summed over people."""
    most, weight = np.zeros(len(table.groups)), table.weights()
    for g in served_groups(table):
        high = gain_of(table, g)[2]
        most[g] = math.inf if math.isnan(high) else weight[g] * max(high, 0.0)
    loss = spread(_on_grid(table, most), np.sum)
    return np.where(table.grid == 0, loss, math.inf)


def _served_below(table: RoutingGrid, report: int) -> list[int]:
    """Groups under a report that another model than generic serves."""
    below = set(table.schema.completions(table.schema.report_codes[report]).tolist())
    return [g for g in served_groups(table) if g in below]


def _on_grid(table: RoutingGrid, values: NDArray) -> NDArray:
    """Values of the groups, one axis per attribute."""
    return values.reshape([len(levels) for levels in table.schema.levels])


def _why(table: RoutingGrid, g: int) -> str:
    """Why a group goes back to generic, in a sentence."""
    metric = named_metric(table.metric)
    gain, _, high = gain_of(table, g)
    return (
        f"collapsed to ask less: gives up a gain of {metric.format_gain(gain)} by "
        f"{table.groups[g].candidate}, at most {metric.format_gain(high)}"
    )
