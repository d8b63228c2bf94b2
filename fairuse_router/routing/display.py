"""The routing table as people read it: 80 columns of text, or HTML."""

from __future__ import annotations

import html
import textwrap

import numpy as np

from fairuse_router.metrics import Metric, named_metric
from fairuse_router.routing.grid import RoutingGrid
from fairuse_router.routing.records import GroupRecord

WIDTH = 80
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
    longest = 10 if len(names) <= 5 else 7
    heads = [_HEADS.get(name, name)[:longest] for name in names]
    widths = [max(7, len(head)) for head in heads]
    label = max(16, WIDTH - 6 - sum(w + 1 for w in widths))
    share = f"{100 * (1 - table.alpha):.0f}%"
    rows = "on rows opened once" if table.policy == "certified" else "out of fold"
    title = (
        f"Routing table: {table.policy!r} policy, {metric.name} {rows}, {share} intervals. "
        "Gain is over generic, positive is better."
    )
    lines = [*textwrap.wrap(title, WIDTH), ""]
    lines.append(_row("group", "rows", heads, widths, label))
    lines.append("-" * len(lines[-1]))
    for name, record in zip(table.schema.group_names(), table.groups, strict=True):
        risks = [_risk(metric, record.risks.get(n)) for n in names]
        lines.append(_row(name, _count(record.rows), risks, widths, label))
        lines += textwrap.wrap(
            f"-> {record.candidate}{_gain_text(metric, record)}: {record.reason}",
            WIDTH,
            initial_indent="   ",
            subsequent_indent="      ",
        )
    lines += ["", *_withholding(table), *_changes(table)]
    return "\n".join(lines)


def risk_names(table: RoutingGrid) -> list[str]:
    """Candidates that have a risk in the table, generic first and routed last.

    The order does not depend on that of the records, which JSON does not keep.
    """
    names = {name for record in table.groups for name in record.risks}
    own = sorted(names - {*_ORDER, "routed"})
    return [name for name in (*_ORDER, *own, "routed") if name in names]


def _row(group: str, rows: str, cells: list[str], widths: list[int], label: int) -> str:
    group = group if len(group) <= label else group[: label - 1] + "…"
    cells = [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)]
    return " ".join([f"{group:<{label}}", f"{rows:>5}", *cells])


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
    return textwrap.wrap(text, WIDTH)


def _changes(table: RoutingGrid) -> list[str]:
    """Say what was changed after the routes had been chosen."""
    if not table.history:
        return []
    shown = "; ".join(
        f"({', '.join(change.report)}) from {change.candidate}, {change.event}"
        for change in table.history[:5]
    )
    more = f" and {len(table.history) - 5} more" if len(table.history) > 5 else ""
    return textwrap.wrap(f"Since then back to generic: {shown}{more}.", WIDTH)


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
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    head = "".join(f"<th>{html.escape(h)}</th>" for h in heads)
    caption = f"Routing table ({table.policy} policy, {metric.name} out of fold)"
    return (
        f'<table class="fairuse-routing-table"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


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
