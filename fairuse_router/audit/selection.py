"""Audit of the routes that were chosen, on the rows that chose them or were opened to certify."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.audit.arguments import AuditSettings
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.build import Routing, audit_rows
from fairuse_router.candidates.names import GENERIC, ROUTED
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import threshold_of
from fairuse_router.routing.policies.evidence import Choice, Chosen, Evidence, served_scores
from fairuse_router.routing.records import GroupRecord
from fairuse_router.rows import Grouping

_MOVED = 0.05  # of a group, that a threshold newly treats or leaves


def audit_choices(
    choices: Sequence[Choice],
    evidence: Evidence,
    schema: GroupSchema,
    rows: str,
    by: Grouping | None = None,
) -> Audit:
    """Audit the chosen routes and all candidates on the scores that chose them.

    The same rows chose the routes, so the gains of the routing flatter it; they are evidence of
    the choice, not a claim. Nobody is asked under other reports, so that there is no truthfulness:
    `audit_deployed` has it. `rows` says what rows these are; `by` audits other groups than those
    that are routed.
    """
    routes = np.array([g + 1 if c.candidate != GENERIC else 0 for g, c in enumerate(choices)] + [0])
    routing = Routing(served_scores(choices, evidence).predictions, routes[evidence.rows.groups])
    testing = AuditSettings(alpha=evidence.settings.alpha, rows=rows)
    if by is not None:
        return audit_rows(regrouped(evidence, by), by.schema, testing, routing)
    return audit_rows(evidence, schema, testing, routing)


def regrouped(evidence: Evidence, by: Grouping) -> Evidence:
    """Return evidence by other groups: nobody reports them, so there is nothing to misreport."""
    return replace(
        evidence,
        rows=replace(evidence.rows, groups=by.ids, m=by.schema.n_groups),
        scores={name: replace(own, misreports=None) for name, own in evidence.scores.items()},
        unavailable={},
    )


def warn_of_moved_shares(
    choices: Sequence[Choice], evidence: Evidence, schema: GroupSchema, threshold: float | None
) -> None:
    """Warn where routing moves the share of a group above the threshold by more than 5 points.

    The threshold is the router's, or that of the metric that routes were chosen by. More of a group
    are then treated, or fewer, whatever the metric gains: somebody has to know.
    """
    at = threshold_of(evidence.metric) if threshold is None else threshold
    routed, generic = served_scores(choices, evidence), evidence.predictions(GENERIC)
    if at is None or routed.predictions.proba is None or generic.proba is None:
        return
    rows, moved = evidence.rows.only(routed.scored), []
    for g, members in enumerate(rows.members):
        if len(members) and choices[g].candidate != GENERIC:
            weight = None if rows.weight is None else rows.weight[members]
            then, now = (
                float(np.average(p.proba[members, 1] >= at, weights=weight))
                for p in (generic, routed.predictions)
                if p.proba is not None
            )
            if abs(now - then) > _MOVED:
                moved.append(f"{schema.group_names()[g]}: {then:.0%} to {now:.0%}")
    if moved:
        warnings.warn(
            f"Routing moves the share of people at or above the threshold of {at:g} by more than "
            f"{100 * _MOVED:.0f} points in {len(moved)} group(s): {'; '.join(moved[:5])}. Check "
            "that there is room for that many, and calibration(X, y) before and after.",
            UserWarning,
            stacklevel=3,
        )


def group_records(
    chosen: Chosen,
    schema: GroupSchema,
    sizes: NDArray[np.int64],
    audit: Audit,
) -> list[GroupRecord]:
    """Put what is known of each group together, for the routing table.

    `sizes` are the training rows of each group; the evidence may be of others.
    """
    choices, evidence = chosen.groups, chosen.evidence
    metric, unavailable = evidence.metric, evidence.unavailable
    risks: dict[str | None, dict[str, float | None]] = {name: {} for name in audit.groups}
    for risk in audit.risks:
        if risk.group is not None and risk.metric == metric.name:
            risks[risk.group][risk.candidate] = risk.risk
    gains = {
        test.group: (0.0, 0.0, 0.0) if test.verdict == "same" else (test.gain, test.low, test.high)
        for test in audit.rationality
        if (test.candidate, test.metric) == (ROUTED, metric.name)
    }
    return [
        GroupRecord(
            schema.report_texts(code),
            int(sizes[g]),
            choices[g].candidate,
            choices[g].reason,
            risks[name],
            *gains[name],
            {rival: why[g] for rival, why in unavailable.items() if g in why},
            choices[g].strength,
            choices[g].real,
            _texts(schema, choices[g].base),
            not choices[g].own,
        )
        for g, (code, name) in enumerate(zip(schema.group_codes, audit.groups, strict=True))
    ]


def _texts(schema: GroupSchema, report: int | None) -> tuple[str, ...] | None:
    """A report by its number, None for generic's."""
    return None if report is None else schema.report_texts(schema.report_codes[report])
