"""The routing table as people read it: 80 columns of text, or HTML."""

from __future__ import annotations

import numpy as np

from fairuse_router.grids import WIDTH, Column, Grid, wrap
from fairuse_router.metrics import Metric, named_metric
from fairuse_router.routing.grid import RoutingGrid
from fairuse_router.routing.records import GroupRecord

_ORDER = ("generic", "onehot", "intersectional", "decoupled")
_HEADS = {"onehot": "one-hot", "intersectional": "intersec."}
_PARTS = {0.25: "a quarter", 0.5: "half", 0.75: "three quarters", 1.0: "all"}


def part_in_words(strength: float) -> str:
    """How much of a correction is used.

    Examples
    --------
    >>> part_in_words(0.75), part_in_words(0.3)
    ('three quarters', '0.3')
    """
    return _PARTS.get(strength, f"{strength:g}")


def server_in_words(candidate: str, strength: float) -> str:
    """Who serves, and by how much of it.

    Examples
    --------
    >>> server_in_words("multilevel", 0.5), server_in_words("onehot", 1.0)
    ('half of multilevel', 'onehot')
    """
    return candidate if strength == 1 else f"{part_in_words(strength)} of {candidate}"


def as_text(table: RoutingGrid) -> str:
    """Render a routing table in at most 80 columns, two lines a group."""
    metric, names = named_metric(table.metric), risk_names(table)
    longest = {6: 8}.get(len(names), 10 if len(names) < 6 else 7)
    heads = [_HEADS.get(name, name)[:longest] for name in names]
    cells = [Column(head, max(7, len(head)), gap=1) for head in heads]
    label = max(16, WIDTH - 6 - sum(c.width + 1 for c in cells))
    share = f"{100 * (1 - table.alpha):.0f}%"
    rows = "on rows opened once" if table.policy == "certified" else "out of fold"
    title = (
        f"Routing table: {table.policy!r} policy, {metric.name} {rows}, {share} intervals. "
        "Gain is over generic, positive is better."
    )
    head, *shown = Grid(
        [Column("group", label + 1, left=True), Column("rows", 5), *cells],
        [
            [name, _count(r.rows), *(_risk(metric, r.risks.get(n)) for n in names)]
            for name, r in zip(table.schema.group_names(), table.groups, strict=True)
        ],
    ).lines()
    lines = [*wrap(title), "", head, "-" * len(head)]
    for line, record in zip(shown, table.groups, strict=True):
        server = server_in_words(record.candidate, record.strength)
        text = f"-> {server}{_gain_text(metric, record)}: {record.reason}"
        lines += [line, *wrap(text, "   ", "      ")]
    lines += ["", *_withholding(table), *_changes(table)]
    return "\n".join(lines)


def risk_names(table: RoutingGrid) -> list[str]:
    """Candidates that have a risk in the table, generic first and routed last.

    The order does not depend on that of the records, which JSON does not keep.
    """
    names = {name for record in table.groups for name in record.risks}
    own = sorted(names - {*_ORDER, "routed"})
    return [name for name in (*_ORDER, *own, "routed") if name in names]


def _count(rows: int | None) -> str:
    return "few" if rows is None else str(rows)


def _risk(metric: Metric, risk: float | None) -> str:
    return "-" if risk is None else metric.format(risk)


def _gain_text(metric: Metric, record: GroupRecord) -> str:
    if record.candidate == "generic" or record.gain is None:
        return ""
    text = f", gain {metric.format_gain(record.gain)}"
    if record.low is not None and record.high is not None:
        text += f" [{metric.format_gain(record.low)}, {metric.format_gain(record.high)}]"
    return text


def _withholding(table: RoutingGrid) -> list[str]:
    """Say who serves reports that withhold something."""
    partial = [code for code in table.schema.report_codes if not code.all()]
    own = [code for code in partial if table.grid[tuple(code)] != 0]
    text = "Whoever withholds an attribute is served by generic."
    if own:
        shown = "; ".join(
            f"({table.schema.report_name(code)}) by "
            f"{table.routes[int(table.grid[tuple(code)])].candidate}"
            for code in own[:5]
        )
        text = f"Whoever withholds an attribute is served by generic, except {shown}."
    return wrap(text)


def _changes(table: RoutingGrid) -> list[str]:
    """Say what was changed after the routes had been chosen."""
    if not table.history:
        return []
    shown = "; ".join(
        f"({', '.join(change.report)}) from {change.candidate}, {change.event}"
        for change in table.history[:5]
    )
    more = f" and {len(table.history) - 5} more" if len(table.history) > 5 else ""
    return wrap(f"Since then back to generic: {shown}{more}.")


def as_html(table: RoutingGrid) -> str:
    """Render a routing table as one HTML table; every text of the data is escaped."""
    metric, names = named_metric(table.metric), risk_names(table)
    heads = [*table.schema.attributes, "rows", "served by", *names, "gain", "interval", "reason"]
    rows = []
    for record in table.groups:
        risks = [_risk(metric, record.risks.get(n)) for n in names]
        gain = "-" if record.gain is None else metric.format_gain(record.gain)
        interval = "-"
        if record.low is not None and record.high is not None:
            interval = f"{metric.format_gain(record.low)} to {metric.format_gain(record.high)}"
        cells = [*record.report, _count(record.rows), record.candidate, *risks, gain, interval]
        rows.append([*cells, record.reason])
    caption = f"Routing table ({table.policy} policy, {metric.name} out of fold)"
    return Grid(heads, rows).to_html("fairuse-routing-table", caption)


def as_columns(table: RoutingGrid) -> dict[str, list[object]]:
    """Columns of a dataframe with one row per group."""
    names = risk_names(table)
    columns: dict[str, list[object]] = {
        name: [record.report[j] for record in table.groups]
        for j, name in enumerate(table.schema.attributes)
    }
    columns["rows"] = [record.rows for record in table.groups]
    columns["candidate"] = [record.candidate for record in table.groups]
    columns["strength"] = [record.strength for record in table.groups]
    for name in names:
        risks = [record.risks.get(name) for record in table.groups]
        columns[f"risk_{name}"] = [np.nan if r is None else r for r in risks]
    for name in ("gain", "low", "high"):
        values = [getattr(record, name) for record in table.groups]
        columns[name] = [np.nan if v is None else v for v in values]
    columns["reason"] = [record.reason for record in table.groups]
    return columns
