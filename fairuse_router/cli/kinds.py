"""Kinds: which columns are numbers, which are categories, which are left out, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fairuse_router.cli.cells import are_dates, codes_of, decimal_of, to_number, to_numbers
from fairuse_router.cli.console import listing
from fairuse_router.cli.tablefile import Cells

_FEW_TEXTS = 20  # so many distinct texts are categories, however few rows there are
_KEEP = "--categories keeps it"
_COUNTER = 20  # rows from which on 1, 2, 3 is no chance


@dataclass
class Kinds:
    """What the features of a file are.

    Parameters
    ----------
    numbers : dict of str to str
        Columns of numbers, and what parts their decimals.
    texts : list of str
        Columns of categories.
    told : list of (str, str, str)
        Columns, what they were read as, and why; plain numbers need no word.
    """

    numbers: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def values(self, name: str, cells: Cells) -> NDArray[np.float64]:
        """Numbers of a column, NaN where missing."""
        return np.array(to_numbers(cells, name, self.numbers[name]), dtype=np.float64)

    def add_text(self, name: str, cells: Sequence[str], why: str = "", asked: bool = False) -> None:
        """Take a column as categories, unless it looks like an identifier."""
        distinct = sorted(set(cells))
        if not asked and len(distinct) > max(_FEW_TEXTS, len(cells) // 2):
            told = (
                f"{len(distinct):,} different texts in {len(cells):,} rows look like an identifier"
            )
            self.told.append((name, "left out", f"{why + '; ' if why else ''}{told}; {_KEEP}"))
            return
        self.texts.append(name)
        named = listing(distinct, 4)
        self.told.append((name, "categories", f"{named}; {why}" if why else named))


def find_kinds(
    columns: Mapping[str, Cells],
    categories: Collection[str] = (),
    typed: Collection[str] = (),
    decimal: str | None = None,
) -> Kinds:
    """Find out what the features of a file are.

    Parameters
    ----------
    columns : mapping of str to list of str or None
        Cells by column; None where missing.
    categories : collection of str, default=()
        Columns that are categories whatever they look like.
    typed : collection of str, default=()
        Columns that the file holds as texts.
    decimal : str, default=None
        What parts decimals; None: found column by column.

    Raises
    ------
    ValueError
        Where commas may part decimals or thousands.
    """
    kinds = Kinds()
    for name, every in columns.items():
        cells = [cell for cell in every if cell is not None]
        parts = _decimal(cells, decimal)
        if not cells:
            kinds.told.append((name, "left out", "it is empty"))
        elif name in categories:
            kinds.add_text(name, cells, asked=True)
        elif are_dates(cells, numbers=parts is not None):
            why = f"dates such as {cells[0]!r}; make numbers of them, such as ages; {_KEEP}"
            kinds.told.append((name, "left out", why))
        elif name in typed:
            kinds.add_text(name, cells)
        elif parts is None:
            kinds.add_text(name, cells, _odd(cells, decimal))
        elif (code := codes_of(cells)) is not None:
            kinds.add_text(name, cells, code)
        else:
            kinds.numbers[name] = parts
            if _counts_rows(every, parts):
                why = "it counts the rows: --drop it, or name it by --id"
                kinds.told.append((name, "numbers", why))
    _settle_decimals(kinds, columns, decimal)
    return kinds


def _decimal(cells: Sequence[str], asked: str | None) -> str | None:
    """What parts the decimals of a column of numbers."""
    if asked is None:
        return decimal_of(cells)
    return asked if all(to_number(cell, asked) is not None for cell in cells) else None


def _settle_decimals(kinds: Kinds, columns: Mapping[str, Cells], asked: str | None) -> None:
    """Read whole numbers as the file writes fractions; refuse commas that may part thousands."""
    found = set(kinds.numbers.values())
    points = any(
        cell is not None and "." in cell
        for name, decimal in kinds.numbers.items()
        if decimal == "."
        for cell in columns[name]
    )
    for name, decimal in kinds.numbers.items():
        if decimal == "?" and "," not in found:
            cell = next(cell for cell in columns[name] if cell is not None and "," in cell)
            raise ValueError(
                f"column {name!r} holds {cell!r}, whose comma may part decimals or thousands. Say "
                "--decimal , or write thousands without commas."
            )
        if asked is None and "," in found and (decimal == "?" or not points):
            kinds.numbers[name] = ","
    for name, decimal in kinds.numbers.items():
        if decimal == "," and asked is None and any("," in (cell or "") for cell in columns[name]):
            kinds.told.append((name, "numbers", "with decimal commas"))


def _odd(cells: Sequence[str], decimal: str | None) -> str:
    """Say what keeps a column of numbers, nearly, from being one."""
    odd = [c for c in cells if to_number(c, decimal or ".") is None]
    if len(odd) > 0.1 * len(cells):
        return ""
    texts = listing(dict.fromkeys(odd), 3)
    return f"{texts} is no number; if it means missing, say --missing"


def _counts_rows(cells: Cells, decimal: str) -> bool:
    """Whether a column is 0, 1, 2, ... or 1, 2, 3, ..."""
    if len(cells) < _COUNTER or None in cells:
        return False
    numbers = [to_number(cell or "", decimal) for cell in cells]
    return numbers[0] in (0, 1) and all(n == numbers[0] + i for i, n in enumerate(numbers))
