"""Re-audit: on labelled rows from deployment, which routes still hold and which are violated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.audit.build import count_rows
from fairuse_router.audit.judge import whole_rows
from fairuse_router.audit.records import number
from fairuse_router.audit.shifts import Counts, Shift, find_shifts
from fairuse_router.documents import Written, plain
from fairuse_router.grids import Column, Grid, numbers, wrap
from fairuse_router.inference import PairedTest, adjust, rows_needed
from fairuse_router.inference.compare import Resampling, compare, default_test
from fairuse_router.metrics import Metric, named_metric, settle
from fairuse_router.routing.serving import Serving
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import TrainingRows

_MOST_SHOWN = 20


@dataclass(frozen=True)
class RouteReview:
    """What rows from deployment say of the route of one group, or of one partial report.

    Parameters
    ----------
    report : tuple of str
    group : str
    candidate : str
        Who serves the group.
    then : float or None
        Its gain over generic when the route was chosen; None where that was in another metric.
    n : int
        Rows from deployment.
    gain, low, high : float or None
        Its gain on them, and the interval for this route alone.
    p_gain, p_violation : float or None
        One-sided p-values, each corrected (Holm) over all routes.
    verdict : {"holds", "violated", "undetermined"}
        Gain shown, violation shown, or neither: the rows do not tell.
    rows_needed : int or None
        Rows still needed to tell the observed gain from none with 80% power; 0 where told.
    reason : str
        Why nothing could be tested; empty otherwise.
    """

    report: tuple[str, ...]
    group: str
    candidate: str
    then: float | None
    n: int
    gain: float | None
    low: float | None
    high: float | None
    p_gain: float | None
    p_violation: float | None
    verdict: str
    rows_needed: int | None
    reason: str


@dataclass(frozen=True)
class Reaudit(Written):
    """The routes of a deployed router, re-audited. Print it.

    The chance of withdrawing any route that is no worse than generic is at most alpha, by exact
    one-sided tests with Holm's correction, weighted by the share of rows on which routed and
    generic differ (for metrics other than the error unweighted, and as far as their test keeps its
    level), for independent rows that chose nothing.

    Parameters
    ----------
    routes : tuple of RouteReview
        One per group, then one per partial report with a route of its own, that another model than
        generic serves; rows that withhold are judged by the report they sent.
    shifts : tuple of Shift
        Group sizes and class rates.
    n, n_partial : int
        Rows that belong to a group, and rows that withhold something, which are left out.
    metric, test : str
    alpha : float
    table : RoutingTable
        With violated routes sent back to generic, and a record of it in its `history`.
    updated : bool
        Whether the router serves that table now.
    """

    routes: tuple[RouteReview, ...]
    shifts: tuple[Shift, ...]
    n: int
    n_partial: int
    metric: str
    test: str
    alpha: float
    table: RoutingTable
    updated: bool = False

    @property
    def violated(self) -> tuple[str, ...]:
        """Groups whose route is violated."""
        return tuple(r.group for r in self.routes if r.verdict == "violated")

    def to_dict(self) -> dict[str, Any]:
        """Return the re-audit as JSON can hold it, but for the table."""
        return plain({name: v for name, v in vars(self).items() if name != "table"})

    def __str__(self) -> str:
        return "\n".join([*self._head(), *self._routes(), "", *self._moved(), *self._end()])

    def _head(self) -> Iterator[str]:
        partial = f"; {self.n_partial:,} more withhold something" if self.n_partial else ""
        yield from wrap(
            f"Re-audit on {self.n:,} rows from deployment{partial}: {self.metric}, {self.test}, "
            f"one-sided verdicts at {100 * self.alpha:g}%, Holm over {_routes(len(self.routes))}, "
            f"intervals {100 * (1 - self.alpha):g}%. Gains are over generic, positive is better."
        )

    def _routes(self) -> Iterator[str]:
        if not self.routes:
            yield from ("", "Generic serves every group: there is no route to re-audit.")
            return
        metric = named_metric(self.metric)
        columns = [
            Column("group", 28, left=True),
            *numbers({"rows": 7, "then": 8, "now": 8, "interval": 16}),
            Column("verdict", left=True, gap=1),
        ]
        rows = []
        order = {"violated": 0, "undetermined": 1, "holds": 2}
        for r in sorted(self.routes, key=lambda r: order[r.verdict])[:_MOST_SHOWN]:
            then, now, low, high = (
                "" if v is None else metric.format_gain(v) for v in (r.then, r.gain, r.low, r.high)
            )
            told = r.verdict
            if told == "undetermined":
                told = f"? +{r.rows_needed:,}" if r.rows_needed else "?"
            rows.append([r.group, f"{r.n:,}", then, now, f"{low} {high}".strip(), told])
        yield from ("", *Grid(columns, rows).lines())
        if len(self.routes) > _MOST_SHOWN:
            yield f"... and {len(self.routes) - _MOST_SHOWN} more: see routes"

    def _moved(self) -> Iterator[str]:
        moved = [s for s in self.shifts if s.moved]
        tested = sum(s.p is not None for s in self.shifts)
        title = (
            f"Moved since training: {len(moved)} of {tested} shares and class rates (Fisher's "
            f"exact test, Holm at {100 * self.alpha:g}%)."
        )
        if not tested:
            title = "Whether shares and class rates moved cannot be told from these rows."
        yield from wrap(title)
        for s in moved[:_MOST_SHOWN]:
            what = "share of all rows" if s.label is None else f"share of class {s.label}"
            yield from wrap(
                f"{s.group}: {what} from {s.then:.1%} of {s.n_then:,} to {s.now:.1%} of "
                f"{s.n_now:,} (p = {s.p:.2g})",
                "  ",
                "    ",
            )
        if len(moved) > _MOST_SHOWN:
            yield f"  ... and {len(moved) - _MOST_SHOWN} more: see shifts"

    def _end(self) -> Iterator[str]:
        if not self.violated:
            return
        names = "; ".join(f"({name})" for name in self.violated)
        done = "Went back to generic" if self.updated else 'To withdraw: update="withdraw"'
        yield from ("", *wrap(f"{done}: {names}."))


def reaudit(
    deployment: Serving,
    data: TrainingRows,
    class_counts: Counts,
    metric: Metric,
    alpha: float,
) -> Reaudit:
    """Re-audit the deployed routes on rows from deployment.

    Parameters
    ----------
    deployment : Deployment
    data : TrainingRows
        The rows.
    class_counts : sequence of m sequences of K int, or None
        As for `find_shifts`.
    metric : Metric
    alpha : float
    """
    table, features = deployment.table, data.features
    metric = settle(metric, data.target, data.classes, data.weight)
    routed = deployment.predictions(features, table.look_up(data.codes))
    generic = deployment.predictions(features, np.zeros(len(data.y), dtype=np.int64))
    reports = _routed_reports(table)
    slots = np.full(table.schema.n_reports, -1, dtype=np.int64)
    slots[reports] = np.arange(len(reports))
    own = slots[table.schema.report_ids(data.codes)]
    rows = replace(data.outcomes, groups=own, m=max(len(reports), 1))
    exact = metric.zero_one and rows.plain
    name = default_test(metric, rows, "exact McNemar" if exact else None)
    test = compare(metric, generic, routed, rows, name, Resampling(alpha))
    routes = _reviews(table, reports, test, alpha, same=metric.name == table.metric)
    violated = {
        report: r for report, r in zip(reports, routes, strict=True) if r.verdict == "violated"
    }
    withdrawn = table.reports_to_generic(
        {g: _why(r, metric, name) for g, r in violated.items()},
        "withdrawn",
        rows={g: r.n for g, r in violated.items()},
        gain={g: r.gain for g, r in violated.items()},
        low={g: r.low for g, r in violated.items()},
        high={g: r.high for g, r in violated.items()},
    )
    return Reaudit(
        tuple(routes),
        tuple(find_shifts(table, data, class_counts, alpha)),
        count_rows(data.groups >= 0, data.weight),
        count_rows(data.groups < 0, data.weight),
        metric.name,
        name,
        alpha,
        withdrawn,
    )


def _routed_reports(table: RoutingTable) -> list[int]:
    """Numbers of the reports with routes other than generic: groups, then partial reports."""
    told = (table.schema.report_codes > 0).all(axis=1)
    routed = table.grid.ravel() != 0
    partial = np.flatnonzero(routed & ~told).tolist() if table.partial else []
    return [*np.flatnonzero(routed & told).tolist(), *partial]


def _reviews(
    table: RoutingTable, reports: list[int], test: PairedTest, alpha: float, same: bool
) -> list[RouteReview]:
    """Verdicts: violations are one family, gains another; `same`: the table's gains compare."""
    if not reports:
        return []
    weight = _weights(test, np.ones(len(reports), dtype=bool), alpha)
    worse, better = (
        adjust(np.where(weight > 0, p, np.nan), "holm", weight=np.where(weight > 0, weight, 1))
        for p in (test.p_violation, test.p_gain)
    )
    with np.errstate(invalid="ignore"):
        level = alpha * weight / weight.sum()
    more = rows_needed(test.gain, test.se, test.n, level, se_null=test.se_null)
    reviews = []
    for g, report in enumerate(reports):
        code = table.schema.report_codes[report]
        record = table.record(code)
        assert record is not None
        verdict = "undetermined"
        if worse[g] <= alpha:
            verdict = "violated"
        elif better[g] <= alpha:
            verdict = "holds"
        reviews.append(
            RouteReview(
                record.report,
                table.schema.report_name(code),
                record.candidate,
                record.gain if same else None,
                int(test.n[g]),
                number(test.gain[g]),
                number(test.low[g]),
                number(test.high[g]),
                number(better[g]),
                number(worse[g]),
                verdict,
                0 if verdict != "undetermined" else whole_rows(more[g]),
                _reason(test, g, weight[g]),
            )
        )
    return reviews


def _reason(test: PairedTest, g: int, weight: float) -> str:
    """Why a route could not be tested; empty if it was."""
    reason = str(np.broadcast_to(test.reason, np.shape(test.n))[g])
    return reason or ("" if weight else "routed and generic differ on too few rows")


def _weights(test: PairedTest, served: NDArray[np.bool_], alpha: float) -> NDArray[np.float64]:
    """Share of alpha that each route gets; 0 where nothing could be shown.

    For error rates: the share of rows on which routed and generic differ, as a loss of some points
    is harder to see where they differ more. That share says nothing of which of the two is better,
    and the exact test is conditional on it, so that Holm's bound holds as it stands. A route that
    differs on so few rows that no outcome could be shown at alpha is left out (Tarone 1990).
    """
    testable = served & np.isfinite(test.p_violation)
    if test.test != "exact McNemar":
        return testable.astype(np.float64)
    n = np.asarray(test.n, dtype=np.float64)
    differ = np.where(testable, n * np.nan_to_num(test.se_null) ** 2, 0.0)
    return np.where(0.5 ** np.rint(n * differ) <= alpha, differ, 0.0)


def _why(review: RouteReview, metric: Metric, test: str) -> str:
    """Why a route was withdrawn, in a sentence."""
    return (
        f"withdrawn: {review.candidate} gains {metric.format_gain(review.gain)} on {review.n:,} "
        f"rows from deployment ({test}, corrected p = {review.p_violation:.2g})"
    )


def _routes(number: int) -> str:
    return "1 route" if number == 1 else f"{number} routes"
