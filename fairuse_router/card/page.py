"""A page: titled sections of paragraphs, lists and tables, written as Markdown or HTML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fairuse_router.grids import Grid, as_html, escape

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "overflow-wrap:anywhere}.wide{overflow-x:auto}figure{margin:1rem 0;overflow-x:auto}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{padding:.2rem .6rem;text-align:right;"
    "border-bottom:1px solid #888;overflow-wrap:normal;vertical-align:top}"
    "th:first-child,td:first-child,td.text,th.text{text-align:left}"
    "td:first-child{min-width:6rem}td.text:last-child{min-width:16rem}"
)


class Picture(Protocol):
    """What a section may show beside its words."""

    @property
    def title(self) -> str:
        """What it shows, in a sentence."""

    def to_svg(self) -> str:
        """It as an SVG element, every text escaped."""


@dataclass(frozen=True)
class Section:
    """One titled part of a page: paragraphs, a list, a picture, a table, each if there is one.

    Examples
    --------
    >>> section = Section("Groups", ["By sex."], grid=Grid(["group", "rows"], [["F", "97"]]))
    >>> print(section.grid.to_markdown())
    | group | rows |
    | --- | ---: |
    | F | 97 |
    """

    title: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    grid: Grid | None = None
    picture: Picture | None = None


@dataclass(frozen=True)
class Page:
    r"""A title and sections.

    Parameters
    ----------
    title : str
    sections : sequence of Section

    Examples
    --------
    >>> page = Page("Heart", [Section("Verdict", ["Nobody is shown to lose."])])
    >>> page.to_markdown()
    '# Heart\n\n## Verdict\n\nNobody is shown to lose.\n'
    >>> page.to_fragment()
    '<h2>Verdict</h2>\n<p>Nobody is shown to lose.</p>'
    """

    title: str
    sections: Sequence[Section] = field(default_factory=tuple)

    def to_markdown(self) -> str:
        """Render as GitHub's Markdown; texts of the data cannot make tables, HTML or links."""
        blocks = [f"# {escape(self.title)}"]
        for section in self.sections:
            blocks.append(f"## {escape(section.title)}")
            blocks += [escape(p) for p in section.paragraphs]
            if section.points:
                blocks.append("\n".join(f"- {escape(p)}" for p in section.points))
            if section.picture is not None:
                svg = b64encode(section.picture.to_svg().encode()).decode()
                blocks.append(
                    f"![{escape(section.picture.title)}](data:image/svg+xml;base64,{svg})"
                )
            if section.grid is not None:
                blocks.append(section.grid.to_markdown())
        return "\n\n".join(blocks) + "\n"

    def to_html(self) -> str:
        """Render as one HTML page without scripts or links; every text is escaped."""
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f"<title>{as_html(self.title)}</title><style>{_STYLE}</style></head><body><main>"
            f"<h1>{as_html(self.title)}</h1>\n{self.to_fragment()}</main></body></html>\n"
        )

    def to_fragment(self) -> str:
        """Render the sections alone, to stand in another page under its title."""
        body = []
        for section in self.sections:
            body.append(f"<h2>{as_html(section.title)}</h2>")
            body += [f"<p>{as_html(p)}</p>" for p in section.paragraphs]
            if section.points:
                items = "".join(f"<li>{as_html(p)}</li>" for p in section.points)
                body.append(f"<ul>{items}</ul>")
            if section.picture is not None:
                body.append(f'<figure tabindex="0">{section.picture.to_svg()}</figure>')
            if section.grid is not None:
                body.append(f'<div class="wide" tabindex="0">{section.grid.to_html()}</div>')
        return "\n".join(body)
