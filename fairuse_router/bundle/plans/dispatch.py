"""Dispatch: the one place that chooses how rows reach the models that serve them."""

from __future__ import annotations

from fairuse_router.bundle.families.corrected import share_base
from fairuse_router.bundle.families.request import Request, Routed
from fairuse_router.bundle.plans.assemble import Plan
from fairuse_router.bundle.plans.merged import MergedTrees
from fairuse_router.bundle.plans.partition import Partition
from fairuse_router.bundle.plans.product import Product


def choose_plan(routed: Routed, request: Request) -> Plan:
    """Choose between one product for all models, merged trees, and a partition of the rows.

    Raises
    ------
    ValueError
        If a model cannot be written; the message names its candidate.
    """
    routed = share_base(routed)
    for kind in (Product, MergedTrees):
        plan: Plan | None = kind.of(routed, request)
        if plan is not None:
            return plan
    return Partition.of(routed, request)
