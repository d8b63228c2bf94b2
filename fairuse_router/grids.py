"""A table of texts, shown as text, Markdown or HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of sequence of str
    text : frozenset of int
        Columns that hold prose and stand on the left; the first column always does.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: frozenset[int] = frozenset()


_MARKS = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|<>#"})


def _plain(text: str) -> str:
    """Escape what Markdown would read as markup."""
    return " ".join(text.split()).translate(_MARKS)


def _markdown_table(grid: Grid) -> str:
    rules = ["---" if i == 0 or i in grid.text else "---:" for i in range(len(grid.head))]
    lines = [[_plain(h) for h in grid.head], rules]
    lines += [[_plain(cell) for cell in row] for row in grid.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _html_table(grid: Grid) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        marks = [' class="text"' if i in grid.text else "" for i in range(len(cells))]
        return "".join(
            f"<{tag}{mark}>{html.escape(cell)}</{tag}>"
            for cell, mark in zip(cells, marks, strict=True)
        )

    rows = "".join(f"<tr>{line(row, 'td')}</tr>" for row in grid.rows)
    return f"<table><thead><tr>{line(grid.head, 'th')}</tr></thead><tbody>{rows}</tbody></table>"
