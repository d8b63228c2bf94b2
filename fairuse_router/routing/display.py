"""The routing table as people read it: 80 columns of text, or HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fairuse_router.candidates.names import is_recalibrated
from fairuse_router.grids import WIDTH, Column, Grid, count, fold_name, wrap
from fairuse_router.metrics import Metric, named_metric
from fairuse_router.routing.grid import RoutingGrid
from fairuse_router.routing.records import GroupRecord

_ORDER = ("generic", "onehot", "intersectional", "decoupled")
_HEADS = {"onehot": "one-hot"}
_FOLDS = {"intersectional": ("inter-", "sectional"), "multilevel": ("multi-", "level")}
_MOST_GROUPS, _MOST_PARTIAL = 60, 12
_LABEL = 16  # columns for the name of a group, at least, where it is as long
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
    routed = routed_partial(table)
    told = [name_of(table, r) for r in (*table.groups[:_MOST_GROUPS], *routed[:_MOST_PARTIAL])]
    label, cells = _columns(names, max(map(len, told), default=0))
    share = f"{100 * (1 - table.alpha):.0f}%"
    rows = "on rows opened once" if table.policy == "certified" else "out of fold"
    title = (
        f"Routing table: {table.policy!r} policy, {metric.name} {rows}, {share} intervals. "
        "Gain is over generic, positive is better."
    )
    columns = [Column("group", label + 1, left=True), Column("rows", 5), *cells]

    def block(records: Sequence[GroupRecord]) -> Iterator[str]:
        rows = [
            [name_of(table, r), _count(r.rows), *(_risk(metric, r.risks.get(n)) for n in names)]
            for r in records
        ]
        lines = list(Grid(columns, rows).lines())
        head = lines[: len(lines) - len(rows)]
        yield from (*head, "-" * len(head[-1]))
        for line, record in zip(lines[len(head) :], records, strict=True):
            server = server_in_words(record.candidate, record.strength)
            text = f"-> {server}{_gain_text(metric, record)}: {record.reason}"
            yield from (line, *wrap(text, "   ", "      "))

    lines = [*wrap(title), "", *block(table.groups[:_MOST_GROUPS])]
    if len(table.groups) > _MOST_GROUPS:
        lines.append(f"... and {len(table.groups) - _MOST_GROUPS} more groups: see to_frame()")
    lines += ["", *_withholding(table)]
    if routed:
        lines += ["", *block(routed[:_MOST_PARTIAL])]
    if len(routed) > _MOST_PARTIAL:
        rest = len(routed) - _MOST_PARTIAL
        lines.append(f"... and {rest} more: see to_frame(reports='partial')")
    return "\n".join([*lines, *_changes(table)])


def _columns(names: Sequence[str], longest: int) -> tuple[int, list[Column]]:
    """Room for the names of groups, and the columns of risks: heads are folded, never cut.

    Examples
    --------
    >>> [column.folded for column in _columns(["generic", "intersectional"], 80)[1]]
    [('generic',), ('intersectional',)]
    >>> names = ["generic", "onehot", "intersectional", "decoupled", "multilevel", "routed"]
    >>> [column.folded for column in _columns(names, 80)[1]][2:4]
    [('inter-', 'sectional'), ('decoupled',)]
    """
    heads = [_HEADS.get(name, name) for name in names]
    for most in range(max(map(len, heads), default=7), 6, -1):
        folds = [
            (head,) if len(head) <= most else _FOLDS.get(head, tuple(fold_name(head, most)))
            for head in heads
        ]
        cells = [
            Column(head, max(7, *map(len, lines)), gap=1, folded=lines)
            for head, lines in zip(heads, folds, strict=True)
        ]
        room = WIDTH - 6 - sum(c.width + 1 for c in cells)
        if room >= min(_LABEL, longest):
            break
    return max(room, min(_LABEL, longest)), cells


def name_of(table: RoutingGrid, record: GroupRecord) -> str:
    """The report of a record in one line."""
    return table.schema.report_name(
        [
            0 if text == mark else levels.index(text) + 1
            for text, levels, mark in zip(
                record.report, table.schema.levels, _marks(table), strict=True
            )
        ]
    )


def _marks(table: RoutingGrid) -> tuple[str, ...]:
    """What stands for a withheld attribute."""
    return table.schema.report_texts([0] * len(table.schema.levels))


def routed_partial(table: RoutingGrid) -> list[GroupRecord]:
    """Partial reports that another model than generic serves: few answers, many people first."""
    marks = _marks(table)

    def order(record: GroupRecord) -> tuple[int, int]:
        told = sum(a != b for a, b in zip(record.report, marks, strict=True))
        return told, -(record.rows or 0)

    return sorted((r for r in table.partial if r.candidate != "generic"), key=order)


def risk_names(table: RoutingGrid) -> list[str]:
    """Candidates that have a risk in the table, generic first and routed last.

    Recalibrated ones only if they serve. The order does not depend on that of the records, which
    JSON does not keep.
    """
    names = {name for record in table.groups for name in record.risks}
    serving = {record.candidate for record in table.groups}
    names = {n for n in names if n in serving or not is_recalibrated(n, names)}
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
    if table.partial:
        reports, routed = len(table.partial) - 1, len(routed_partial(table))
        what = "has a route" if routed == 1 else "have routes"
        text = (
            f"Of {count(reports, 'report')} that tell a part of {len(table.schema.levels)} "
            f"attributes, {routed:,} {what} other than generic. Rows are all that tell as "
            "much; gains are as if they withheld the rest."
        )
        return wrap(text)
    partial = [code for code in table.schema.report_codes if not code.all()]
    own = [code for code in partial if table.grid[tuple(code)] != 0]
    why = f": {table.note}" if table.note and len(table.schema.levels) > 1 else ""
    text = f"Whoever withholds an attribute is served by generic{why}."
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
    caption = (
        f"Routing table ({table.policy} policy, {named_metric(table.metric).name} out of fold)"
    )
    text = _html_of(table, table.groups, caption)
    routed = routed_partial(table)
    if routed:
        text += _html_of(table, routed, "Partial reports with routes other than generic")
    return text


def _html_of(table: RoutingGrid, records: Sequence[GroupRecord], caption: str) -> str:
    """One table of records."""
    metric, names = named_metric(table.metric), risk_names(table)
    heads = [*table.schema.attributes, "rows", "served by", *names, "gain", "interval", "reason"]
    rows = []
    for record in records:
        risks = [_risk(metric, record.risks.get(n)) for n in names]
        gain = "-" if record.gain is None else metric.format_gain(record.gain)
        interval = "-"
        if record.low is not None and record.high is not None:
            interval = f"{metric.format_gain(record.low)} to {metric.format_gain(record.high)}"
        cells = [*record.report, _count(record.rows), record.candidate, *risks, gain, interval]
        rows.append([*cells, record.reason])
    return Grid(heads, rows).to_html("fairuse-routing-table", caption)


def as_columns(table: RoutingGrid, records: Sequence[GroupRecord]) -> dict[str, list[object]]:
    """Columns of a dataframe with one row per record."""
    names = risk_names(table)
    columns: dict[str, list[object]] = {
        name: [record.report[j] for record in records]
        for j, name in enumerate(table.schema.attributes)
    }
    columns["rows"] = [record.rows for record in records]
    columns["candidate"] = [record.candidate for record in records]
    columns["strength"] = [record.strength for record in records]
    for name in names:
        risks = [record.risks.get(name) for record in records]
        columns[f"risk_{name}"] = [np.nan if r is None else r for r in risks]
    for name in ("gain", "low", "high"):
        values = [getattr(record, name) for record in records]
        columns[name] = [np.nan if v is None else v for v in values]
    columns["reason"] = [record.reason for record in records]
    return columns
