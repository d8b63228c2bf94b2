"""The routing table as data: report -> route in one dense array, and the evidence behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC
from fairuse_router.documents import Document, plain, read, reading
from fairuse_router.groups import GroupSchema
from fairuse_router.inference import combine_intervals
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
    ) -> Self:
        """Build the table from the candidate of each group.

        Full withholding is served by generic. A partial report goes where all its completions go
        when they agree, else to generic, so that no prediction depends on a withheld column.
        """
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
            schema, tuple(routes), flat.reshape(schema.shape), tuple(groups), policy, metric, alpha
        )

    def look_up(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Route of each report of codes [n, k], shape (n,)."""
        return self.grid.ravel()[self.schema.report_ids(codes)]

    def standing(self, code: NDArray[np.int64]) -> tuple[float, float, float, float]:
        """Training rows behind one report (k codes), and the gain, low and high of its route.

        Of all groups that it may come from together; 0 under generic, nan where undefined.
        """
        records = [self.groups[g] for g in self.schema.completions(code)]
        rows = float(np.sum([_or_nan(r.rows) for r in records]))
        if self.routes[int(self.grid[tuple(code)])].candidate == GENERIC:
            return (rows, 0.0, 0.0, 0.0)
        share = np.array([1.0]) if len(records) == 1 else np.array([r.rows or 0 for r in records])
        parts = np.array([[_or_nan(v) for v in (r.gain, r.low, r.high)] for r in records])
        gain, low, high = parts.T
        with np.errstate(invalid="ignore"):
            return (rows, *combine_intervals(gain, low, high, share / share.sum()))

    def reason(self, code: NDArray[np.int64]) -> str:
        """Why one report (k codes) is served by its route, in a sentence."""
        group = int(self.schema.group_ids(code[None, :])[0])
        if group >= 0:
            return self.groups[group].reason
        if not code.any():
            return "everything is withheld: generic needs no group attribute"
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

    def to_generic(self, reasons: Mapping[int, str], event: str, **evidence: Any) -> Self:
        """Send some groups back to generic, and nothing else, and keep a record of it.

        Parameters
        ----------
        reasons : dict of int to str
            The groups, by number, and why.
        event : {"collapsed", "withdrawn"}
        **evidence
            ``rows``, ``gain``, ``low``, ``high``: dicts by group; the group's record if left out.

        Returns
        -------
        RoutingTable
            Partial reports follow if their groups no longer share a route. Routes that serve nobody
            any more are dropped.
        """
        groups, changes = list(self.groups), []
        grid, full = self.grid.copy(), self.schema.group_codes
        for g, reason in reasons.items():
            old = groups[g]
            numbers = {
                name: evidence[name][g] if name in evidence else getattr(old, name)
                for name in ("rows", "gain", "low", "high")
            }
            changes.append(Change(event, old.report, old.candidate, reason, **numbers))
            groups[g] = _as_generic(old, reason)
            grid[tuple(full[g])] = 0
        ends = grid[tuple(full.T)]
        for code in self.schema.report_codes[grid.ravel() > 0]:
            if (ends[self.schema.completions(code)] != grid[tuple(code)]).any():
                grid[tuple(code)] = 0
        used = np.union1d([0], grid)
        return replace(
            self,
            routes=tuple(self.routes[r] for r in used),
            grid=np.searchsorted(used, grid),
            groups=tuple(groups),
            history=(*self.history, *changes),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RoutingGrid) and self.to_dict() == other.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what the bundle carries and `from_dict` reads."""
        return plain({**vars(self), "grid": self.grid.ravel().tolist()})

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
            _check_numbers(groups)
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
        if not whole or not 0 <= int(route.group or 0) < len(table.groups):
            raise ValueError(f"a route is for group {route.group!r} of {len(table.groups)}.")
        if not isinstance(route.candidate, str) or route.candidate == GENERIC:
            raise ValueError(f"a route of group {route.group} is to {route.candidate!r}.")
        if not 0 < route.strength <= 1:
            raise ValueError(f"a route has the strength {route.strength!r}; it is in (0, 1].")
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
        mine = route.group == g or end == 0
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
    """Refuse routes that depend on what a report withholds."""
    ends = table.grid[tuple(table.schema.group_codes.T)]
    routed = table.schema.report_codes[table.grid.ravel() > 0]
    for code in routed[(routed == 0).any(axis=1)]:
        same = ends[table.schema.completions(code)] == table.grid[tuple(code)]
        if not same.all() or not code.any():
            raise ValueError(
                f"the report ({table.schema.report_name(code)}) goes another way than a group it "
                "may come from."
            )


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
    )
