"""A picture without a library: one line per group, a mark, an interval, as SVG that reads aloud.

It is drawn here and not by matplotlib so that a card can be made where only a file is served, and
so that it takes the colours of light and dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairuse_router.audit import Audit
from fairuse_router.audit.records import GainRecord
from fairuse_router.grids import as_html, fold_name, rows_text
from fairuse_router.metrics import named_metric
from fairuse_router.routing.grid import RoutingGrid

# seen on white and on black at 3:1 and more
COLOURS = {"gain": "#2e8b57", "violation": "#d6453d", "undetermined": "#808080", "same": "#808080"}
_MARKS = {
    "gain": "M{x} {up}L{right} {down}L{left} {down}Z",
    "violation": "M{x} {down}L{right} {up}L{left} {up}Z",
    "undetermined": "M{left} {y}A5 5 0 1 0 {right} {y}A5 5 0 1 0 {left} {y}Z",
    "same": "M{left} {y}L{right} {y}M{x} {up}L{x} {down}",
}
_WIDTH, _RIGHT, _LINE, _LETTER = 720, 20, 17, 7.2
MOST_LINES = 40


@dataclass(frozen=True)
class Line:
    """One group of a picture; `bar` is a part that is used, drawn behind."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    kind: str
    bar: float | None = None


@dataclass(frozen=True)
class Forest:
    """Lines over one axis.

    Parameters
    ----------
    title : str
        What it shows, in a sentence; read aloud in its place.
    axis : str
        What the axis measures, and which way is better.
    lines : sequence of Line
        Of more than 40, the lowest and the highest are drawn.
    marks : sequence of float, default=(0.0,)
        Where upright lines stand.
    scale : float, default=1.0
        What values are multiplied by.
    """

    title: str
    axis: str
    lines: Sequence[Line]
    marks: Sequence[float] = (0.0,)
    scale: float = 1.0

    def to_svg(self) -> str:
        """Return it as an SVG element, every text escaped."""
        shown, between = folded(self.lines)
        axis = self._axis(shown)
        body: list[str] = []
        top = 8.0
        for line in shown:
            texts = fold_name(line.name)
            height = _LINE * len(texts) + 8
            names = enumerate(texts)
            body += [_text(axis.left - 10, top + 17 + _LINE * i, text, "end") for i, text in names]
            body += axis.draw(line, top + height / 2)
            top += height
        if between:
            told = f"{between} groups between, not drawn"
            body.append(_text(axis.left + 10, top + 17, told))
            top += _LINE + 8
        uprights = [axis.upright(mark, top, dashed=i > 0) for i, mark in enumerate(self.marks)]
        body += [*axis.ticks(top), _text(axis.left, top + 46, self.axis)]
        whole = top + 58
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {whole:.0f}" '
            f'role="img" aria-label="{as_html(self.title)}" font-family="sans-serif" '
            f'font-size="13" fill="currentColor" width="{_WIDTH}">'
            + "".join([*uprights, *body])
            + "</svg>"
        )

    def _axis(self, lines: Sequence[Line]) -> _Axis:
        """The axis that has room for the names, and for everything finite that is drawn."""
        ends = [*self.marks]
        for line in lines:
            drawn = (line.value, line.low, line.high, line.bar)
            ends += [self.scale * v for v in drawn if v is not None and math.isfinite(v)]
        low, high = min(ends), max(ends)
        room = 0.06 * (high - low) or 1.0
        longest = max((len(text) for line in lines for text in fold_name(line.name)), default=0)
        return _Axis(20 + _LETTER * max(longest, 12), low - room, high + room, self.scale)


@dataclass(frozen=True)
class _Axis:
    """Where values stand, from `low` to `high` times the scale, right of `left`."""

    left: float
    low: float
    high: float
    scale: float

    def x(self, value: float) -> float:
        """Where a scaled value stands; an infinite one at the end of the axis."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.left + share * (_WIDTH - self.left - _RIGHT), 1)

    def draw(self, line: Line, y: float) -> Iterator[str]:
        """One group: what is used, the interval, the mark."""
        colour = COLOURS[line.kind]
        if line.bar:
            start, end = self.x(0.0), self.x(self.scale * line.bar)
            yield (
                f'<rect x="{start}" y="{y - 8}" width="{end - start:.1f}" height="16" '
                f'fill="{colour}" opacity="0.3"/>'
            )
        if line.low is not None and line.high is not None:
            start, end = (self.x(self.scale * v) for v in (line.low, line.high))
            yield f'<path d="M{start} {y}L{end} {y}" stroke="{colour}" stroke-width="2"/>'
        if line.value is None or not math.isfinite(line.value):
            yield _text(self.x(0.0) + 6, y + 4, "not shown or not known")
            return
        x = self.x(self.scale * line.value)
        path = _MARKS[line.kind].format(
            x=x, y=y, up=y - 5, down=y + 5, left=round(x - 5, 1), right=round(x + 5, 1)
        )
        yield f'<path d="{path}" fill="{colour}" stroke="{colour}" stroke-width="2"/>'

    def upright(self, value: float, bottom: float, dashed: bool) -> str:
        """A line from the top to the axis."""
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        x = self.x(value)
        return f'<path d="M{x} 4L{x} {bottom}" stroke="currentColor"{dash}/>'

    def ticks(self, top: float) -> Iterator[str]:
        """The axis with its numbers."""
        end = _WIDTH - _RIGHT
        yield f'<path d="M{self.left} {top}L{end} {top}" stroke="currentColor"/>'
        step = _step(self.high - self.low)
        for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            x = self.x(k * step)
            yield f'<path d="M{x} {top}L{x} {top + 5}" stroke="currentColor"/>'
            yield _text(x, top + 20, f"{k * step:g}", "middle")


def _step(span: float) -> float:
    """A round distance of ticks, about six to the span."""
    unit = 10.0 ** math.floor(math.log10(span / 6))
    return next(unit * m for m in (1, 2, 5, 10) if span / (unit * m) <= 6)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{as_html(text)}</text>'


def folded(lines: Sequence[Line]) -> tuple[list[Line], int]:
    """The lines to draw: all, or of many the lowest and the highest; and how many are left out."""
    if len(lines) <= MOST_LINES:
        return list(lines), 0
    order = sorted(range(len(lines)), key=lambda i: _or_zero(lines[i].value))
    half = MOST_LINES // 2
    kept = {*order[:half], *order[-half:]}
    return [lines[i] for i in order if i in kept], len(lines) - MOST_LINES


def _or_zero(value: float | None) -> float:
    return 0.0 if value is None else value


def gains_picture(audit: Audit, candidate: str, metric: str) -> Forest:
    """The gain of every group over the baseline, with its interval and its verdict."""
    records = [r for r in audit.rationality if (r.metric, r.candidate) == (metric, candidate)]
    scale = 100.0 if named_metric(metric).style == "percent" else 1.0
    unit = ", points" if scale == 100 else ""
    return Forest(
        f"Gain of {candidate} over {audit.baseline} in {metric}, group by group, with "
        f"{100 * (1 - audit.alpha):g}% intervals. The table has the numbers.",
        f"gain of {candidate} over {audit.baseline} in {metric}{unit} (right is better)",
        [_gain_line(r) for r in records],
        scale=scale,
    )


def _gain_line(r: GainRecord) -> Line:
    return Line(f"{r.group} ({rows_text(r.n)})", r.gain, r.low, r.high, r.verdict)


def corrections_picture(table: RoutingGrid) -> Forest | None:
    """How much of the personal correction is real in every group, and used; None if not weighed."""
    lines = []
    for name, record in zip(table.schema.group_names(), table.groups, strict=True):
        if record.real is None:
            continue
        mean, low, high = record.real
        used = record.strength if record.candidate == "multilevel" else 0.0
        told = f"{name} ({rows_text(record.rows)})"
        lines.append(Line(told, mean, low, high, "gain" if used else "undetermined", used))
    if not lines:
        return None
    return Forest(
        "How much of the personal correction is real in every group, with its interval, and as a "
        "bar how much of it is used.",
        f"part of the personal correction (0 none, 1 all; {1 - table.alpha:.0%} intervals; bar: "
        "used)",
        lines,
        marks=(0.0, 0.5, 1.0),
    )
