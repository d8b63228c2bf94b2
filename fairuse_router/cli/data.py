"""Training data of the command line: typed columns, a target, and rows held out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.cli.console import listing, note
from fairuse_router.cli.csvfile import Cells, to_number, to_numbers
from fairuse_router.cli.target import to_labels, to_measurements
from fairuse_router.grids import count

_FEW_TEXTS = 20  # so many distinct texts are categories, however few rows there are


@dataclass(frozen=True)
class TrainingData:
    """What a router is fitted on.

    Parameters
    ----------
    X : DataFrame of shape (n, d)
        Features and group attributes.
    y : ndarray of shape (n,)
        Class labels, or measurements.
    groups, numbers, texts : list of str
        Names of the group attributes, and of the features by kind.
    regression : bool, default=False
        Whether y are measurements.
    """

    X: Any
    y: NDArray[Any]
    groups: list[str]
    numbers: list[str]
    texts: list[str]
    regression: bool = False

    @property
    def strata(self) -> NDArray[Any]:
        """What rows are held out within, besides groups: the classes, if there are any."""
        return np.zeros(len(self.y)) if self.regression else self.y


def require_pandas() -> ModuleType:
    """Return pandas, or say which extra brings it."""
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "this command needs pandas, which is not installed. Install it with "
            'pip install "fairuse-router[cli]"'
        ) from None
    return pandas


def prepare(
    columns: Mapping[str, Cells],
    target: str,
    groups: Sequence[str],
    drop: Sequence[str] = (),
    withheld: str | None = None,
    regression: bool = False,
) -> TrainingData:
    """Give the columns of a CSV file their types and their parts.

    Rows without a target are left out, and so are columns that are empty, or texts that look like
    identifiers; a note tells of each.

    Parameters
    ----------
    columns : mapping of str to list of str or None
        Cells by column; None where missing.
    target : str
    groups, drop : sequence of str
        Group attributes, and columns to leave out.
    withheld : str, default=None
        Text that withholds a group attribute, as a missing cell does.
    regression : bool, default=False
        Whether the target is a measurement.

    Raises
    ------
    ValueError
        For columns that are missing or named in two parts, or a target that is neither class nor
        measurement, as asked for.
    """
    pandas = require_pandas()
    _check_names(columns, target, groups, drop)
    kept = [i for i, cell in enumerate(columns[target]) if cell is not None]
    if not kept:
        raise ValueError(f"the target {target!r} is missing in every row.")
    if len(kept) < len(columns[target]):
        left = count(len(columns[target]) - len(kept), "row")
        note(f"{left} without a {'value' if regression else 'label'} in {target!r} left out")
    read = to_measurements if regression else to_labels
    y = read([columns[target][i] or "" for i in kept], target)
    table: dict[str, Any] = {}
    numbers, texts = [], []
    for name, every in columns.items():
        if name == target or name in drop:
            continue
        cells = [every[i] for i in kept]
        if name in groups:
            cells = [None if cell == withheld else cell for cell in cells]
            table[name] = _numbers(cells) if _is_numeric(cells) else _texts(cells)
        elif all(cell is None for cell in cells):
            note(f"column {name!r} is empty and left out")
        elif _is_numeric(cells):
            # the bundle takes float32: the router is to learn from what the bundle will see
            table[name] = np.array(to_numbers(cells, name)).astype(np.float32).astype(np.float64)
            numbers.append(name)
        elif _is_category(cells, name):
            table[name] = _texts(cells)
            texts.append(name)
    if not numbers and not texts:
        raise ValueError("no column is left to predict from besides the group attributes.")
    return TrainingData(pandas.DataFrame(table), y, list(groups), numbers, texts, regression)


def check_known(names: Sequence[str], columns: Sequence[str], role: str) -> None:
    """Refuse names that are no columns.

    Raises
    ------
    ValueError
    """
    for name in names:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            one = " Is the separator another (--sep)?" if len(columns) == 1 else ""
            raise ValueError(
                f"{role} {name!r} is not a column of the file.{hint} Columns: "
                f"{listing(columns)}.{one}"
            )


def _check_names(
    columns: Mapping[str, Cells], target: str, groups: Sequence[str], drop: Sequence[str]
) -> None:
    names = list(columns)
    check_known([target], names, "the target")
    check_known(groups, names, "the group attribute")
    check_known(drop, names, "the dropped column")
    parts = [target, *groups, *drop]
    twice = sorted({name for name in parts if parts.count(name) > 1})
    if twice:
        raise ValueError(
            f"{listing(twice)} is named twice; a column is the target, a group attribute, "
            "or dropped."
        )


def _is_numeric(cells: Cells) -> bool:
    return all(cell is None or to_number(cell) is not None for cell in cells)


def _numbers(cells: Cells) -> NDArray[np.float64]:
    return np.array([np.nan if c is None else to_number(c) for c in cells], dtype=np.float64)


def _texts(cells: Cells) -> NDArray[np.object_]:
    return np.array([np.nan if c is None else c for c in cells], dtype=object)


def _is_category(cells: Cells, name: str) -> bool:
    """Whether a text column is worth encoding; tell what is odd about it."""
    told = [cell for cell in cells if cell is not None]
    odd = [cell for cell in told if to_number(cell) is None]
    if len(odd) <= 0.1 * len(told):
        note(f"column {name!r} is read as text: {odd[0]!r} is no number. Missing cells are empty")
    distinct = len(set(told))
    if distinct > max(_FEW_TEXTS, len(told) // 2):
        note(
            f"column {name!r} is left out: {distinct} different texts in {len(told)} rows look "
            "like an identifier"
        )
        return False
    return True


def hold_out(
    y: NDArray[Any], codes: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows at random within every group and class.

    A class or level of which no row would train keeps its rows in training.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Classes; one value for all rows if there are none.
    codes : ndarray of int64, shape (n, k)
        Codes of the group attributes.
    share : float
        Of the rows to hold out, in [0, 1).
    seed : int

    Returns
    -------
    training, held_out : ndarray of int64
        Row numbers, ascending.
    """
    rng = np.random.default_rng(seed)
    strata = np.column_stack([codes, np.unique(y, return_inverse=True)[1]])
    order = np.lexsort((rng.permutation(len(y)), *strata.T))
    # every 1/share-th row of the sorted strata, from a random start
    steps = np.floor(np.arange(len(y) + 1) * share + rng.uniform())
    held = np.zeros(len(y), dtype=bool)
    held[order] = np.diff(steps) > 0
    for column in strata.T:
        for value in np.unique(column):
            if held[column == value].all():
                held[column == value] = False
    return np.flatnonzero(~held), np.flatnonzero(held)
