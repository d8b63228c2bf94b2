"""Audits: what every group gains, how sure that is, and whether any has cause to complain.

Here lives what is asked of predictions, the records of the answers, and how they are shown. No
model is fitted here, no route chosen: predictions come in, from wherever they are.
"""

from fairuse_router.audit.arguments import AuditSettings, read_metrics
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.between import Between, between_groups
from fairuse_router.audit.build import Routing, audit_rows, count_rows
from fairuse_router.audit.calibrating import Calibration, calibration
from fairuse_router.audit.federated import Federation, SiteRecord, federate
from fairuse_router.audit.net_benefit import DecisionCurve, decision_curve
from fairuse_router.audit.public import audit_predictions
from fairuse_router.audit.queue import Ranking, ranking
from fairuse_router.audit.records import (
    OUT_OF_FOLD,
    REAUDIT,
    Counts,
    GainRecord,
    InterventionRecord,
    RiskRecord,
    SummaryRecord,
)
from fairuse_router.audit.summing import audit_sums
from fairuse_router.audit.sums import AuditSums
from fairuse_router.audit.temptation import Temptation, temptation_text, temptations
from fairuse_router.inference.envy import MisreportMoments

__all__ = [
    "OUT_OF_FOLD",
    "REAUDIT",
    "Audit",
    "AuditSettings",
    "AuditSums",
    "Between",
    "Calibration",
    "Counts",
    "DecisionCurve",
    "Federation",
    "GainRecord",
    "InterventionRecord",
    "MisreportMoments",
    "Ranking",
    "RiskRecord",
    "Routing",
    "SiteRecord",
    "SummaryRecord",
    "Temptation",
    "audit_predictions",
    "audit_rows",
    "audit_sums",
    "between_groups",
    "calibration",
    "count_rows",
    "decision_curve",
    "federate",
    "ranking",
    "read_metrics",
    "temptation_text",
    "temptations",
]
