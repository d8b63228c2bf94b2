"""Columns: what the steps in front of a model do to each number, kept so that it can be undone.

A step that treats every column on its own, in increasing order (a scaler, an imputer, a selection),
need not be run: a linear model takes it into its weights, a tree into its thresholds. A text that
is encoded is a number by the time that a linear model reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer

from fairuse_router.bundle.families.encoders import ENCODERS, code_table, text_keys
from fairuse_router.bundle.families.numeric import NUMERIC, operations_of
from fairuse_router.bundle.families.walk import walk

_FAR = 1e4
_OPERATIONS = {"sub": np.subtract, "div": np.divide, "mul": np.multiply, "add": np.add}


@dataclass(frozen=True)
class Column:
    """One column that reaches a model: a source, and the operations applied to it in turn.

    Parameters
    ----------
    source : int
        Number of the input column.
    steps : tuple of (str, float)
        Operations ``sub``, ``div``, ``mul``, ``add`` and ``fill`` (the value of missing numbers),
        each with its number; ``missing`` is 1 where the source is missing, else 0.
    """

    source: int
    steps: tuple[tuple[str, float], ...] = ()

    def then(self, *steps: tuple[str, float]) -> Column:
        """Return the column after further operations."""
        return replace(self, steps=(*self.steps, *((op, float(value)) for op, value in steps)))

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the column for values of its source, rounded as scikit-learn rounds."""
        for op, number in self.steps:
            if op == "fill":
                values = np.where(np.isnan(values), number, values)
            elif op == "missing":
                values = np.isnan(values).astype(np.float64)
            else:
                values = _OPERATIONS[op](values, number)
        return values

    @property
    def slope(self) -> float:
        """Growth of the column with its source."""
        slope = 1.0
        for op, number in self.steps:
            if op == "missing":
                slope = 0.0
            elif op in ("mul", "div"):
                slope = float(_OPERATIONS[op](slope, number))
        return slope

    @property
    def at_zero(self) -> float:
        """Value where the source is 0."""
        return float(self.apply(np.zeros(1))[0])

    @property
    def is_far(self) -> bool:
        """Whether doubles lose digits that count when its steps are taken into weights.

        Its scaler then takes off far more than it divides by, as from seconds since 1970.
        """
        return self.slope != 0 and abs(self.at_zero) > _FAR

    @property
    def at_missing(self) -> float:
        """Value where the source is missing; NaN if it stays missing."""
        return float(self.apply(np.full(1, np.nan))[0])


@dataclass(frozen=True)
class Text:
    """A column of texts as it came.

    Parameters
    ----------
    source : int
    """

    source: int


@dataclass(frozen=True)
class Coded(Column):
    """A column of the codes of a text.

    Parameters
    ----------
    source : int
    steps : tuple of (str, float)
        See `Column`.
    texts : tuple of str
    codes : tuple of float
        Code of each text; the last is that of any other.
    """

    texts: tuple[str, ...] = ()
    codes: tuple[float, ...] = ()

    @property
    def values(self) -> NDArray[np.float64]:
        """Value of the column for each text, and for any other."""
        return self.apply(np.array(self.codes))


class Mixed(Exception):
    """A step mixes columns, or does to one what a `Column` cannot hold."""


@dataclass(frozen=True)
class Columns:
    """A table whose columns are followed one by one, see `walk.Table`.

    Parameters
    ----------
    each : list of Column or Text
    """

    each: list[Any]

    @property
    def are_texts(self) -> list[bool]:
        """Whether each column is one of texts."""
        return [isinstance(column, Text) for column in self.each]

    def select(self, columns: Sequence[int]) -> Columns:
        """Return some columns, in the order given."""
        return Columns([self.each[j] for j in columns])

    def cut(self, n_last: int) -> tuple[Columns, Columns]:
        """Return all but the last columns, and the last."""
        split = len(self.each) - n_last
        return Columns(self.each[:split]), Columns(self.each[split:])

    def join(self, parts: Iterable[Columns]) -> Columns:
        """Return tables side by side."""
        return Columns([column for part in parts for column in part.each])

    def weigh(self, weight: float) -> Columns:
        """Refuse weights."""
        raise Mixed

    def through(self, step: Any) -> Columns:
        """Return the columns with what a scaler, an imputer or an encoder does to each."""
        if isinstance(step, SelectorMixin):
            return self.select(step.get_support(indices=True).tolist())
        if type(step) in ENCODERS:  # a subclass may encode otherwise
            return Columns(_encode(step, self.each))
        if any(isinstance(column, Text) for column in self.each):
            raise Mixed
        return Columns(_scale(step, self.each))


def follow(estimator: Any, columns: Sequence[Column | Text]) -> tuple[Any, list[Any]] | None:
    """Return the model inside a nest of Pipelines, and the columns that reach it.

    Parameters
    ----------
    estimator : fitted classifier or regressor
    columns : sequence of Column or Text
        Its input.

    Returns
    -------
    tuple or None
        None if they cannot be followed so far. Where texts went in, some of the columns are
        `Coded`, or still `Text`.
    """
    try:
        model, reached = walk(estimator, Columns(list(columns)))
    except Mixed:
        return None
    return model, reached.each


def _encode(step: Any, columns: list[Any]) -> list[Any]:
    """Codes of texts, of which an unknown one must have some, too."""
    coded: list[Any] = []
    for j, column in enumerate(columns):
        if not isinstance(column, Text):
            raise Mixed
        table, texts = code_table(step, j), tuple(text_keys(step.categories_[j]))
        if len(table) == len(texts) or not np.isfinite(table).all():
            raise Mixed
        coded += [Coded(column.source, (), texts, tuple(codes)) for codes in table.T.tolist()]
    return coded


def _scale(step: Any, columns: list[Column]) -> list[Column]:
    """Columns after a scaler or an imputer."""
    if type(step) is SimpleImputer:
        return _fill(step, columns)
    if type(step) not in NUMERIC or getattr(step, "clip", False):
        raise Mixed
    rows = operations_of(step)
    return [c.then(*((op, values[j]) for op, values in rows)) for j, c in enumerate(columns)]


def _fill(imputer: SimpleImputer, columns: list[Column]) -> list[Column]:
    missing = imputer.missing_values
    if not (isinstance(missing, float) and np.isnan(missing)):
        raise Mixed
    values = np.asarray(imputer.statistics_, dtype=np.float64)
    kept = np.flatnonzero(~np.isnan(values))
    filled = [columns[j].then(("fill", values[j])) for j in kept]
    if imputer.indicator_ is None:
        return filled
    return filled + [columns[j].then(("missing", 0)) for j in imputer.indicator_.features_]
