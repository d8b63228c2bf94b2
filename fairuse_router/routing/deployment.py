"""What is deployed: models, and the table that says which of them serves which report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fairuse_router.candidates.candidate import Candidate, ServedModel
from fairuse_router.candidates.names import GENERIC
from fairuse_router.routing.table import RoutingTable


class Deployed:
    """What a router is to what lies below it: those that write, audit or show one ask for this."""


def check_table(table: RoutingTable, router: Any) -> None:
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


def check_router(router: Any) -> None:
    """Refuse what is no fitted router.

    Raises
    ------
    TypeError
        If it is no FairUseRouter.
    NotFittedError
        If it is not fitted.
    """
    if not isinstance(router, Deployed):
        kind = f"the class {router.__name__}" if isinstance(router, type) else type(router).__name__
        raise TypeError(
            f"router must be a fitted FairUseRouter; got {kind}. If a Pipeline holds the router, "
            "pass its step."
        )
    check_is_fitted(router)


def served_models(
    candidates: Mapping[str, Candidate], table: RoutingTable
) -> tuple[list[ServedModel], NDArray[np.int64]]:
    """Return the distinct models that a routing table uses, and the model of every route.

    Returns
    -------
    models : list of ServedModel
    model_of_route : ndarray of int64, shape (n_routes,)
        Index into `models`.
    """
    models: list[ServedModel] = []
    index: dict[tuple[str, int], int] = {}
    of_route = np.zeros(len(table.routes), dtype=np.int64)
    groups = np.array([route.group or 0 for route in table.routes], dtype=np.int64)
    for r, route in enumerate(table.routes):
        candidate = candidates[route.candidate]
        which = 0 if route.group is None else int(candidate.model_of_group[route.group])
        key = (route.candidate, which)
        if key not in index:
            index[key] = len(models)
            own = np.array([s.candidate == route.candidate for s in table.routes])
            strengths = np.where(own, [s.strength for s in table.routes], 1.0)
            models.append(candidate.under_routes(which, groups, strengths))
        of_route[r] = index[key]
    return models, of_route
