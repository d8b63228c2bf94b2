"""Tables of predictions that are no Parquet: every column as what an audit takes it for."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.cli.cells import MISSING, decimal_of, to_numbers, told
from fairuse_router.cli.console import note
from fairuse_router.cli.data import check_known, require_pandas
from fairuse_router.cli.tablefile import Cells, TableFile
from fairuse_router.cli.target import to_labels, to_measurements
from fairuse_router.grids import count


def read_scores(
    args: argparse.Namespace, paths: list[str], predictions: Mapping[str, str], regression: bool
) -> Any:
    """The columns that an audit needs, as a dataframe; rows without a target are left out.

    Predictions are labels where all are labels of the target, else numbers.

    Raises
    ------
    ValueError
        For names that are no columns, and predictions that are neither.
    """
    named = {"the target": [args.target], "the group attribute": args.groups}
    named |= {"--predictions": list(predictions.values())}
    named |= {"--weight": [args.weight] if args.weight else []}
    named |= {"--clusters": [args.clusters] if args.clusters else []}
    columns = _columns(args, paths, named)
    missing = MISSING if args.missing is None else tuple(filter(None, args.missing))
    known = [i for i, cell in enumerate(told(columns[args.target], missing)) if cell is not None]
    left_out = len(columns[args.target]) - len(known)
    if left_out:
        note(f"left out: {count(left_out, 'row')} without {args.target!r}")
    if not known:
        raise ValueError(f"the target {args.target!r} is missing in every row.")
    columns = {name: [cells[i] for i in known] for name, cells in columns.items()}
    target = [cell or "" for cell in columns[args.target]]
    read: Any = to_measurements if regression else to_labels
    values: dict[str, Any] = {args.target: read(target, args.target, args.decimal)}
    labels = {} if regression else dict(zip(target, values[args.target].tolist(), strict=True))
    for name in predictions.values():
        values[name] = _scores(columns[name], name, labels, missing, args.decimal)
    if args.weight:
        values[args.weight] = _numbers(columns[args.weight], args.weight, missing, args.decimal)
    for name in (*args.groups, *named["--clusters"]):
        values[name] = told(columns[name], missing)
    return require_pandas().DataFrame(values)


def _columns(
    args: argparse.Namespace, paths: list[str], named: Mapping[str, list[str]]
) -> dict[str, Cells]:
    """The columns that are named, the rows of all files one after the other."""
    columns: dict[str, Cells] = {name: [] for name in chain.from_iterable(named.values())}
    for path in paths:
        found = TableFile(path, args.sep, args.encoding).columns()
        for role, names in named.items():
            check_known(names, list(found), role)
        for name, cells in columns.items():
            cells += found[name]
    return columns


def _scores(
    cells: Cells,
    name: str,
    labels: Mapping[str, Any],
    missing: Collection[str],
    decimal: str | None,
) -> NDArray[Any]:
    """Labels where all cells are labels of the target, else numbers."""
    if all(cell in labels for cell in cells):
        return np.array([labels[cell or ""] for cell in cells])
    return _numbers(cells, name, missing, decimal)


def _numbers(
    cells: Cells, name: str, missing: Collection[str], decimal: str | None
) -> NDArray[np.float64]:
    sign = decimal or decimal_of(told(cells, missing))
    return np.array(to_numbers(cells, name, "." if sign in (None, "?") else sign, missing))
