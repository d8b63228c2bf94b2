"""``fairuse-router predict``: rows of a table through a bundle, with nothing of scikit-learn."""

from __future__ import annotations

import argparse
import csv
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle import Bundle
from fairuse_router.cli.console import check_output, progress
from fairuse_router.cli.rows import BundleRows
from fairuse_router.cli.tablefile import STREAM, TableFile
from fairuse_router.documents import writing
from fairuse_router.grids import for_spreadsheets, shown

_BATCH = 10_000


def run(args: argparse.Namespace) -> None:
    """Predict batch by batch, so that memory does not grow with the file."""
    to_file = args.out not in (None, STREAM)
    if to_file:
        check_output(args.out, args.data, args.bundle)
    bundle = Bundle.load(args.bundle)
    file = TableFile(args.data, args.sep, args.encoding)
    rows = BundleRows.of(bundle, file, args)
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
                progress(f"\rpredicted {served.total():,} rows, {now:.0f} s", end="")
    if last:
        progress("")
    if to_file:
        by = ", ".join(f"{n:,} by {name}" for name, n in served.most_common())
        print(f"Wrote {args.out}: {served.total():,} rows, {by}.")


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
