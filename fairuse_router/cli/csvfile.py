"""CSV files as texts: nothing is guessed here but what is missing."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

MISSING = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"})

Cells = list[str | None]


class CsvFile:
    """A CSV file with a header line, read row by row.

    Cells and names lose the blanks around them; missing cells are None.

    Parameters
    ----------
    path : str
        File in UTF-8, with or without byte order mark.
    separator : str, default=","

    Attributes
    ----------
    names : list of str
        The header. A column without a name is called ``""``.

    Raises
    ------
    ValueError
        If there is no such file, it is no UTF-8 text, or it has no header or a name twice.
    """

    def __init__(self, path: str, separator: str = ",") -> None:
        self.path = path
        if not Path(path).is_file():
            kind = "it is a folder" if Path(path).is_dir() else "there is no such file"
            raise ValueError(f"{path}: {kind}.")
        self._lines = self._records(separator)
        header = next(self._lines, None)
        if header is None:
            raise ValueError(f"{path} is empty; a header line with column names is needed.")
        self.names = header
        twice = sorted(name for name, n in Counter(header).items() if n > 1 and name)
        if twice:
            raise ValueError(f"{path}: the header names {twice} twice. Rename or drop the copies.")

    def batches(self, size: int) -> Iterator[list[Cells]]:
        """Yield the rows in lists of at most `size`.

        Raises
        ------
        ValueError
            For a row with more or fewer cells than the header, or a file without rows.
        """
        batch: list[Cells] = []
        number = 0
        for number, row in enumerate(self._lines, start=1):
            if len(row) != len(self.names):
                raise ValueError(
                    f"{self.path}: row {number} after the header has {len(row)} cells, the header "
                    f"{len(self.names)}. Check its quotes and separators."
                )
            batch.append([None if cell in MISSING else cell for cell in row])
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
        if number == 0:
            raise ValueError(f"{self.path} has a header and no rows.")

    def columns(self) -> dict[str, Cells]:
        """Read all rows; return the columns by name, unnamed ones left out."""
        rows = [row for batch in self.batches(10_000) for row in batch]
        return {
            name: list(cells)
            for name, cells in zip(self.names, zip(*rows, strict=True), strict=True)
            if name
        }

    def _records(self, separator: str) -> Iterator[list[str]]:
        try:
            with open(self.path, encoding="utf-8-sig", newline="") as file:
                for record in csv.reader(file, delimiter=separator, skipinitialspace=True):
                    if record:
                        yield [cell.strip() for cell in record]
        except UnicodeDecodeError:
            raise ValueError(f"{self.path} is no text in UTF-8. Save it as CSV UTF-8.") from None
        except csv.Error as error:
            raise ValueError(f"{self.path} is no CSV file: {error}.") from None


def to_number(cell: str) -> float | None:
    """Return the number that a cell holds; None if it holds none.

    Examples
    --------
    >>> to_number("1e3"), to_number("1_000"), to_number("60+")
    (1000.0, None, None)
    """
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def to_numbers(cells: Sequence[str | None], name: str) -> list[float]:
    """Return a column as finite numbers, NaN where missing.

    Raises
    ------
    ValueError
        Naming the first cell that is no finite number.
    """
    numbers = [math.nan if cell is None else to_number(cell) for cell in cells]
    for row, number in enumerate(numbers, start=1):
        if number is None or math.isinf(number):
            raise ValueError(
                f"column {name!r} holds {cells[row - 1]!r}, which is no finite number; the column "
                "is numeric. Correct the cell, or leave it empty if the value is missing."
            )
    return [number for number in numbers if number is not None]
