"""Routing: the table from reports to models, and the policies that choose it."""

from fairuse_router.routing.collapse import Price
from fairuse_router.routing.plan import DisclosurePlan, Step
from fairuse_router.routing.records import Change, GroupRecord, Route
from fairuse_router.routing.routed import RoutedRows
from fairuse_router.routing.table import RoutingTable

__all__ = [
    "Change",
    "DisclosurePlan",
    "GroupRecord",
    "Price",
    "Route",
    "RoutedRows",
    "RoutingTable",
    "Step",
]
