"""Serving another routing table with the models at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fairuse_router.audit import Audit
from fairuse_router.routing.table import GENERIC, RoutingTable


def serve_table(router: Any, table: RoutingTable) -> None:
    """Make a fitted router serve another table, and forget what was measured of the old routing.

    Raises
    ------
    TypeError, ValueError
        For something else than a table, other group attributes, or models that it does not have.
    """
    _check(table, router)
    router._install(table)
    router.audit_, router.honest_gains_ = _without_routing(router.audit_), None
    if router.audit_only_ is not None:
        router.audit_only_ = _without_routing(router.audit_only_)


def _without_routing(audit: Audit) -> Audit:
    """What an audit still says once another table serves: all but what it says of the routing."""
    kept: dict[str, Any] = {
        name: tuple(r for r in getattr(audit, name) if r.candidate != "routed")
        for name in ("risks", "overall", "rationality", "envy_freeness", "truthfulness")
    }
    candidates = tuple(name for name in audit.candidates if name != "routed")
    return replace(audit, candidates=candidates, **kept)


def _check(table: RoutingTable, router: Any) -> None:
    """Refuse a table that a router cannot serve."""
    if not isinstance(table, RoutingTable):
        raise TypeError(f"table is a {type(table).__name__}; pass a RoutingTable.")
    if table.schema != router.schema_:
        raise ValueError(
            f"table is for {list(table.schema.attributes)} with the levels "
            f"{[list(v) for v in table.schema.levels]}; the router was fitted on "
            f"{list(router.schema_.attributes)} with {[list(v) for v in router.schema_.levels]}. "
            "Change the router's own routing_table_."
        )
    for route in table.routes:
        candidate = router.candidates_.get(route.candidate)
        if candidate is None:
            raise ValueError(
                f"table routes to {route.candidate!r}; the router has {list(router.candidates_)}."
            )
        if route.candidate != GENERIC and candidate.model_of_group[route.group] < 0:
            raise ValueError(
                f"table routes group {route.group} to {route.candidate!r}, which has no model for "
                "it. Send the group to another candidate."
            )
