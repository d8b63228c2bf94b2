"""``fairuse-router predict``: rows of a table through a bundle, with nothing of scikit-learn."""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle import Bundle
from fairuse_router.bundle.file.properties import READING, read_property
from fairuse_router.cli.cells import MISSING, Reading, to_numbers, told
from fairuse_router.cli.console import check_output, listing, note
from fairuse_router.cli.tablefile import STREAM, Cells, TableFile
from fairuse_router.documents import writing
from fairuse_router.grids import for_spreadsheets, shown

_BATCH = 10_000
_FLOAT = re.compile(r"(-?\d+)\.0+", re.A)  # how a whole number is written beside missing ones
_TRUTH = {"True": "1", "False": "0", "true": "1", "false": "0", "TRUE": "1", "FALSE": "0"}


def run(args: argparse.Namespace) -> None:
    """Predict batch by batch, so that memory does not grow with the file."""
    to_file = args.out not in (None, STREAM)
    if to_file:
        check_output(args.out, args.data, args.bundle)
    bundle = Bundle.load(args.bundle)
    file = TableFile(args.data, args.sep, args.encoding)
    rows = _Rows.of(bundle, file, args)
    served: Counter[str] = Counter()
    start, last = time.monotonic(), 0.0
    screen = not to_file and sys.stdout.isatty()
    with _output(args.out if to_file else None) as out:
        writer = csv.writer(out, lineterminator="\n")
        for batch in file.batches(_BATCH):
            table = rows.table(batch, served.total())
            answers = {**rows.ids(batch), **_answers(bundle, table)}
            if not served:  # only now, so that a file refused at once prints nothing
                writer.writerow(_safe(list(answers), screen))
            columns = [_safe(column, screen) for column in answers.values()]
            writer.writerows(zip(*columns, strict=True))
            served.update(answers["candidate"])
            now = time.monotonic() - start
            if now - last > 1 and not screen:  # else the rows themselves show the progress
                last = now
                print(f"\rpredicted {served.total():,} rows, {now:.0f} s", end="", file=sys.stderr)
    if last:
        print(file=sys.stderr)
    if to_file:
        by = ", ".join(f"{n:,} by {name}" for name, n in served.most_common())
        print(f"Wrote {args.out}: {served.total():,} rows, {by}.")


@dataclass(frozen=True)
class _Rows:
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
    def of(cls, bundle: Bundle, file: TableFile, args: argparse.Namespace) -> _Rows:
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


def _value_names(bundle: Bundle) -> list[str]:
    """Columns for the probabilities or scores, if there are any."""
    outputs = {output["name"]: output["shape"] for output in bundle.outputs}
    if "probabilities" in outputs and bundle.classes_ is not None:
        return [f"probability_{label}" for label in bundle.classes_.tolist()]
    if "scores" in outputs:
        return [f"score_{j}" for j in range(outputs["scores"][-1])]
    return []


def _answers(bundle: Bundle, table: NDArray[np.object_]) -> dict[str, Any]:
    """What is written of every row, column by column."""
    routed = bundle.route(table)
    names = _value_names(bundle)
    values: dict[str, Any] = {}
    if names:
        by_probability = names[0].startswith("probability")
        ask = bundle.predict_proba if by_probability else bundle.decision_function
        found = ask(table).reshape(len(table), -1)
        values = {name: [f"{v:.6g}" for v in found[:, j]] for j, name in enumerate(names)}
    predicted = bundle.predict(table)
    if bundle.classes_ is None:
        answer = {"prediction": [str(v) for v in predicted]}  # the digits that a float32 has
    else:
        answer = {"label": predicted.tolist()}
    return {
        **answer,
        **values,
        "route": routed.route.tolist(),
        "candidate": routed.candidate.tolist(),
        "reason": routed.reason.tolist(),
    }


def _safe(cells: list[Any], screen: bool) -> list[Any]:
    """Cells that no spreadsheet computes; on a screen, without signs that steer it."""
    texts = {c: for_spreadsheets(c) for c in {c for c in cells if isinstance(c, str)}}
    if screen:
        texts = {cell: shown(text) for cell, text in texts.items()}
    return [texts.get(cell, cell) if isinstance(cell, str) else cell for cell in cells]


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears whole or not at all."""
    if path is None:
        yield sys.stdout
        return
    with writing(path, "--out") as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()
