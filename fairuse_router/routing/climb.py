"""Routes of partial reports: from the choice for each report to routes that share corrections."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC
from fairuse_router.groups import GroupSchema
from fairuse_router.routing.records import GroupRecord, Part, Route

_WHOLE = 1 + 1e-9


def climb_routes(
    schema: GroupSchema, groups: Sequence[GroupRecord], partial: Sequence[GroupRecord]
) -> tuple[list[Route], NDArray[np.int64]]:
    """Routes, and the route of every report, from few answers to many.

    A report that keeps the route of a coarser one shares it. One that starts from it uses what is
    left of its parts.

    Parameters
    ----------
    schema : GroupSchema
    groups : sequence of GroupRecord
        In group order.
    partial : sequence of GroupRecord
        Of all reports that withhold something, in the order of the grid.
    """
    told = (schema.report_codes > 0).sum(axis=1)
    numbers = schema.report_ids(schema.group_codes).tolist()
    withheld = np.flatnonzero(told < len(schema.levels)).tolist()
    records = dict(zip(numbers, groups, strict=True)) | dict(zip(withheld, partial, strict=True))
    of_text = {schema.report_texts(schema.report_codes[r]): r for r in withheld}
    place = {number: g for g, number in enumerate(numbers)}
    routes, flat = [Route(GENERIC)], np.zeros(schema.n_reports, dtype=np.int64)
    for r in np.argsort(told, kind="stable").tolist():
        record = records[r]
        base = None if record.base is None else of_text[record.base]
        if record.candidate == GENERIC:
            continue
        if record.keeps and base is not None:
            flat[r] = flat[base]
            continue
        parts = () if base is None else _left(routes[int(flat[base])], 1 - record.strength)
        flat[r] = len(routes)
        group = place.get(r)
        report = r if group is None else None
        routes.append(Route(record.candidate, group, record.strength, report, parts))
    return routes, flat.reshape(schema.shape)


def _left(route: Route, share: float) -> tuple[Part, ...]:
    """What a share of a partial report's route uses of every correction; none of it at 0."""
    if share <= 0 or route.report is None:
        return ()
    own = Part(route.report, share * route.strength)
    return (*(Part(p.report, share * p.weight) for p in route.parts), own)


def reports_of(schema: GroupSchema, route: Route) -> list[int]:
    """Numbers of the reports that a route's answers depend on, its own first."""
    own = route.report
    if own is None and route.group is not None:
        own = int(schema.report_ids(schema.group_codes[[route.group]])[0])
    return [*([] if own is None else [own]), *(part.report for part in route.parts)]


def depends_on_less(schema: GroupSchema, route: Route, code: NDArray[np.int64]) -> bool:
    """Whether a route uses nothing but what a report (k codes) tells."""
    used = schema.report_codes[reports_of(schema, route)]
    return bool(((used == 0) | (used == code)).all())


def check_parts(schema: GroupSchema, routes: Sequence[Route]) -> None:
    """Refuse routes that start from what their own report does not tell.

    Raises
    ------
    ValueError
    """
    for route in routes:
        if route.report is None and not route.parts:
            continue
        for report in (route.report, *(part.report for part in route.parts)):
            whole = isinstance(report, Integral) and not isinstance(report, bool)
            if report is not None and not (whole and 0 < int(report) < schema.n_reports):
                raise ValueError(f"a route is for report {report!r} of {schema.n_reports}.")
        if (route.group is None) == (route.report is None):
            raise ValueError("a route is for a group, or for a partial report.")
        own = schema.report_codes[reports_of(schema, route)[0]]
        if not depends_on_less(schema, route, own):
            raise ValueError(
                f"the route of ({schema.report_name(own)}) starts from what that does not tell."
            )
        weights = [part.weight for part in route.parts]
        if not all(0 < w < 1 for w in weights) or sum(weights, route.strength) > _WHOLE:
            raise ValueError(
                f"a route uses {route.strength!r} and {weights!r} of its corrections: more than all"
            )
