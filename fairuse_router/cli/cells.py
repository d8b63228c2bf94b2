"""Cells: which texts are numbers, which are missing, and which are dates or codes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date

from fairuse_router.cli.tablefile import Cells
from fairuse_router.documents import Document

MISSING = (
    *("?", "NA", "<NA>", "N/A", "n/a", "#N/A", "#NA", "#N/A N/A", "NaN", "nan", "-NaN", "-nan"),
    *("NaT", "null", "Null", "NULL", "None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?", re.I | re.A)
_WHOLE = re.compile(r"[+-]?\d+", re.A)
_CODE = re.compile(r"[+-]?0\d+", re.A)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+", re.A)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_TIME = r"(?:[T ]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:[ap]m|z|utc|[+-]\d{2}:?\d{2})?)?"
_DATE = re.compile(
    rf"(?:\d{{4}}[-/.]\d{{1,2}}(?:[-/.]\d{{1,2}})?|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}})"
    rf"|\d{{1,2}}[- .]{{1,2}}{_MONTH}[- ,]{{1,2}}\d{{2,4}}|{_MONTH} \d{{1,2}},? \d{{4}}){_TIME}"
    r"|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?",
    re.I | re.A,
)
_EXACT = 2**53  # whole numbers beyond are not all told apart as floats


@dataclass(frozen=True)
class Reading(Document):
    """How the cells of a file become values, as learned at fit; the bundle keeps it.

    Parameters
    ----------
    missing : tuple of str
        Texts that are missing cells, as the empty text always is.
    commas : tuple of str, default=()
        Columns of numbers with decimal commas.
    id : str or None, default=None
        The column that tells whose row it is.
    """

    _KIND = "a reading"

    missing: tuple[str, ...]
    commas: tuple[str, ...] = ()
    id: str | None = None

    def decimal(self, column: str) -> str:
        """What parts the decimals of a column."""
        return "," if column in self.commas else "."


def told(cells: Sequence[str | None], missing: Collection[str]) -> Cells:
    """Cells with None for those that are missing.

    Examples
    --------
    >>> told(["a", "NA", ""], ["NA"])
    ['a', None, None]
    """
    return [None if not cell or cell in missing else cell for cell in cells]


def to_number(cell: str, decimal: str = ".") -> float | None:
    """Return the number that a cell holds, whatever blanks are around it; None if it holds none.

    Examples
    --------
    >>> to_number("1e3"), to_number("1_000"), to_number("60+"), to_number(" 1,5", ",")
    (1000.0, None, None, 1.5)
    """
    text = cell.strip()
    if decimal != ".":
        text = "" if "." in text else text.replace(decimal, ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def is_missing_number(cell: str | None, missing: Collection[str]) -> bool:
    """Whether a cell of a column of numbers is missing: marks are never numbers."""
    if cell is None:
        return True
    text = cell.strip()
    return not text or cell in missing or text in missing or text in MISSING


def to_numbers(
    cells: Sequence[str | None],
    name: str,
    decimal: str = ".",
    missing: Collection[str] = (),
    where: Callable[[int], str] = "in row {}".format,
) -> list[float]:
    """Return a column as finite numbers, NaN where missing.

    Parameters
    ----------
    cells : sequence of str or None
    name : str
        Of the column.
    decimal : str, default="."
    missing : collection of str, default=()
        Texts that are missing cells, beside those that always are.
    where : callable, default="in row {}".format
        Says where a cell stands, given the number of its row from 1.

    Raises
    ------
    ValueError
        Naming the first cell that is no finite number.
    """
    numbers = []
    for row, cell in enumerate(cells, start=1):
        if cell is None or is_missing_number(cell, missing):
            numbers.append(math.nan)
            continue
        number = to_number(cell, decimal)
        if number is None or math.isinf(number):
            other = {".": ",", ",": "."}.get(decimal, ".")
            hint = f", or say --decimal {other}" if to_number(cell, other) is not None else ""
            raise ValueError(
                f"column {name!r} holds {cell!r} {where(row)}, which is no finite number; the "
                f"column is numeric. Correct the cell{hint}, or leave it empty if the value is "
                "missing."
            )
        numbers.append(number)
    return numbers


def decimal_of(cells: Sequence[str | None]) -> str | None:
    """What parts the decimals of cells that are all numbers; None if they are not.

    ``"?"`` where all commas may as well part thousands.

    Examples
    --------
    >>> [decimal_of(["1", other]) for other in ("2.5", "2,5", "2,500", "a")]
    ['.', ',', '?', None]
    """
    found = [cell.strip() for cell in cells if cell is not None]
    if all(to_number(cell) is not None for cell in found):
        return "."
    if all(to_number(cell, ",") is not None for cell in found):
        return "?" if all(_THOUSANDS.fullmatch(c) for c in found if "," in c) else ","
    return None


def codes_of(cells: Sequence[str]) -> str | None:
    """Why whole numbers are codes: zeros before them, or more digits than numbers keep.

    Examples
    --------
    >>> codes_of(["01", "2"]), codes_of(["1", "2"])
    ("'01' is a code: as a number it would be '1'", None)
    """
    for cell in map(str.strip, cells):
        if _CODE.fullmatch(cell):
            return f"{cell!r} is a code: as a number it would be {str(int(cell))!r}"
        if _WHOLE.fullmatch(cell) and abs(int(cell)) > _EXACT:
            return f"{cell!r} has more digits than a number keeps"
    return None


def are_dates(cells: Sequence[str], numbers: bool = False) -> bool:
    """Whether nearly all cells are dates or times; of numbers, whether they are as 20240131.

    Examples
    --------
    >>> are_dates(["2024-01-31", "1 Feb 2024"]), are_dates(["2024.5"], True)
    (True, False)
    >>> are_dates(["20240131"], True), are_dates(["20241301"], True)
    (True, False)
    """
    found = [_is_compact(c) if numbers else bool(_DATE.fullmatch(c)) for c in map(str.strip, cells)]
    return sum(found) >= 0.9 * len(found)


def _is_compact(text: str) -> bool:
    """Whether eight digits are a date."""
    if not re.fullmatch(r"(?:19|20)\d{6}", text, re.A):
        return False
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


def natural(text: str) -> tuple[int, float, str]:
    """Sort key of a level: numbers by value, before texts.

    Examples
    --------
    >>> sorted(["10", "2", "b"], key=natural)
    ['2', '10', 'b']
    """
    number = to_number(text)
    return (1, 0.0, text) if number is None else (0, number, text)
