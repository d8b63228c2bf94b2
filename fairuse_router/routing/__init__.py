"""Routing: the table from reports to models, and the policies that choose it.

Here lives which model serves which report, why, and what need not be asked. No model is fitted or
called here. The policies are imported on first use, so that a table loads no scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairuse_router.routing.asking import order_questions, settled, spread
from fairuse_router.routing.collapse import Price
from fairuse_router.routing.plan import DisclosurePlan, Step
from fairuse_router.routing.records import Change, GroupRecord, Part, Route
from fairuse_router.routing.routed import RoutedRows
from fairuse_router.routing.table import RoutingTable

if TYPE_CHECKING:
    from fairuse_router.routing.policies.rules import (
        POLICIES,
        Choice,
        Evidence,
        choose,
        choose_reports,
    )

__all__ = [
    "POLICIES",
    "Change",
    "Choice",
    "DisclosurePlan",
    "Evidence",
    "GroupRecord",
    "Part",
    "Price",
    "Route",
    "RoutedRows",
    "RoutingTable",
    "Step",
    "choose",
    "choose_reports",
    "order_questions",
    "settled",
    "spread",
]


def __getattr__(name: str) -> Any:
    if name in ("POLICIES", "Choice", "Evidence", "choose", "choose_reports"):
        from fairuse_router.routing.policies import rules

        return getattr(rules, name)
    raise AttributeError(f"module 'fairuse_router.routing' has no attribute {name!r}")
