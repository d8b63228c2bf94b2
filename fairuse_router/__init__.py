"""FairUseRouter: give every group the model that serves it.

Names are imported on first use, so that serving a bundle does not load scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairuse_router.audit import Audit, AuditSums, audit_predictions, audit_sums
    from fairuse_router.bundle import Bundle, export_bundle
    from fairuse_router.groups import WITHHELD, GroupSchema
    from fairuse_router.router import FairUseRouter
    from fairuse_router.routing import RoutingTable

__version__ = "0.2.0"

_HOMES = {
    "Audit": "audit",
    "AuditSums": "audit",
    "Bundle": "bundle",
    "FairUseRouter": "router",
    "GroupSchema": "groups",
    "RoutingTable": "routing",
    "WITHHELD": "groups",
    "audit_predictions": "audit",
    "audit_sums": "audit",
    "export_bundle": "bundle",
}

__all__ = [
    "WITHHELD",
    "Audit",
    "AuditSums",
    "Bundle",
    "FairUseRouter",
    "GroupSchema",
    "RoutingTable",
    "audit_predictions",
    "audit_sums",
    "export_bundle",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"fairuse_router.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'fairuse_router' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
