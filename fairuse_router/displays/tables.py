"""The routing table of whatever serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairuse_router.bundle import Bundle
from fairuse_router.routing.table import RoutingTable

if TYPE_CHECKING:  # it loads scikit-learn, which a bundle does not need
    from fairuse_router.routing.deployed import Deployed


def table_of(router: Deployed | Bundle) -> RoutingTable:
    """Return the routing table of a fitted router or of a bundle.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if isinstance(router, Bundle):
        return router.routing_table
    from fairuse_router.routing.deployed import check_router

    check_router(router)
    return router.routing_table_
