"""``fairuse-router predict``: rows of a CSV file through a bundle, with nothing of scikit-learn."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle import Bundle
from fairuse_router.cli.console import listing
from fairuse_router.cli.csvfile import Cells, CsvFile, to_number, to_numbers
from fairuse_router.documents import check_target
from fairuse_router.groups import GroupSchema
from fairuse_router.levels import level_text

_BATCH = 10_000


def run(args: argparse.Namespace) -> None:
    """Predict batch by batch, so that memory does not grow with the file."""
    bundle = Bundle.load(args.bundle)
    file = CsvFile(args.data, args.sep)
    places = _places(bundle, file)
    served: Counter[str] = Counter()
    start, told = time.monotonic(), 0.0
    quiet = args.out is None and sys.stdout.isatty()  # the rows themselves show the progress
    with _output(args.out) as out:
        writer = csv.writer(out, lineterminator="\n")
        for rows in file.batches(_BATCH):
            answers = _answers(bundle, _table(bundle, places, rows))
            if not served:  # only now, so that a file refused at once prints nothing
                writer.writerow(answers)
            writer.writerows(zip(*answers.values(), strict=True))
            served.update(answers["candidate"])
            now = time.monotonic() - start
            if now - told > 1 and not quiet:
                told = now
                print(f"\rpredicted {served.total():,} rows, {now:.0f} s", end="", file=sys.stderr)
    if told:
        print(file=sys.stderr)
    if args.out:
        by = ", ".join(f"{n:,} by {name}" for name, n in served.most_common())
        print(f"Wrote {args.out}: {served.total():,} rows, {by}.")


def _places(bundle: Bundle, file: CsvFile) -> list[tuple[str, int]]:
    """Name and place in the file of every column of the training data, in their order."""
    names = {c.position: c.name for c in bundle.layout.columns}
    names |= dict(zip(bundle.schema.positions, bundle.schema.attributes, strict=True))
    wanted = [names[j] for j in range(bundle.layout.width)]
    missing = [name for name in wanted if name not in file.names]
    if missing:
        which = "column" if len(missing) == 1 else "columns"
        raise ValueError(
            f"{file.path} lacks the {which} {listing(missing)} of the training data. Add "
            "what is missing; empty cells are missing values, and withhold a group attribute."
        )
    return [(name, file.names.index(name)) for name in wanted]


def _table(bundle: Bundle, places: list[tuple[str, int]], rows: list[Cells]) -> NDArray[np.object_]:
    """Rows as the training data held them."""
    columns = list(zip(*rows, strict=True))
    table = np.empty((len(rows), len(places)), dtype=object)
    for j, (_, place) in enumerate(places):
        table[:, j] = columns[place]
    for column in bundle.layout.columns:
        if column.numeric:
            table[:, column.position] = to_numbers(columns[places[column.position][1]], column.name)
    for attribute, j in enumerate(bundle.schema.positions):
        known = {c: _level(bundle.schema, attribute, c) for c in set(columns[places[j][1]])}
        table[:, j] = [known[cell] for cell in columns[places[j][1]]]
    return table


def _level(schema: GroupSchema, attribute: int, cell: str | None) -> str | None:
    """Text of a level; a number that is written otherwise (1.0 for 1) is the same level."""
    levels = schema.levels[attribute]
    if cell is None or cell in levels:
        return cell
    text = level_text(to_number(cell))
    return text if text in (*levels, schema.withheld) else cell


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
        told = {"prediction": [str(v) for v in predicted]}  # the digits that a float32 has
    else:
        told = {"label": predicted.tolist()}
    return {
        **told,
        **values,
        "route": routed.route.tolist(),
        "candidate": routed.candidate.tolist(),
        "reason": routed.reason.tolist(),
    }


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears whole or not at all."""
    if path is None:
        yield sys.stdout
        return
    target = check_target(path, "--out")
    part = target.with_name(f".{target.name}.part")
    try:
        with open(part, "w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
