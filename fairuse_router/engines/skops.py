"""What skops must trust to read a router that it wrote.

``skops.io.dump(router, path)`` writes a fitted router without a pickle;
``skops.io.load(path, trusted=[*TRUSTED, ...])`` reads it, with the types of the user's own
estimators beside these where they are not scikit-learn's.
"""

from __future__ import annotations

__all__ = ["TRUSTED"]

TRUSTED: tuple[str, ...] = (
    "fairuse_router.audit.audit.Audit",
    "fairuse_router.audit.gain_table.Block",
    "fairuse_router.audit.gain_table.GainTable",
    "fairuse_router.audit.monitor.Reference",
    "fairuse_router.audit.records.RiskRecord",
    "fairuse_router.candidates.blended.BlendedClassifier",
    "fairuse_router.candidates.blended.BlendedRegressor",
    "fairuse_router.candidates.candidate.Candidate",
    "fairuse_router.candidates.candidate.ServedModel",
    "fairuse_router.candidates.corrected.CorrectedClassifier",
    "fairuse_router.candidates.corrected.CorrectedRegressor",
    "fairuse_router.candidates.injection.KeepLast",
    "fairuse_router.candidates.lattice.Lattice",
    "fairuse_router.candidates.lattice.Layer",
    "fairuse_router.groups.Cells",
    "fairuse_router.groups.GroupSchema",
    "fairuse_router.router.FairUseRouter",
    "fairuse_router.routing.deployment.Deployment",
    "fairuse_router.routing.honest.HonestGain",
    "fairuse_router.routing.honest.HonestGains",
    "fairuse_router.routing.records.GroupRecord",
    "fairuse_router.routing.records.Part",
    "fairuse_router.routing.records.Route",
    "fairuse_router.routing.table.RoutingTable",
    "fairuse_router.rows.Columns",
    "fairuse_router.tables.InputColumn",
)
