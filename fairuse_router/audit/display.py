"""The audit in a terminal of 80 columns."""

from __future__ import annotations

from fairuse_router.audit.gain_table import any_same, distinct, of_model, violations
from fairuse_router.audit.interventions import intervene
from fairuse_router.audit.records import (
    OF_TRAINING,
    OUT_OF_FOLD,
    REAUDIT,
    AuditRecords,
    GainRecord,
    InterventionRecord,
)
from fairuse_router.candidates.names import ROUTED
from fairuse_router.grids import Column, Grid, clip, fill, numbers, rows_text
from fairuse_router.metrics import Metric, named_metric

__all__ = [
    "MOST_GROUPS",
    "audit_text",
    "interval_text",
    "interventions_text",
    "partial_text",
    "summary_rows",
    "untested_text",
    "used_tests",
]

MOST_GROUPS = 20
_MOST_CASES = 5
_FAMILY = "over all tests of a candidate and metric, truthfulness apart"
_CORRECTIONS = {
    "none": "not corrected for their number",
    "bonferroni": f"Bonferroni {_FAMILY}",
    "holm": f"Holm {_FAMILY}",
    "benjamini-hochberg": f"Benjamini-Hochberg {_FAMILY}",
}


def audit_text(
    audit: AuditRecords,
    everybody: AuditRecords | None = None,
    withheld: AuditRecords | None = None,
) -> str:
    """Return the whole view; of all rows, and of those that withhold, if there are any."""
    rows = audit.n if everybody is None else everybody.n
    more = partial_text(audit)
    if everybody is not None:
        more = f"; {audit.n_partial:,} of the rows withhold something, and have tables of their own"
    head = (
        f"Audit on {rows:,} {audit.evidence}, {len(audit.groups)} groups by "
        f"{', '.join(audit.attributes)}{more}. Gains are over {audit.baseline}, "
        f"positive is better; worst and best are over groups. "
        f"Intervals {100 * (1 - audit.alpha):g}%, verdicts at {100 * audit.alpha:g}%, "
        f"{_CORRECTIONS[audit.correction]}: counts are "
        'gain/violation/undetermined. "? +90": undetermined, 90 more rows might tell.'
    )
    if any_same(audit.rationality) or any_same(audit.truthfulness):
        head += ' "=4": in 4 more one model serves both, which is no test.'
    if audit.evidence == OUT_OF_FOLD:
        head += " These rows also chose the routes, which flatters them: no claim."
    if audit.evidence.endswith(OF_TRAINING):
        head += " The models have seen rows of training, which flatters them: no claim."
    if audit.evidence == REAUDIT:
        head += " By these rows routes were withdrawn, which flatters the others: no claim."
    blocks = ["\n".join(fill(part) for part in (head, used_tests(audit)) if part)]
    for name in audit.metrics:
        metric = named_metric(name)
        if everybody is not None:
            title = "all rows, by what they tell"
            blocks.append(_group_block(everybody, metric, ROUTED, title, overall=True))
        note = "\n".join(filter(None, map(fill, _notes(audit, metric))))
        which = "" if everybody is None else ", rows that tell everything"
        blocks.append("\n".join(filter(None, [_summary_block(audit, metric, which), note])))
        shown = ["routed"] if "routed" in audit.candidates else list(audit.candidates)
        blocks += [_group_block(audit, metric, c) for c in shown if c != audit.baseline]
        blocks += _case_blocks(audit, metric)
        if withheld is not None:
            title = "rows that withhold, by the report that was sent"
            blocks.append(_group_block(withheld, metric, ROUTED, title))
            blocks += _case_blocks(withheld, metric)
    return "\n\n".join(block for block in blocks if block)


def _notes(audit: AuditRecords, metric: Metric) -> tuple[str, str]:
    """What cannot be tested, and which risks are of fewer rows, as not everybody tells all."""
    whole = [r for r in audit.risks if r.metric == metric.name and r.group is None]
    rows = {r.candidate: r.n or 0 for r in whole}
    most = max(rows.values(), default=0)
    fewer = {name: n for name, n in rows.items() if n < most}
    text = ""
    if fewer and set(rows) - {audit.baseline, ROUTED} <= set(fewer):
        told = "; ".join(f"{name} on {rows_text(n)}" for name, n in fewer.items())
        text = f"Of {rows_text(most)} rows, risks and gains are of fewer: {told}."
    return untested_text(audit, metric), text


def partial_text(audit: AuditRecords) -> str:
    """Say how many rows are left out, if any."""
    return f"; {audit.n_partial:,} more rows withhold something" if audit.n_partial else ""


def used_tests(audit: AuditRecords, metric: str | None = None) -> str:
    """Name the tests that the verdicts (on one metric) come from; empty if nothing was compared."""
    tables = audit.rationality, audit.envy_freeness, audit.truthfulness
    pairs = [pair for records in tables for pair in distinct(records, "test", "metric")]
    used = dict.fromkeys(f"{test} ({of})" for test, of in pairs if metric in (None, of))
    return f"Tests: {', '.join(used)}." if used else ""


def untested_text(audit: AuditRecords, metric: Metric) -> str:
    """Say that a metric does not allow envy-freeness to be tested; empty where it does."""
    tested = (metric.name,) in distinct(audit.envy_freeness, "metric")
    if tested or metric.rowwise is not None or metric.name == "auc":
        return ""
    routed = (metric.name,) in distinct(audit.truthfulness, "metric")
    but = ", but for routed, by its truthfulness" if routed else ""
    return f"Envy-freeness is not tested in {metric.name}{but}."


def _title(metric: Metric) -> str:
    """Name of the metric and which way is better."""
    if not metric.directed:
        return f"{metric.name} (neither more nor less is better; a gain is less of it)"
    name = "AUC" if metric.name == "auc" else metric.name
    return f"{name} ({'lower' if metric.top is None else 'higher'} is better)"


def summary_rows(audit: AuditRecords, metric: Metric) -> list[list[str]]:
    """One row per candidate: its risk, its gain, the worst and the best of a group, and counts."""
    rows = []
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
        rows.append([record.candidate, metric.format(record.risk), *gains, *counts])
    return rows


def interval_text(metric: Metric, low: float | None, high: float | None) -> str:
    """Write both limits of an interval, where there is one."""
    return "" if low is None else f"{metric.format_gain(low)} {metric.format_gain(high)}"


def _summary_block(audit: AuditRecords, metric: Metric, which: str = "") -> str:
    """One line per candidate."""
    columns = [
        Column("candidate", 14, left=True),
        *numbers({"all": 7, "gain": 8, "worst": 8, "best": 8}),
        *numbers({"rational": 11, "envy-free": 12, "truthful": 12}),
    ]
    return "\n".join(
        [f"{_title(metric)}{which}", *Grid(columns, summary_rows(audit, metric)).lines()]
    )


def _group_block(
    audit: AuditRecords,
    metric: Metric,
    candidate: str,
    by: str = "by group",
    overall: bool = False,
) -> str:
    """One line per group for one candidate, and first one over all of them where asked."""
    records = list(of_model(audit.overall, metric.name, candidate)) if overall else []
    records = [*records, *of_model(audit.rationality, metric.name, candidate)]
    risks = {(r.candidate, r.group): r.risk for r in audit.risks if r.metric == metric.name}
    shown = records
    if len(records) > MOST_GROUPS:
        order = sorted(records, key=lambda r: (r.gain is None, r.gain))
        shown = order[:MOST_GROUPS]
    columns = [
        Column("group", 20, left=True),
        Column("rows", 7),
        *(Column(clip(name, 8), 9) for name in (audit.baseline, candidate)),
        *numbers({"gain": 8, "interval": 16}),
        Column("verdict", left=True, gap=1),
    ]
    rows = [
        [
            r.group or "all",
            rows_text(r.n),
            *(metric.format(risks.get((name, r.group))) for name in (audit.baseline, candidate)),
            metric.format_gain(r.gain),
            interval_text(metric, r.low, r.high),
            _verdict(r),
        ]
        for r in shown
    ]
    head, *table = Grid(columns, rows).lines()
    lines = [f"{clip(candidate, 60)}, {by}", head]
    for line, r in zip(table, shown, strict=True):
        lines.append(line)
        if r.reason and r.verdict != "same":
            lines.append(clip(f"    {r.reason}"))
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
    for kind, title in (("envy_freeness", "envy-freeness"), ("truthfulness", "truthfulness")):
        for candidate in audit.candidates:
            counts = audit.tally(kind, metric.name, candidate)
            if counts is not None and counts.violations:
                cases = violations(of_model(getattr(audit, kind), metric.name, candidate))
                lines = [f"{candidate}: {counts.violations} of {counts.asked} break {title}"]
                lines += [_case(metric, r) for r in cases[:_MOST_CASES]]
                if counts.violations > _MOST_CASES:
                    lines.append(
                        f"  ... and {counts.violations - _MOST_CASES} more: see to_frame()"
                    )
                blocks.append("\n".join(lines))
    return blocks


def _case(metric: Metric, record: GainRecord) -> str:
    """One violation as a sentence."""
    better = metric.format_gain(-(record.gain or 0.0))
    return clip(f"  {record.group}: {better} by reporting {record.other}")


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
    blocks = [fill(head)]
    for name in audit.metrics:
        for personalized in dict.fromkeys(r.candidate for r in records):
            mine = [r for r in records if (r.metric, r.candidate) == (name, personalized)]
            blocks.append(_remedy_block(named_metric(name), personalized, mine))
    return "\n\n".join(blocks)


def _remedy_block(metric: Metric, candidate: str, records: list[InterventionRecord]) -> str:
    """One line per group, all rows last."""
    columns = [
        Column("group", 19, left=True),
        *numbers({"rows": 7, "risk": 8, "gain": 8, "": 2}),
        *numbers({"generic": 8, "decoupled": 10, "best": 8}),
        Column("which is", left=True, gap=1),
    ]
    rows = []
    for r in records:
        told = [rows_text(r.n), metric.format(r.risk), metric.format_gain(r.gain)]
        gains = (r.assign_generic, r.assign_decoupled, r.best_of_three)
        remedies = ["" if r.group is None else metric.format_gain(gain) for gain in gains]
        best = clip(r.best or "", 9)
        rows.append([r.group or "all", *told, "!" if r.violated else "", *remedies, best])
    return "\n".join([f"{_title(metric)}: {clip(candidate, 40)}", *Grid(columns, rows).lines()])
