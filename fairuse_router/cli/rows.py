"""Rows of a file as a bundle takes them, with or without the target; nothing of scikit-learn."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle import Bundle
from fairuse_router.bundle.file.properties import READING, read_property
from fairuse_router.cli.cells import MISSING, Reading, to_numbers, told
from fairuse_router.cli.console import listing, note
from fairuse_router.cli.tablefile import Cells, TableFile
from fairuse_router.cli.target import to_measurements
from fairuse_router.levels import level_text

BATCH = 10_000
_FLOAT = re.compile(r"(-?\d+)\.0+", re.A)  # how a whole number is written beside missing ones
_TRUTH = {"True": "1", "False": "0", "true": "1", "false": "0", "TRUE": "1", "FALSE": "0"}


@dataclass(frozen=True)
class BundleRows:
    """How the rows of a file become those of the training data.

    Parameters
    ----------
    bundle : Bundle
    reading : Reading
        What is missing and what is a decimal, as learned at fit, and as told now.
    places : dict of int to int
        Place in the file, by place in the training data; group attributes may be lacking.
    id : (str, int) or None
        Name and place of the column that tells whose row it is.
    texts_missing : tuple of str
        Texts that are missing in columns of texts.
    """

    bundle: Bundle
    reading: Reading
    places: dict[int, int]
    id: tuple[str, int] | None
    texts_missing: tuple[str, ...]

    @classmethod
    def of(cls, bundle: Bundle, file: TableFile, args: argparse.Namespace) -> BundleRows:
        """Find the columns, and what is known of their cells."""
        learned = read_property(bundle, READING, Reading)
        reading = learned or Reading(MISSING)
        asked = None if args.missing is None else tuple(filter(None, args.missing))
        missing = reading.missing if asked is None else asked
        decimal = "." if file.has_types else args.decimal
        if decimal is not None:
            numbers = tuple(c.name for c in bundle.layout.columns if c.numeric)
            reading = replace(reading, commas=numbers if decimal == "," else ())
        # a bundle from Python knows no marks: there a text is a text
        texts = () if (learned is None and asked is None) or file.has_types else missing
        name = args.id or (reading.id if reading.id in file.names else None)
        if name is not None and name not in file.names:
            raise ValueError(f"--id {name!r} is not a column of {file.path}.")
        whose = None if name is None else (name, file.names.index(name))
        return cls(bundle, replace(reading, missing=missing), _places(bundle, file), whose, texts)

    def ids(self, rows: list[Cells]) -> dict[str, list[str]]:
        """The column that tells whose row it is, if there is one."""
        if self.id is None:
            return {}
        name, place = self.id
        return {name: [row[place] or "" for row in rows]}

    def table(self, rows: list[Cells], before: int) -> NDArray[np.object_]:
        """Rows as the training data held them; `before` is how many rows came earlier."""
        columns = list(zip(*rows, strict=True))
        table = np.full((len(rows), self.bundle.layout.width), None, dtype=object)

        def where(row: int) -> str:
            whose = "" if self.id is None else f" ({self.id[0]} {rows[row - 1][self.id[1]]!r})"
            return f"in row {before + row}{whose}"

        for column in self.bundle.layout.columns:
            cells = columns[self.places[column.position]]
            if column.numeric:
                name, missing = column.name, self.reading.missing
                known = [_TRUTH.get(cell, cell) if cell else cell for cell in cells]
                decimal = self.reading.decimal(name)
                table[:, column.position] = to_numbers(known, name, decimal, missing, where)
            else:
                table[:, column.position] = told(cells, self.texts_missing)
        for attribute, position in enumerate(self.bundle.schema.positions):
            if position in self.places:
                cells = columns[self.places[position]]
                table[:, position] = self._levels(attribute, cells, where)
        return table

    def _levels(self, attribute: int, cells: Any, where: Callable[[int], str]) -> list[str | None]:
        """Levels of one group attribute; one that training knew is never missing."""
        schema = self.bundle.schema
        levels = set(schema.levels[attribute])
        found = {cell: self._level(cell, levels) for cell in set(cells)}
        strange = {c for c in found.values() if c is not None and c not in levels} - {
            schema.withheld
        }
        if strange and schema.handle_unknown == "error":
            row = next(i for i, cell in enumerate(cells, start=1) if found[cell] in strange)
            raise ValueError(
                f"Group attribute {schema.attributes[attribute]!r} has levels that were not seen "
                f"in training: {sorted(strange)[:5]}, first {where(row)}. Known levels: "
                f"{list(schema.levels[attribute])[:20]}; an empty cell withholds. Correct the "
                "rows, or train with handle_unknown='withhold' to serve such rows as withheld."
            )
        return [found[cell] for cell in cells]

    def _level(self, cell: str | None, levels: set[str]) -> str | None:
        """Text of a level, None if it is withheld."""
        if not cell or cell in levels:
            return cell or None
        if cell in self.reading.missing:
            return None
        whole = _FLOAT.fullmatch(cell)
        return whole[1] if whole and whole[1] in levels else cell


def _places(bundle: Bundle, file: TableFile) -> dict[int, int]:
    """Place in the file of every column that the bundle reads."""
    features = {c.position: c.name for c in bundle.layout.columns}
    missing = [name for name in features.values() if name not in file.names]
    if missing:
        which = "column" if len(missing) == 1 else "columns"
        raise ValueError(
            f"{file.path} lacks the {which} {listing(missing)} of the training data. Add "
            "what is missing; empty cells are missing values."
        )
    groups = dict(zip(bundle.schema.positions, bundle.schema.attributes, strict=True))
    withheld = [name for name in groups.values() if name not in file.names]
    if withheld:
        note(f"{file.path} lacks {listing(withheld)}, which every row withholds")
    return {j: file.names.index(n) for j, n in {**features, **groups}.items() if n in file.names}


def read_rows(args: argparse.Namespace, target: str | None = None) -> tuple[Any, ...]:
    """Read a bundle and a whole file: the bundle, rows as it takes them, and labels or None.

    Rows without a target are left out, and said.
    """
    bundle = Bundle.load(args.bundle)
    file = TableFile(args.data, args.sep, args.encoding)
    if target is not None and target not in file.names:
        raise ValueError(f"--target {target!r} is not a column of {file.path}.")
    rows = BundleRows.of(bundle, file, args)
    tables: list[NDArray[np.object_]] = []
    cells: list[str | None] = []
    for batch in file.batches(BATCH):
        tables.append(rows.table(batch, len(cells)))
        place = 0 if target is None else file.names.index(target)
        cells += [row[place] for row in batch]
    if not cells:
        raise ValueError(f"{file.path} has no rows.")
    table = np.concatenate(tables)
    if target is None:
        return bundle, table, None
    known = [i for i, cell in enumerate(cells) if cell and cell not in rows.reading.missing]
    if len(known) < len(cells):
        note(f"{len(cells) - len(known):,} rows without {target!r} are left out")
    if not known:
        raise ValueError(f"{file.path} has no row with {target!r}.")
    return bundle, table[known], _outcomes(bundle, [cells[i] or "" for i in known], target, args)


def _outcomes(
    bundle: Bundle, cells: list[str], target: str, args: argparse.Namespace
) -> NDArray[Any]:
    """Cells of the target as the labels of a bundle, or as numbers."""
    if bundle.classes_ is None:
        return to_measurements(cells, target, args.decimal)
    known = {str(label): label for label in bundle.classes_.tolist()}
    known |= {level_text(label) or "": label for label in bundle.classes_.tolist()}
    found = [known.get(cell, known.get(_whole(cell))) for cell in cells]
    if None in found:
        strange = sorted({c for c, label in zip(cells, found, strict=True) if label is None})
        raise ValueError(
            f"the target {target!r} holds {listing(strange, 5)}; the classes of the bundle are "
            f"{listing(map(str, bundle.classes_.tolist()))}. Correct the rows."
        )
    return np.array(found, dtype=bundle.classes_.dtype)


def _whole(cell: str) -> str:
    """A whole number without the zeros that it is written with beside missing ones."""
    found = _FLOAT.fullmatch(cell)
    return found[1] if found else cell
