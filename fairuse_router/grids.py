"""One table of texts, shown as plain text in 80 columns, as Markdown or as HTML."""

from __future__ import annotations

import html
import re
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WIDTH = 80  # columns of a terminal, and of every text

# what heads of tables mean: titles in HTML; the glossary of the site has the same sentences
MEANINGS = {
    "generic": (
        "Candidate: the model that knows no group attribute. It serves whoever withholds "
        "everything."
    ),
    "one-hot": "Candidate: told each group attribute by dummies.",
    "intersectional": "Candidate: told each group by a dummy of its own.",
    "decoupled": "Candidate: a model per group, trained on that group's rows.",
    "multilevel": (
        "Candidate: generic's margin with a linear correction per group (of several classes a "
        "linear model per group); the groups lend each other evidence."
    ),
    "routed": "The system that is deployed: every report answered by its route.",
    "gain": "Risk of generic less risk of the model: positive is better, in every metric.",
    "rational": "A group is predicted at least as well as by generic.",
    "envy-free": (
        "No group is predicted better under the report of another group than under its own."
    ),
    "truthful": (
        "No other report, withholding included, brings a group better predictions than its own."
    ),
    "verdict": (
        'Gain, violation or undetermined; "same" where one model serves both sides and '
        "there is nothing to test."
    ),
    "served by": "The candidate of the route.",
    "candidate": (
        "A fitted model that can serve reports: generic, one-hot, intersectional, "
        "decoupled, multilevel, or one of your own."
    ),
    "rows": (
        "How many rows stand behind the numbers; few or hidden where that would tell of people."
    ),
    "interval": "Where the true gain lies, at the level that the table names.",
    "reason": "Why the group has this route.",
    "honest": (
        "Out-of-fold gains of the chosen routes, corrected for having been chosen on the "
        "same rows (BBC-CV)."
    ),
    "naive": "The same gains, not corrected.",
    "worst group": "The gain of the group that gains least.",
    "best group": "The gain of the group that gains most.",
}

_OTHER_WORDS = {
    "onehot": "one-hot",
    "model": "candidate",
    "rationality": "rational",
    "envy-freeness": "envy-free",
    "truthfulness": "truthful",
}

_MARKS = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|<>#~&$@"})
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp)(?=:)|\b(www)(?=\.)")
_LIST = re.compile(r"^(?=[-+](?:\s|$)|=+$|-+$)|^\d{1,9}(?=[.)](?:\s|$))")
_FORMULA = tuple("=+-@\t\r")


def shown(text: str, keep: str = "") -> str:
    r"""Escape signs that steer a terminal or turn the direction of a text, as Python writes them.

    Parameters
    ----------
    text : str
    keep : str, default=""
        Signs to leave as they are, such as the ends of lines.

    Examples
    --------
    >>> print(shown("a\x1b[2J, \u202eb"))
    a\x1b[2J, \u202eb
    """
    if text.isprintable():
        return text
    return "".join(
        c if c in keep or c in _JOINERS or unicodedata.category(c) not in _STEERING else _name(c)
        for c in text
    )


_STEERING = ("Cc", "Cf", "Zl", "Zp", "Cs")  # controls, formats, ends of lines, halves of signs
_JOINERS = "\u200c\u200d"  # words of Persian and Hindi are spelt with them


def _name(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def told(value: object) -> str:
    """Write a value as Python does, a scalar of numpy as the plain value that it is.

    Examples
    --------
    >>> import numpy as np
    >>> print(told(np.int64(0)), told(np.str_("no")), told(0.7))
    0 'no' 0.7
    """
    return repr(value.item() if isinstance(value, np.generic) else value)


def for_spreadsheets(cell: str) -> str:
    """Mark a cell that a spreadsheet would compute by an apostrophe; numbers stay as they are.

    Examples
    --------
    >>> for_spreadsheets("=1+1"), for_spreadsheets("-1.5"), for_spreadsheets("F")
    ("'=1+1", '-1.5', 'F')
    """
    if not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell if cell[0] in "+-" else f"'{cell}"


def clip(text: str, width: int = WIDTH) -> str:
    """Cut a text to a width.

    Examples
    --------
    >>> clip("intersectional", 9)
    'intersec…'
    """
    text = shown(text)
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
    text = shown(text, keep="\n")
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)


def fill(text: str) -> str:
    """Fold a text as `wrap` does; return it whole."""
    return "\n".join(wrap(text))


def fold_name(name: str, width: int = 32) -> list[str]:
    """Lines of a name, which is folded and never cut.

    Examples
    --------
    >>> fold_name("female, 60 and older, rural (1,200)", 20)
    ['female, 60 and', 'older, rural (1,200)']
    """
    return textwrap.wrap(shown(name), width) or [""]


def count(number: int, noun: str) -> str:
    """A number and what it counts.

    Examples
    --------
    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rows_text(rows: int | None) -> str:
    """How many rows stand behind a number, where small counts are not hidden.

    Examples
    --------
    >>> rows_text(1200), rows_text(None)
    ('1,200', 'hidden')
    """
    return "hidden" if rows is None else f"{rows:,}"


def escape(text: str) -> str:
    r"""Escape what Markdown would read as markup, addresses included.

    Examples
    --------
    >>> print(escape("~~F~~ of www.who.int"))
    \~\~F\~\~ of www\.who.int
    """
    text = shown(" ".join(text.split())).translate(_MARKS)
    text = _ADDRESS.sub(lambda found: f"{found[0]}\\", text)
    return _LIST.sub(lambda found: f"{found[0]}\\", text)


def as_html(text: str) -> str:
    """Escape a text for HTML."""
    return html.escape(shown(text, keep="\n"))


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
    folded : sequence of str, default=()
        The head in plain text as lines, where it is wider than its cells.

    Examples
    --------
    >>> columns = [Column("group", 8, left=True), Column("rows", 6)]
    >>> for line in Grid(columns, [["F", "97"], ["M", "206"]]).lines():
    ...     print(line)
    group     rows
    F           97
    M          206
    """

    head: str
    width: int = 0
    left: bool = False
    gap: int = 0
    folded: Sequence[str] = ()

    def pad(self, cell: str) -> str:
        """One cell in plain text; on the left, a blank parts it from the next."""
        cell = shown(cell)
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
        """Yield its head and every row as plain text; a folded head takes several lines."""
        columns = self._columns()
        heads = [c.folded or (c.head,) for c in columns]
        depth = max(map(len, heads), default=1)
        above = [["" for _ in range(depth - len(lines))] + list(lines) for lines in heads]
        for cells in (*zip(*above, strict=True), *self.rows):
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
            if tag == "th":
                marks = [m + _title(c.head) for m, c in zip(marks, columns, strict=True)]
            return "".join(
                f"<{tag}{mark}>{as_html(cell)}</{tag}>"
                for cell, mark in zip(cells, marks, strict=True)
            )

        rows = "".join(f"<tr>{line(row, 'td')}</tr>" for row in self.rows)
        return (
            (f'<table class="{name}">' if name else "<table>")
            + (f"<caption>{as_html(caption)}</caption>" if caption else "")
            + f"<thead><tr>{line([c.head for c in columns], 'th')}</tr></thead>"
            + f"<tbody>{rows}</tbody></table>"
        )


def _title(head: str) -> str:
    """What a head means, as an attribute of its cell; nothing where that is not known."""
    meaning = MEANINGS.get(_OTHER_WORDS.get(head, head))
    return "" if meaning is None else f' title="{html.escape(meaning)}"'
