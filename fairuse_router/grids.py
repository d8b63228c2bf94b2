"""One table of texts, shown as plain text in 80 columns, as Markdown or as HTML."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

WIDTH = 80  # columns of a terminal, and of every text

_MARKS = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|<>#"})


def clip(text: str, width: int = WIDTH) -> str:
    """Cut a text to a width.

    Examples
    --------
    >>> clip("intersectional", 9)
    'intersec…'
    """
    return text if len(text) <= width else f"{text[: width - 1]}…"


def wrap(text: str, first: str = "", then: str | None = None) -> list[str]:
    """Fold a text into lines of at most 80 columns.

    Parameters
    ----------
    text : str
    first, then : str, default=""
        What the first line begins with, and all others; those as the first where not given.
    """
    rest = first if then is None else then
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)


def fill(text: str) -> str:
    """Fold a text as `wrap` does; return it whole."""
    return "\n".join(wrap(text))


def count(number: int, noun: str) -> str:
    """A number and what it counts.

    Examples
    --------
    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def escape(text: str) -> str:
    """Escape what Markdown would read as markup."""
    return " ".join(text.split()).translate(_MARKS)


@dataclass(frozen=True)
class Column:
    """One column of a `Grid`.

    Parameters
    ----------
    head : str
    width : int, default=0
        Of plain text: cells are padded to it, and cut where the column stands on the left. 0 takes
        them as they are, as in the last column.
    left : bool, default=False
        Whether it holds prose and stands on the left; in Markdown and HTML the first always does.
    gap : int, default=0
        Blanks before it in plain text, however long its cells.
    """

    head: str
    width: int = 0
    left: bool = False
    gap: int = 0

    def pad(self, cell: str) -> str:
        """One cell in plain text; on the left, a blank parts it from the next."""
        cell = f"{clip(cell, self.width - 1):<{self.width}}" if self.left and self.width else cell
        return " " * self.gap + cell.rjust(self.width)


def numbers(widths: Mapping[str, int]) -> list[Column]:
    """Columns of numbers, by head; each as wide in plain text as said."""
    return [Column(head, width) for head, width in widths.items()]


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Parameters
    ----------
    columns : sequence of Column or str
        A text is the head of a column of numbers.
    rows : sequence of sequence of str

    Examples
    --------
    >>> grid = Grid([Column("group", 8, left=True), Column("gain", 7)], [["F, old", "+1.2%"]])
    >>> for line in grid.lines():
    ...     print(line)
    group      gain
    F, old    +1.2%
    >>> print(grid.to_markdown())
    | group | gain |
    | --- | ---: |
    | F, old | +1.2% |
    """

    columns: Sequence[Column | str]
    rows: Sequence[Sequence[str]]

    def _columns(self) -> list[Column]:
        return [Column(c) if isinstance(c, str) else c for c in self.columns]

    def lines(self) -> Iterator[str]:
        """Yield its head and every row as plain text."""
        columns = self._columns()
        for cells in ([c.head for c in columns], *self.rows):
            yield "".join(c.pad(cell) for c, cell in zip(columns, cells, strict=True)).rstrip()

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        columns = self._columns()
        rules = ["---" if c.left or i == 0 else "---:" for i, c in enumerate(columns)]
        rows = [[escape(cell) for cell in row] for row in ([c.head for c in columns], *self.rows)]
        rows.insert(1, rules)
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)

    def to_html(self, name: str = "", caption: str = "") -> str:
        """Return the table as HTML; every text is escaped.

        Parameters
        ----------
        name : str, default=""
            Its class.
        caption : str, default=""
        """
        columns = self._columns()

        def line(cells: Sequence[str], tag: str) -> str:
            marks = [' class="text"' if c.left else "" for c in columns]
            return "".join(
                f"<{tag}{mark}>{html.escape(cell)}</{tag}>"
                for cell, mark in zip(cells, marks, strict=True)
            )

        rows = "".join(f"<tr>{line(row, 'td')}</tr>" for row in self.rows)
        return (
            (f'<table class="{name}">' if name else "<table>")
            + (f"<caption>{html.escape(caption)}</caption>" if caption else "")
            + f"<thead><tr>{line([c.head for c in columns], 'th')}</tr></thead>"
            + f"<tbody>{rows}</tbody></table>"
        )
