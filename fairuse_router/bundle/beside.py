"""Candidates that a bundle keeps beside its routes, as routes that no report takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fairuse_router.candidates.names import GENERIC
from fairuse_router.routing.deployed import Deployed
from fairuse_router.routing.records import Route
from fairuse_router.routing.table import RoutingTable


def with_all_candidates(router: Deployed, keep: bool) -> RoutingTable | None:
    """The router's table with a route from every group to every candidate it has; None if not."""
    if not keep:
        return None
    table = router.routing_table_
    wanted = [
        Route(name, g)
        for name, candidate in router.candidates_.items()
        if name != GENERIC
        for g in np.flatnonzero(candidate.model_of_group >= 0).tolist()
    ]
    known = set(table.routes)
    return replace(table, routes=(*table.routes, *(r for r in wanted if r not in known)))
