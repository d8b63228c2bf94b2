"""Training data of the command line: typed columns, a target, and rows held out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.cli.cells import Reading, natural, told
from fairuse_router.cli.console import listing
from fairuse_router.cli.kinds import Kinds, find_kinds
from fairuse_router.cli.tablefile import Cells
from fairuse_router.cli.target import to_labels, to_measurements
from fairuse_router.grids import count


@dataclass(frozen=True)
class Request:
    """What is asked of a file: which column is what, and how its cells are read.

    Parameters
    ----------
    target : str
    groups : sequence of str
        Group attributes.
    drop, categories : sequence of str, default=()
        Columns to leave out, and to take as categories whatever they look like.
    withheld : str, default=None
        Text that withholds a group attribute, as a missing cell does.
    regression : bool, default=False
        Whether the target is a measurement.
    missing : tuple of str, default=()
        Texts that are missing cells.
    decimal : str, default=None
        None: found column by column.
    id : str, default=None
        Column that tells whose row it is.
    typed : frozenset of str, default=frozenset()
        Columns that the file holds as texts.
    """

    target: str
    groups: Sequence[str]
    drop: Sequence[str] = ()
    categories: Sequence[str] = ()
    withheld: str | None = None
    regression: bool = False
    missing: tuple[str, ...] = ()
    decimal: str | None = None
    id: str | None = None
    typed: frozenset[str] = frozenset()


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
    reading : Reading or None, default=None
        How cells became values.
    told : sequence of (str, str, str), default=()
        Columns, what they were read as, and why, where that is not plain.
    precision : {"fast", "exact"}, default="fast"
        Of the bundle that holds the numbers.
    """

    X: Any
    y: NDArray[Any]
    groups: list[str]
    numbers: list[str]
    texts: list[str]
    regression: bool = False
    reading: Reading | None = None
    told: Sequence[tuple[str, str, str]] = field(default=())
    precision: str = "fast"

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


def prepare(columns: Mapping[str, Cells], request: Request) -> TrainingData:
    """Give the columns of a file their types and their parts.

    Rows without a target are left out, and so are columns that are empty, or that look like dates
    or identifiers; `TrainingData.told` says which, and why.

    Parameters
    ----------
    columns : mapping of str to list of str or None
        Cells by column, as they stand in the file.
    request : Request

    Raises
    ------
    ValueError
        For columns that are missing or named in two parts, or a target that is neither class nor
        measurement, as asked for.
    """
    pandas = require_pandas()
    _check_names(list(columns), request)
    y, kept, notes = _target(columns[request.target], request)
    table: dict[str, Any] = {}
    features: dict[str, Cells] = {}
    for name, every in columns.items():
        if name in (request.target, request.id) or name in request.drop:
            continue
        cells = told([every[i] for i in kept], request.missing)
        notes += _marks(name, [every[i] for i in kept], cells)
        if name in request.groups:
            told_ = [None if cell == request.withheld else cell for cell in cells]
            levels = sorted({cell for cell in told_ if cell is not None}, key=natural)
            table[name] = pandas.Categorical(told_, categories=levels)
        else:
            features[name] = cells
            table[name] = None  # keeps its place
    kinds = find_kinds(features, request.categories, request.typed, request.decimal)
    numbers = {name: kinds.values(name, features[name]) for name in kinds.numbers}
    long = [name for name, values in numbers.items() if _has_long_numbers(values)]
    notes += [(name, "numbers", "of more digits than float32 holds: doubles") for name in long]
    for name in features:
        if name in kinds.numbers:
            values = numbers[name]
            # else the router is to learn from what the bundle will see
            table[name] = values if long else values.astype(np.float32).astype(np.float64)
        elif name in kinds.texts:
            table[name] = _texts(features[name])
        else:
            del table[name]
    if not kinds.numbers and not kinds.texts:
        raise ValueError("no column is left to predict from besides the group attributes.")
    return TrainingData(
        pandas.DataFrame(table),
        y,
        list(request.groups),
        list(kinds.numbers),
        list(kinds.texts),
        request.regression,
        Reading(request.missing, _commas(kinds), request.id),
        [*notes, *kinds.told],
        "exact" if long else "fast",
    )


def _has_long_numbers(values: NDArray[np.float64]) -> bool:
    """Whether float32 would take from numbers, as seconds since 1970, what tells them apart."""
    told = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        lost = np.abs(told - told.astype(np.float32)).max(initial=0)
    return bool(lost > 1e-4 * told.std()) if len(told) else False


def _commas(kinds: Kinds) -> tuple[str, ...]:
    return tuple(name for name, decimal in kinds.numbers.items() if decimal == ",")


def _target(
    every: Cells, request: Request
) -> tuple[NDArray[Any], list[int], list[tuple[str, str, str]]]:
    """The target, the rows that have one, and what is to be said of the others."""
    cells = told(every, request.missing)
    kept = [i for i, cell in enumerate(cells) if cell is not None]
    if not kept:
        raise ValueError(f"the target {request.target!r} is missing in every row.")
    read = to_measurements if request.regression else to_labels
    y = read([cells[i] or "" for i in kept], request.target, request.decimal)
    notes = []
    if len(kept) < len(cells):
        lost = count(len(cells) - len(kept), "row")
        what = "value" if request.regression else "label"
        marks = sorted({every[i] or "" for i in set(range(len(cells))) - set(kept)} - {""})
        why = f"{lost} without a {what} left out"
        notes = [(request.target, "target", f"{why} ({_named(marks)})" if marks else why)]
    return y, kept, notes


def _marks(name: str, every: Cells, cells: Cells) -> list[tuple[str, str, str]]:
    """Say which texts of a column count as missing."""
    marks = [a for a, b in zip(every, cells, strict=True) if a and b is None]
    if not marks:
        return []
    texts = sorted(set(marks))
    verb = "is" if len(texts) == 1 else "are"
    return [(name, "missing", f"{_named(texts)} {verb} missing in {count(len(marks), 'row')}")]


def _named(texts: Sequence[str]) -> str:
    return listing(texts, 4)


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


def _check_names(names: list[str], request: Request) -> None:
    ids = [] if request.id is None else [request.id]
    check_known([request.target], names, "the target")
    check_known(request.groups, names, "the group attribute")
    check_known(request.drop, names, "the dropped column")
    check_known(request.categories, names, "the column of categories")
    check_known(ids, names, "the identifier")
    parts = [request.target, *request.groups, *request.drop, *request.categories, *ids]
    twice = sorted({name for name in parts if parts.count(name) > 1})
    if twice:
        raise ValueError(
            f"{listing(twice)} is named twice; a column is the target, a group attribute, "
            "the identifier, categories, or dropped."
        )


def _texts(cells: Cells) -> NDArray[np.object_]:
    return np.array([np.nan if c is None else c for c in cells], dtype=object)


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
