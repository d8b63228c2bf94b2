"""The audit in a terminal of 80 columns."""

from __future__ import annotations

import textwrap

from fairuse_router.audit.interventions import intervene
from fairuse_router.audit.records import (
    OUT_OF_FOLD,
    REAUDIT,
    AuditRecords,
    GainRecord,
    InterventionRecord,
)
from fairuse_router.metrics import Metric, named_metric

__all__ = ["audit_text", "interventions_text", "partial_text", "untested_text", "used_tests"]

_WIDTH = 80
_MOST_GROUPS = 20
_MOST_CASES = 5
_FAMILY = "over all tests of a candidate and metric, truthfulness apart"
_CORRECTIONS = {
    "none": "not corrected for their number",
    "bonferroni": f"Bonferroni {_FAMILY}",
    "holm": f"Holm {_FAMILY}",
    "benjamini-hochberg": f"Benjamini-Hochberg {_FAMILY}",
}


def audit_text(audit: AuditRecords) -> str:
    """Return the whole view."""
    head = (
        f"Audit on {audit.n:,} {audit.evidence}, {len(audit.groups)} groups by "
        f"{', '.join(audit.attributes)}{partial_text(audit)}. Gains are over {audit.baseline}, "
        f"positive is better; worst and best are over groups. "
        f"Intervals {100 * (1 - audit.alpha):g}%, verdicts at {100 * audit.alpha:g}%, "
        f"{_CORRECTIONS[audit.correction]}: counts are "
        'gain/violation/undetermined. "? +90": undetermined, 90 more rows might tell.'
    )
    if audit.evidence == OUT_OF_FOLD:
        head += " These rows also chose the routes, which flatters them: no claim."
    if audit.evidence == REAUDIT:
        head += " By these rows routes were withdrawn, which flatters the others: no claim."
    blocks = ["\n".join(textwrap.fill(part, _WIDTH) for part in (head, used_tests(audit)) if part)]
    for name in audit.metrics:
        metric = named_metric(name)
        note = textwrap.fill(untested_text(audit, metric), _WIDTH)
        blocks.append("\n".join(filter(None, [_summary_block(audit, metric), note])))
        shown = ["routed"] if "routed" in audit.candidates else list(audit.candidates)
        blocks += [_group_block(audit, metric, c) for c in shown if c != audit.baseline]
        blocks += _case_blocks(audit, metric)
    return "\n\n".join(block for block in blocks if block)


def partial_text(audit: AuditRecords) -> str:
    """Say how many rows are left out, if any."""
    return f"; {audit.n_partial:,} more rows withhold something" if audit.n_partial else ""


def used_tests(audit: AuditRecords, metric: str | None = None) -> str:
    """Name the tests that the verdicts (on one metric) come from; empty if nothing was compared."""
    records = (*audit.rationality, *audit.envy_freeness, *audit.truthfulness)
    used = dict.fromkeys(f"{r.test} ({r.metric})" for r in records if metric in (None, r.metric))
    return f"Tests: {', '.join(used)}." if used else ""


def untested_text(audit: AuditRecords, metric: Metric) -> str:
    """Say that a metric does not allow envy-freeness to be tested; empty where it does."""
    tested = any(r.metric == metric.name for r in audit.envy_freeness)
    if tested or metric.rowwise is not None or metric.name == "auc":
        return ""
    routed = any(r.metric == metric.name for r in audit.truthfulness)
    but = ", but for routed, by its truthfulness" if routed else ""
    return f"Envy-freeness is not tested in {metric.name}{but}."


def _clip(value: str, width: int) -> str:
    """Cut a text to a width."""
    return value if len(value) <= width else value[: width - 1] + "…"


def _title(metric: Metric) -> str:
    """Name of the metric and which way is better."""
    return "AUC (higher is better)" if metric.name == "auc" else f"{metric.name} (lower is better)"


def _summary_block(audit: AuditRecords, metric: Metric) -> str:
    """One line per candidate."""
    lines = [
        _title(metric),
        f"{'candidate':<14}{'all':>7}{'gain':>8}{'worst':>8}{'best':>8}"
        f"{'rational':>11}{'envy-free':>12}{'truthful':>12}",
    ]
    for record in audit.summary():
        if record.metric != metric.name:
            continue
        gains = [
            "" if record.candidate == audit.baseline else metric.format_gain(gain)
            for gain in (record.gain, record.worst_gain, record.best_gain)
        ]
        counts = [
            "" if kind is None else str(kind)
            for kind in (record.rationality, record.envy_freeness, record.truthfulness)
        ]
        line = (
            f"{_clip(record.candidate, 13):<14}{metric.format(record.risk):>7}"
            f"{gains[0]:>8}{gains[1]:>8}{gains[2]:>8}{counts[0]:>11}{counts[1]:>12}{counts[2]:>12}"
        )
        lines.append(line.rstrip())
    return "\n".join(lines)


def _group_block(audit: AuditRecords, metric: Metric, candidate: str) -> str:
    """One line per group for one candidate."""
    records = [r for r in audit.rationality if (r.metric, r.candidate) == (metric.name, candidate)]
    risks = {(r.candidate, r.group): r.risk for r in audit.risks if r.metric == metric.name}
    shown = records
    if len(records) > _MOST_GROUPS:
        order = sorted(records, key=lambda r: (r.gain is None, r.gain))
        shown = order[:_MOST_GROUPS]
    lines = [
        f"{_clip(candidate, 60)}, by group",
        f"{'group':<20}{'rows':>7}{_clip(audit.baseline, 8):>9}{_clip(candidate, 8):>9}"
        f"{'gain':>8}{'interval':>16} verdict",
    ]
    for r in shown:
        interval = ""
        if r.low is not None:
            interval = f"{metric.format_gain(r.low)} {metric.format_gain(r.high)}"
        lines.append(
            f"{_clip(r.group or '', 19):<20}{r.n:>7,}"
            f"{metric.format(risks.get((audit.baseline, r.group))):>9}"
            f"{metric.format(risks.get((candidate, r.group))):>9}"
            f"{metric.format_gain(r.gain):>8}{interval:>16} {_verdict(r)}"
        )
        if r.reason:
            lines.append(_clip(f"    {r.reason}", _WIDTH))
    if len(shown) < len(records):
        lines.append(f"... and {len(records) - len(shown)} groups that gain more: see to_frame()")
    return "\n".join(lines)


def _verdict(record: GainRecord) -> str:
    """Return the verdict, and where it is open the rows that would tell."""
    if record.verdict != "undetermined":
        return record.verdict
    if not record.rows_needed:
        return "?"
    return f"? +{_short(record.rows_needed)}"


def _short(rows: int) -> str:
    """Rows in at most five characters."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if rows >= size:
            return f"{rows / (1000 if unit == 'k' else size):.0f}{unit}"
    return str(rows)


def _case_blocks(audit: AuditRecords, metric: Metric) -> list[str]:
    """Violations of envy-freeness and truthfulness, the worst few of each candidate."""
    blocks = []
    for records, what in ((audit.envy_freeness, "envy"), (audit.truthfulness, "truthfulness")):
        for candidate in audit.candidates:
            mine = [r for r in records if (r.metric, r.candidate) == (metric.name, candidate)]
            cases = sorted(
                (r for r in mine if r.verdict == "violation"), key=lambda r: r.gain or 0.0
            )
            if cases:
                title = "envy-freeness" if what == "envy" else what
                lines = [f"{candidate}: {len(cases)} of {len(mine)} break {title}"]
                lines += [_case(metric, r) for r in cases[:_MOST_CASES]]
                if len(cases) > _MOST_CASES:
                    lines.append(f"  ... and {len(cases) - _MOST_CASES} more: see to_frame()")
                blocks.append("\n".join(lines))
    return blocks


def _case(metric: Metric, record: GainRecord) -> str:
    """One violation as a sentence."""
    better = metric.format_gain(-(record.gain or 0.0))
    return _clip(f"  {record.group}: {better} by reporting {record.other}", _WIDTH)


def interventions_text(
    audit: AuditRecords, candidate: str | None, decoupled: str, rule: str
) -> str:
    """Return the table of remedies, a block per metric and candidate."""
    records = list(intervene(audit, candidate, decoupled, rule))
    means = {
        "estimate": "its gain on these rows is negative, which may be chance",
        "verdict": f"its corrected test says so at {100 * audit.alpha:g}%",
    }[rule]
    head = (
        f"Remedies on {audit.n:,} {audit.evidence}: gains over {audit.baseline}. A group counts as "
        f"violated (!) where {means}. There, the column generic assigns {audit.baseline}, and "
        f"decoupled the best of {audit.baseline}, the candidate and {decoupled}; best assigns that "
        "best to every group. It is chosen on these very rows, which flatters it."
    )
    blocks = [textwrap.fill(head, _WIDTH)]
    for name in audit.metrics:
        for personalized in dict.fromkeys(r.candidate for r in records):
            mine = [r for r in records if (r.metric, r.candidate) == (name, personalized)]
            blocks.append(_remedy_block(named_metric(name), personalized, mine))
    return "\n\n".join(blocks)


def _remedy_block(metric: Metric, candidate: str, records: list[InterventionRecord]) -> str:
    """One line per group, all rows last."""
    lines = [
        f"{_title(metric)}: {_clip(candidate, 40)}",
        f"{'group':<19}{'rows':>7}{'risk':>8}{'gain':>8}  {'generic':>8}{'decoupled':>10}"
        f"{'best':>8} which is",
    ]
    for r in records:
        line = (
            f"{_clip(r.group or 'all', 18):<19}{r.n:>7,}{metric.format(r.risk):>8}"
            f"{metric.format_gain(r.gain):>8} {'!' if r.violated else ' '}"
        )
        if r.group is not None:
            line += (
                f"{metric.format_gain(r.assign_generic):>8}"
                f"{metric.format_gain(r.assign_decoupled):>10}"
                f"{metric.format_gain(r.best_of_three):>8} {_clip(r.best or '', 9)}"
            )
        lines.append(line.rstrip())
    return "\n".join(lines)
