"""Policies: rules that choose a candidate for every group.

Here lives arithmetic on scores: a rule takes `Evidence` and returns a `Choice` for every group.
No rule fits a model, knows X, or writes a table.
"""

from fairuse_router.routing.policies.evidence import Choice, Evidence
from fairuse_router.routing.policies.rules import POLICIES, choose, choose_certified

__all__ = ["POLICIES", "Choice", "Evidence", "choose", "choose_certified"]
