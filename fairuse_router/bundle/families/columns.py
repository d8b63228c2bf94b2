"""Columns: what the steps in front of a model do to each number, kept so that it can be undone.

A step that treats every column on its own, in increasing order (a scaler, an imputer, a selection),
need not be run: a linear model takes it into its weights, a tree into its thresholds. A text that
is encoded is a number by the time that a linear model reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import RFE, SelectorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier

from fairuse_router.bundle.families.encoders import ENCODERS, code_table, text_keys
from fairuse_router.candidates.injection import KeepLast

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


def walk(estimator: Any, columns: Sequence[Any]) -> tuple[Any, list[Any]] | None:
    """Return the last estimator of a nest of Pipelines, and the columns that reach it.

    Parameters
    ----------
    estimator : fitted classifier or regressor
    columns : sequence of Column or Text
        Its input.

    Returns
    -------
    tuple or None
        None if some step mixes columns, or does to one what a `Column` cannot hold. Where texts
        went in, some of the columns are `Coded`, or still `Text`.
    """
    found: list[Any] | None = list(columns)
    if isinstance(estimator, Pipeline):
        *before, (_, final) = estimator.steps
        for _, step in before:
            found = _pass(step, found)
            if found is None:
                return None
        return walk(final, found or [])
    if isinstance(estimator, FrozenEstimator):
        return walk(estimator.estimator, columns)
    if hasattr(estimator, "best_estimator_"):  # a search
        return walk(estimator.best_estimator_, columns)
    if isinstance(estimator, SelfTrainingClassifier):
        return walk(estimator.estimator_, columns)
    if isinstance(estimator, RFE):
        kept = estimator.get_support(indices=True)
        return walk(estimator.estimator_, [columns[j] for j in kept])
    return estimator, list(columns)


def _pass(step: Any, columns: list[Any] | None) -> list[Any] | None:
    """Columns after a transformer; None if they cannot be followed through it."""
    if columns is None:
        return None
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return columns
    if isinstance(step, Pipeline):
        for _, inner in step.steps:
            columns = _pass(inner, columns)
        return columns
    if isinstance(step, FrozenEstimator):
        return _pass(step.estimator, columns)
    if isinstance(step, KeepLast):
        split = len(columns) - step.n_last
        head = _pass(step.transformer_, columns[:split])
        return None if head is None else head + columns[split:]
    if isinstance(step, ColumnTransformer) and not step.transformer_weights:
        blocks = [
            (inner, [columns[j] for j in step._transformer_to_input_indices[name]])
            for name, inner, _ in step.transformers_
        ]
        return _join(blocks)
    if isinstance(step, FeatureUnion) and not step.transformer_weights:
        return _join([(inner, columns) for _, inner in step.transformer_list])
    if isinstance(step, FunctionTransformer) and step.func is None:
        return columns
    if isinstance(step, SelectorMixin):
        return [columns[j] for j in step.get_support(indices=True)]
    if type(step) in ENCODERS:  # a subclass may encode otherwise
        return _encode(step, columns)
    if any(isinstance(column, Text) for column in columns):
        return None
    return _scale(step, columns)


def _encode(step: Any, columns: list[Any]) -> list[Any] | None:
    """Codes of texts; None where some are no texts, or an unknown one raises."""
    coded: list[Any] = []
    for j, column in enumerate(columns):
        if not isinstance(column, Text):
            return None
        table, texts = code_table(step, j), tuple(text_keys(step.categories_[j]))
        if len(table) == len(texts) or not np.isfinite(table).all():
            return None
        coded += [Coded(column.source, (), texts, tuple(codes)) for codes in table.T.tolist()]
    return coded


def _join(blocks: list[tuple[Any, list[Any]]]) -> list[Any] | None:
    joined: list[Any] = []
    for inner, columns in blocks:
        if not columns or (isinstance(inner, str) and inner == "drop"):
            continue
        part = _pass(inner, columns)
        if part is None:
            return None
        joined += part
    return joined


def _scale(step: Any, columns: list[Column]) -> list[Column] | None:
    """Columns after a scaler or an imputer."""
    kind = type(step)
    if kind is SimpleImputer:
        return _fill(step, columns)
    if getattr(step, "clip", False):
        return None
    rows: list[tuple[str, Any]]
    if kind is MinMaxScaler:
        rows = [("mul", step.scale_), ("add", step.min_)]
    elif kind is MaxAbsScaler:
        rows = [("div", step.scale_)]
    elif kind is StandardScaler:
        rows = [("sub", step.mean_ if step.with_mean else None), ("div", step.scale_)]
    elif kind is RobustScaler:
        rows = [("sub", step.center_), ("div", step.scale_)]
    else:
        return None
    return [
        column.then(*((op, values[j]) for op, values in rows if values is not None))
        for j, column in enumerate(columns)
    ]


def _fill(imputer: SimpleImputer, columns: list[Column]) -> list[Column] | None:
    missing = imputer.missing_values
    if not (isinstance(missing, float) and np.isnan(missing)):
        return None
    values = np.asarray(imputer.statistics_, dtype=np.float64)
    kept = np.flatnonzero(~np.isnan(values))
    filled = [columns[j].then(("fill", values[j])) for j in kept]
    if imputer.indicator_ is None:
        return filled
    return filled + [columns[j].then(("missing", 0)) for j in imputer.indicator_.features_]
