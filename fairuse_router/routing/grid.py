"""The routing table as data: report -> route in one dense array, and the evidence behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC
from fairuse_router.documents import Document, plain, read, reading
from fairuse_router.groups import GroupSchema
from fairuse_router.inference import combine_intervals
from fairuse_router.routing.climb import check_parts, climb_routes, depends_on_less
from fairuse_router.routing.records import Change, GroupRecord, Route


@dataclass(frozen=True, eq=False)
class RoutingGrid(Document):
    """Report -> route, with the evidence per group; `RoutingTable` says more, and shows it."""

    _KIND = "a routing table"

    schema: GroupSchema
    routes: tuple[Route, ...]
    grid: NDArray[np.int64]
    groups: tuple[GroupRecord, ...]
    policy: str
    metric: str
    alpha: float = 0.1
    history: tuple[Change, ...] = ()
    partial: tuple[GroupRecord, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.grid.shape != self.schema.shape:
            raise ValueError(
                f"grid has shape {self.grid.shape}; the group attributes need {self.schema.shape}."
            )
        if self.grid.size and not 0 <= self.grid.min() <= self.grid.max() < len(self.routes):
            raise ValueError(f"grid points past the {len(self.routes)} routes.")
        if len(self.groups) != self.schema.n_groups:
            raise ValueError(f"{len(self.groups)} records for {self.schema.n_groups} groups.")
        check_table(self)

    @classmethod
    def from_choices(
        cls,
        schema: GroupSchema,
        groups: Sequence[GroupRecord],
        *,
        policy: str,
        metric: str,
        alpha: float,
        partial: Sequence[GroupRecord] = (),
        note: str = "",
    ) -> Self:
        """Build the table from the candidate of each group, and of each partial report.

        Full withholding is served by generic. Where partial reports have no records of their own,
        they go where all their completions go when they agree, else to generic, so that no
        prediction depends on a withheld column; `note` says why they have none.
        """
        if partial:
            routes, grid = climb_routes(schema, groups, partial)
            made = schema, tuple(routes), grid, tuple(groups), policy, metric, alpha, ()
            return cls(*made, tuple(partial), note)
        routes = [Route(GENERIC)]
        of_group = np.zeros(schema.n_groups, dtype=np.int64)
        for g, record in enumerate(groups):
            if record.candidate != GENERIC:
                of_group[g] = len(routes)
                routes.append(Route(record.candidate, g, record.strength))
        flat = np.zeros(schema.n_reports, dtype=np.int64)
        for i, code in enumerate(schema.report_codes):
            ends = np.unique(of_group[schema.completions(code)])
            flat[i] = ends[0] if code.any() and len(ends) == 1 else 0
        return cls(
            schema,
            tuple(routes),
            flat.reshape(schema.shape),
            tuple(groups),
            policy,
            metric,
            alpha,
            note=note,
        )

    def look_up(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Route of each report of codes [n, k], shape (n,)."""
        return self.grid.ravel()[self.schema.report_ids(codes)]

    def standing(self, code: NDArray[np.int64]) -> tuple[float, float, float, float]:
        """Training rows behind one report (k codes), and the gain, low and high of its route.

        Of all groups that it may come from together; 0 under generic, nan where undefined.
        """
        own = self.record(code)
        if own is not None:
            gain, low, high = map(_or_nan, (own.gain, own.low, own.high))
            if self.routes[int(self.grid[tuple(code)])].candidate == GENERIC:
                gain, low, high = 0.0, 0.0, 0.0
            return (_or_nan(own.rows), gain, low, high)
        records = [self.groups[g] for g in self.schema.completions(code)]
        rows = float(np.sum([_or_nan(r.rows) for r in records]))
        if self.routes[int(self.grid[tuple(code)])].candidate == GENERIC:
            return (rows, 0.0, 0.0, 0.0)
        share = np.array([1.0]) if len(records) == 1 else np.array([r.rows or 0 for r in records])
        parts = np.array([[_or_nan(v) for v in (r.gain, r.low, r.high)] for r in records])
        gain, low, high = parts.T
        with np.errstate(invalid="ignore"):
            return (rows, *combine_intervals(gain, low, high, share / share.sum()))

    def record(self, code: NDArray[np.int64]) -> GroupRecord | None:
        """What is known of one report (k codes); None of partial ones without routes of their own.

        With them, whoever withholds everything has a record, too.
        """
        if code.all():
            return self.groups[int(self.schema.group_ids(code[None, :])[0])]
        return self._partial.get(int(self.schema.report_ids(code[None, :])[0]))

    @cached_property
    def _partial(self) -> dict[int, GroupRecord]:
        """Records of partial reports, by their numbers."""
        if not self.partial:
            return {}
        numbers = np.flatnonzero((self.schema.report_codes == 0).any(axis=1)).tolist()
        return dict(zip(numbers, self.partial, strict=True))

    def reason(self, code: NDArray[np.int64]) -> str:
        """Why one report (k codes) is served by its route, in a sentence."""
        if not code.any():
            return "everything is withheld: generic needs no group attribute"
        own = self.record(code)
        if own is not None:
            return own.reason
        if self.routes[int(self.grid[tuple(code)])].candidate == GENERIC:
            ends = {self.groups[g].candidate for g in self.schema.completions(code)}
            if ends == {GENERIC}:
                return "all groups it may come from are served by generic"
            return "the groups it may come from are served differently: generic"
        return "all groups it may come from share this route"

    def weights(self) -> NDArray[np.float64]:
        """Training rows of every group, shape (m,); 1 where a bundle leaves small counts out."""
        rows = np.array([1 if r.rows is None else r.rows for r in self.groups], dtype=np.float64)
        return rows if rows.any() else np.ones_like(rows)

    @cached_property
    def group_reports(self) -> NDArray[np.int64]:
        """Number in the grid of every group's report, shape (m,)."""
        return self.schema.report_ids(self.schema.group_codes)

    def to_generic(self, reasons: Mapping[int, str], event: str, **evidence: Any) -> Self:
        """Send some groups back to generic: `reports_to_generic` by the numbers of groups."""
        numbers = self.group_reports.tolist()
        by_report = {
            name: {numbers[g]: value for g, value in values.items()}
            for name, values in evidence.items()
        }
        why = {numbers[g]: reason for g, reason in reasons.items()}
        return self.reports_to_generic(why, event, **by_report)

    def reports_to_generic(self, reasons: Mapping[int, str], event: str, **evidence: Any) -> Self:
        """Send some reports back to generic, and nothing else, and keep a record of it.

        Parameters
        ----------
        reasons : dict of int to str
            The reports, by their numbers in the grid, and why.
        event : {"collapsed", "withdrawn"}
        **evidence
            ``rows``, ``gain``, ``low``, ``high``: dicts by report; its record if left out.

        Returns
        -------
        RoutingTable
            Partial reports without records of their own follow if their groups no longer share a
            route. Routes that serve nobody any more are dropped.
        """
        groups, partial, changes = list(self.groups), list(self.partial), []
        grid, codes = self.grid.copy(), self.schema.report_codes
        group_of = {report: g for g, report in enumerate(self.group_reports.tolist())}
        partial_of = {report: i for i, report in enumerate(self._partial)}
        for report, reason in reasons.items():
            of, i = (groups, group_of[report]) if codes[report].all() else (partial, -1)
            i = partial_of[report] if i < 0 else i
            old = of[i]
            numbers = {
                name: evidence[name][report] if name in evidence else getattr(old, name)
                for name in ("rows", "gain", "low", "high")
            }
            changes.append(Change(event, old.report, old.candidate, reason, **numbers))
            of[i] = _as_generic(old, reason)
            grid[tuple(codes[report])] = 0
        if not partial:
            ends = grid[tuple(self.schema.group_codes.T)]
            for code in codes[grid.ravel() > 0]:
                if (ends[self.schema.completions(code)] != grid[tuple(code)]).any():
                    grid[tuple(code)] = 0
        used = np.union1d([0], grid)
        return replace(
            self,
            routes=tuple(self.routes[r] for r in used),
            grid=np.searchsorted(used, grid),
            groups=tuple(groups),
            partial=tuple(partial),
            history=(*self.history, *changes),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RoutingGrid) and self.to_dict() == other.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what the bundle carries and `from_dict` reads."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["grid"] = self.grid.ravel().tolist()
        return plain({k: v for k, v in data.items() if v or k not in ("partial", "note")})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises
        ------
        ValueError
            If parts are missing, malformed, or contradict each other.
        """
        with reading("data", cls._KIND):
            schema = GroupSchema.from_dict(data["schema"])
            if not all(type(route) is int for route in data["grid"]):
                raise ValueError("grid holds something else than whole numbers.")
            grid = np.array(data["grid"], dtype=np.int64)
            if grid.shape != (schema.n_reports,):
                raise ValueError(
                    f"grid has {grid.size} entries; the group attributes need {schema.n_reports}."
                )
            routes = read(tuple[Route, ...], data["routes"])
            grid = grid.reshape(schema.shape)
            groups = read(tuple[GroupRecord, ...], data["groups"])
            partial = read(tuple[GroupRecord, ...], data.get("partial", []))
            _check_numbers((*groups, *partial))
            if not any("strength" in told for told in data["groups"]):  # as older tables are
                groups = _with_strengths(groups, routes, grid[tuple(schema.group_codes.T)])
            return cls(
                schema,
                routes,
                grid,
                groups,
                data["policy"],
                data["metric"],
                data["alpha"],
                read(tuple[Change, ...], data.get("history", [])),
                partial,
                read(str, data.get("note", "")),
            )


def check_table(table: RoutingGrid) -> None:
    """Refuse a table whose parts contradict each other.

    Raises
    ------
    ValueError
    """
    if not (isinstance(table.alpha, (int, float)) and 0 < table.alpha < 1):
        raise ValueError(f"alpha is {table.alpha!r}; it lies between 0 and 1.")
    if not (isinstance(table.policy, str) and isinstance(table.metric, str)):
        raise ValueError("policy and metric are texts.")
    if not table.routes or table.routes[0] != Route(GENERIC):
        raise ValueError("the first route is generic, for those who withhold.")
    for route in table.routes[1:]:
        whole = isinstance(route.group, Integral) and not isinstance(route.group, bool)
        if route.report is None and (
            not whole or not 0 <= int(route.group or 0) < len(table.groups)
        ):
            raise ValueError(f"a route is for group {route.group!r} of {len(table.groups)}.")
        if not isinstance(route.candidate, str) or route.candidate == GENERIC:
            raise ValueError(f"a route of group {route.group} is to {route.candidate!r}.")
        if not 0 < route.strength <= 1:
            raise ValueError(f"a route has the strength {route.strength!r}; it is in (0, 1].")
    check_parts(table.schema, table.routes)
    _check_groups(table)
    _check_partial(table)


def _check_groups(table: RoutingGrid) -> None:
    """Refuse records that say otherwise than the grid."""
    codes = table.schema.group_codes
    ends = table.grid[tuple(codes.T)].tolist()
    for g, (record, end) in enumerate(zip(table.groups, ends, strict=True)):
        told = table.schema.report_texts(codes[g])
        if record.report != told:
            raise ValueError(f"the record of the group {told} is of {record.report}.")
        route = table.routes[end]
        mine = end == 0 or (route.group == g and route.report is None)
        mine = mine or depends_on_less(table.schema, route, codes[g])
        told_twice = (record.candidate, record.strength) == (route.candidate, route.strength)
        if not mine or not told_twice:
            raise ValueError(
                f"the group {told} is served by {record.candidate!r}, says its record, and by "
                f"{route.candidate!r} of group {route.group}, says the grid."
            )
        whole = isinstance(record.rows, Integral) and not isinstance(record.rows, bool)
        if record.rows is not None and not (whole and record.rows >= 0):
            raise ValueError(f"the group {told} has {record.rows!r} rows.")


def _with_strengths(
    groups: tuple[GroupRecord, ...], routes: tuple[Route, ...], ends: NDArray[np.int64]
) -> tuple[GroupRecord, ...]:
    """Give each group the strength of its route; what contradicts itself is left to the check."""
    if len(groups) != len(ends) or not all(0 <= end < len(routes) for end in ends):
        return groups
    return tuple(replace(groups[g], strength=routes[end].strength) for g, end in enumerate(ends))


def _check_numbers(groups: Sequence[GroupRecord]) -> None:
    """Refuse NaN in a document, where None is what is undefined."""
    for record in groups:
        numbers = (*record.risks.values(), record.gain, record.low, record.high)
        if any(v is not None and math.isnan(v) for v in numbers):
            raise ValueError(f"the group {record.report} has a risk or a gain that is NaN.")


def _check_partial(table: RoutingGrid) -> None:
    """Refuse routes that depend on what a report withholds, and records that say otherwise."""
    ends = table.grid[tuple(table.schema.group_codes.T)]
    routed = table.schema.report_codes[table.grid.ravel() > 0]
    for code in routed[(routed == 0).any(axis=1)]:
        end = int(table.grid[tuple(code)])
        if not code.any() or not (
            depends_on_less(table.schema, table.routes[end], code)
            or (ends[table.schema.completions(code)] == end).all()
        ):
            raise ValueError(
                f"the report ({table.schema.report_name(code)}) goes another way than a group it "
                "may come from."
            )
    withheld = table.schema.report_codes[(table.schema.report_codes == 0).any(axis=1)]
    if table.partial and len(table.partial) != len(withheld):
        raise ValueError(f"{len(table.partial)} records of {len(withheld)} partial reports.")
    for record, code in zip(table.partial, withheld, strict=False):
        told, route = table.schema.report_texts(code), table.routes[int(table.grid[tuple(code)])]
        if record.report != told:
            raise ValueError(f"the record of the report {told} is of {record.report}.")
        if (record.candidate, record.strength) != (route.candidate, route.strength):
            raise ValueError(f"the report {told} is served otherwise than its record says.")


def _or_nan(value: float | None) -> float:
    """A number, nan for None."""
    return math.nan if value is None else float(value)


def _as_generic(record: GroupRecord, reason: str) -> GroupRecord:
    """A group's record once generic serves it."""
    risks = dict(record.risks)
    if "routed" in risks:
        risks["routed"] = risks.get(GENERIC)
    return replace(
        record,
        candidate=GENERIC,
        reason=reason,
        risks=risks,
        gain=0.0,
        low=0.0,
        high=0.0,
        strength=1.0,
        base=None,
        keeps=False,
    )
