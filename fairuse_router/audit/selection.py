"""Audit of the routes that were chosen, on the rows that chose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fairuse_router.audit.audit import Audit
from fairuse_router.audit.deployed import _audit, _audit_by
from fairuse_router.candidates.scores import Scores
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import Metric
from fairuse_router.routing.policies.evidence import served_predictions
from fairuse_router.routing.policies.rules import Choice
from fairuse_router.routing.records import GroupRecord
from fairuse_router.rows import Grouping, TrainingRows


def audit_choices(
    choices: Sequence[Choice],
    scores: Mapping[str, Scores],
    unavailable: Mapping[str, Mapping[int, str]],
    data: TrainingRows,
    schema: GroupSchema,
    metrics: Sequence[Metric],
    alpha: float,
    *,
    evidence: str,
    by: Grouping | None = None,
) -> Audit:
    """Audit the chosen routes and all candidates on the scores that chose them.

    The same rows chose the routes, so the gains of the routing flatter it; they are evidence of
    the choice, not a claim. Nobody is asked under other reports, so that there is no truthfulness:
    `audit_deployed` has it. `by` audits other groups than those that are routed.
    """
    routed = served_predictions(
        choices,
        data.groups,
        {name: s.predictions for name, s in scores.items()},
        {name: s.margins for name, s in scores.items() if s.margins is not None},
    )
    if by is not None:
        return _audit_by(by, data, scores, metrics, alpha, routed, evidence)
    return _audit(data, scores, schema, unavailable, metrics, alpha, routed, None, evidence)


def group_records(
    choices: Sequence[Choice],
    unavailable: Mapping[str, Mapping[int, str]],
    data: TrainingRows,
    schema: GroupSchema,
    metric: Metric,
    audit: Audit,
) -> list[GroupRecord]:
    """Put what is known of each group together, for the routing table."""
    names = {name: g for g, name in enumerate(schema.group_names())}
    risks: list[dict[str, float | None]] = [{} for _ in names]
    gains: list[tuple[float | None, float | None, float | None]]
    gains = [(None, None, None) for _ in names]
    for risk in audit.risks:
        if risk.group is not None and risk.metric == metric.name:
            risks[names[risk.group]][risk.candidate] = risk.risk
    for test in audit.rationality:
        if test.group is not None and (test.candidate, test.metric) == ("routed", metric.name):
            gains[names[test.group]] = (test.gain, test.low, test.high)
    rows = np.bincount(data.groups[data.groups >= 0], minlength=schema.n_groups)
    return [
        GroupRecord(
            schema.report_texts(code),
            int(rows[g]),
            choices[g].candidate,
            choices[g].reason,
            risks[g],
            *gains[g],
            {name: reasons[g] for name, reasons in unavailable.items() if g in reasons},
            choices[g].strength,
            choices[g].real,
        )
        for g, code in enumerate(schema.group_codes)
    ]
