"""Audits: what every group gains, how sure that is, and whether any has cause to complain."""

from fairuse_router.audit.build import audit_rows, read_metrics
from fairuse_router.audit.misreports import MisreportMoments
from fairuse_router.audit.public import audit_predictions
from fairuse_router.audit.records import (
    OUT_OF_FOLD,
    Counts,
    GainRecord,
    InterventionRecord,
    RiskRecord,
    SummaryRecord,
)
from fairuse_router.audit.result import Audit

__all__ = [
    "OUT_OF_FOLD",
    "Audit",
    "Counts",
    "GainRecord",
    "InterventionRecord",
    "MisreportMoments",
    "RiskRecord",
    "SummaryRecord",
    "audit_predictions",
    "audit_rows",
    "read_metrics",
]
