"""Routing: the table from reports to models, and the policies that choose it."""

from fairuse_router.routing.table import GroupRecord, Route, RoutedRows, RoutingTable

__all__ = ["GroupRecord", "Route", "RoutedRows", "RoutingTable"]
