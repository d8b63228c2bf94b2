"""What remedies for a harmed group would have brought it on the audited rows."""

from __future__ import annotations

from collections.abc import Iterator

from fairuse_router.audit.records import AuditRecords, GainRecord, InterventionRecord

__all__ = ["RULES", "intervene"]

RULES = ("estimate", "verdict")


def intervene(
    audit: AuditRecords, candidate: str | None, decoupled: str, rule: str
) -> Iterator[InterventionRecord]:
    """Yield the records of `Audit.interventions`."""
    if rule not in RULES:
        raise ValueError(f"rule={rule!r} is not known. Allowed: {', '.join(RULES)}.")
    personalized = [name for name in audit.candidates if name != audit.baseline]
    if candidate is not None and candidate not in personalized:
        raise ValueError(
            f"candidate={candidate!r} is not one that was compared with {audit.baseline!r}. "
            f"Allowed: {', '.join(personalized) or 'none, the audit has no other candidate'}."
        )
    gains = {(r.metric, r.candidate, r.group): r for r in (*audit.overall, *audit.rationality)}
    risks = {(r.metric, r.candidate, r.group): r.risk for r in audit.risks}
    for metric in audit.metrics:
        for name in personalized if candidate is None else [candidate]:
            for group in (*audit.groups, None):
                if (metric, name, group) not in gains or not all(
                    (metric, other, group) in risks for other in (audit.baseline, name)
                ):
                    raise ValueError(
                        f"the audit does not compare {name!r} by {metric!r} in {group or 'all'}."
                    )
                record = gains[metric, name, group]
                options = {audit.baseline: None, name: record.gain}
                if risks[metric, audit.baseline, group] is not None:
                    options[audit.baseline] = 0.0
                if (metric, decoupled, group) in gains:
                    options[decoupled] = gains[metric, decoupled, group].gain
                yield _remedies(record, risks[metric, name, group], options, rule)


def _remedies(
    record: GainRecord, risk: float | None, options: dict[str, float | None], rule: str
) -> InterventionRecord:
    """One group: gains of the three on its rows, ties to the one named first."""
    known = {name: gain for name, gain in options.items() if gain is not None}
    best = max(known, key=known.__getitem__, default=None) if record.group else None
    violated = _violated(record, rule)
    top = None if best is None else known[best]
    stays = record.gain if record.group else None
    return InterventionRecord(
        metric=record.metric,
        candidate=record.candidate,
        group=record.group,
        n=record.n,
        risk=risk,
        gain=record.gain,
        violated=violated,
        assign_generic=0.0 if violated and record.group else stays,
        assign_decoupled=top if violated else stays,
        best_of_three=top,
        best=best,
    )


def _violated(record: GainRecord, rule: str) -> bool:
    """Whether the candidate harms the group, by its point gain or by its verdict."""
    if rule == "verdict":
        return record.verdict == "violation"
    return record.gain is not None and record.gain < 0
