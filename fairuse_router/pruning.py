"""Pruning: take the group columns out of an estimator that the user wrote for the whole of X."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from fairuse_router.injection import (
    PER_COLUMN,
    estimator_params,
    is_estimator,
    per_column_length,
)


@dataclass(frozen=True)
class _Columns:
    """The user's X: its column names (None for arrays), its width, and the group columns."""

    names: list[str] | None
    width: int
    groups: tuple[int, ...]

    @property
    def kept(self) -> list[int]:
        return [j for j in range(self.width) if j not in self.groups]

    def position(self, column: Any) -> int:
        """Position of a column given by name or number."""
        if isinstance(column, str):
            if self.names is None or column not in self.names:
                raise ValueError(
                    f"estimator: a ColumnTransformer names the column {column!r}, which X does "
                    f"not have. Columns of X: {self.names or f'positions 0 to {self.width - 1}'}."
                )
            return self.names.index(column)
        if not -self.width <= column < self.width:
            raise ValueError(
                f"estimator: a ColumnTransformer names column {column}; X has {self.width} columns."
            )
        return int(column) % self.width


def prune(estimator: Any, names: Sequence[str] | None, width: int, groups: Sequence[int]) -> Any:
    """Return a clone of `estimator` that expects X without its group columns.

    Selectors of ColumnTransformers lose the group columns and are renumbered, parameters with one
    entry per column lose those entries. One warning names what was removed.

    Parameters
    ----------
    estimator : estimator
        As the user wrote it.
    names : sequence of str or None
        Column names of X.
    width : int
        Number of columns of X.
    groups : sequence of int
        Positions of the group columns.

    Raises
    ------
    ValueError
        Where a selector cannot be pruned, naming what to edit.
    """
    columns = _Columns(list(names) if names is not None else None, width, tuple(groups))
    removed: list[str] = []
    pruned = _prune(clone(estimator), columns, removed)
    if removed:
        warnings.warn(
            f"Group columns were removed from {', '.join(removed)} inside estimator: generic must "
            "not see them, and the other candidates receive them encoded, at the final step.",
            UserWarning,
            stacklevel=4,
        )
    return pruned


def _prune(estimator: Any, columns: _Columns, removed: list[str]) -> Any:
    """Prune an estimator that receives X itself."""
    if isinstance(estimator, ColumnTransformer):
        return _prune_column_transformer(estimator, columns, removed)
    if isinstance(estimator, Pipeline):
        first = next((i for i, (_, s) in enumerate(estimator.steps) if is_estimator(s)), None)
        before = len(removed)
        steps = [
            (name, _prune(step, columns, removed) if i == first else step)
            for i, (name, step) in enumerate(estimator.steps)
        ]
        final = steps[-1][1]
        if first is not None and first < len(steps) - 1 and is_estimator(final):
            mixers = [s for _, s in steps[:-1] if isinstance(s, (ColumnTransformer, FeatureUnion))]
            if not mixers:
                _cut_lengths(final, columns)
            elif len(removed) > before or any(_may_lose(m, columns) for m in mixers):
                _refuse_lengths(final)
        return estimator.set_params(steps=steps)
    if isinstance(estimator, FeatureUnion):
        named = [
            (name, _prune(t, columns, removed) if is_estimator(t) else t)
            for name, t in estimator.transformer_list
        ]
        return estimator.set_params(transformer_list=named)
    changes = {}
    for name, value in estimator_params(estimator):
        if name == "final_estimator":  # of a stack: it sees predictions first, not X
            continue
        if is_estimator(value):
            changes[name] = _prune(value, columns, removed)
        else:
            changes[name] = [
                (n, _prune(v, columns, removed) if is_estimator(v) else v, *rest)
                for n, v, *rest in value
            ]
    if changes:
        estimator.set_params(**changes)
    _cut_lengths(estimator, columns)
    return estimator


def _cut_lengths(estimator: Any, columns: _Columns) -> None:
    """Drop the group columns' entries from parameters with one entry per column of X."""
    params = estimator.get_params(deep=False)
    group_names = {columns.names[j] for j in columns.groups} if columns.names else set()
    changes: dict[str, Any] = {}
    for name in PER_COLUMN:
        value = params.get(name)
        if per_column_length(name, value) == columns.width:
            changes[name] = [value[j] for j in columns.kept]
        elif isinstance(value, dict):
            changes[name] = {c: v for c, v in value.items() if c not in group_names}
        elif name == "categorical_features" and isinstance(value, (list, tuple, np.ndarray)):
            by_name = per_column_length(name, value) is None
            changes[name] = (_renumber(list(value), columns)[0] or None) if by_name else value
    if changes:
        estimator.set_params(**changes)


def _may_lose(mixer: Any, columns: _Columns) -> bool:
    """Whether the output of a step can lack group columns that nobody named."""
    if not isinstance(mixer, ColumnTransformer):
        return True
    selectors = [selector for *_, selector in mixer.transformers]
    return mixer.remainder != "drop" or any(callable(selector) for selector in selectors)


def _refuse_lengths(final: Any) -> None:
    """Refuse parameters that count columns of an input from which group columns may be lost."""
    for name in PER_COLUMN:
        value = final.get_params(deep=False).get(name)
        listed = isinstance(value, (list, tuple, np.ndarray))
        if listed and not all(isinstance(v, str) for v in value):
            raise ValueError(
                f"estimator: {type(final).__name__}({name}=...) counts the columns that the "
                "ColumnTransformer before it puts out, and group columns may have been among them: "
                "removed from a selector, from what a callable selects, or from the remainder. "
                "Select the features by name, without group columns and with remainder='drop', and "
                f"leave group columns out of {name}; the encoded groups are appended, and padded "
                "for, by the router."
            )


def _prune_column_transformer(
    transformer: ColumnTransformer, columns: _Columns, removed: list[str]
) -> ColumnTransformer:
    transformers = []
    for name, step, selector in transformer.transformers:
        if callable(selector):  # it is asked at fit, when the group columns are gone
            transformers.append((name, step, selector))
            continue
        selected = _as_list(selector, columns)
        kept, lost = _renumber(selected, columns)
        if lost:
            removed.append(f"{lost} of the ColumnTransformer's {name!r}")
            if is_estimator(step):
                step = _prune_selected(step, selected, columns, name)
        scalar = isinstance(selector, (str, int, np.integer)) and not isinstance(selector, bool)
        transformers.append((name, step, kept[0] if scalar and kept else kept))
    return transformer.set_params(transformers=transformers)


def _as_list(selector: Any, columns: _Columns) -> list[Any]:
    """A selector of a ColumnTransformer as a list of names or positions."""
    if isinstance(selector, slice):
        ends = (selector.start, selector.stop)
        if any(isinstance(end, str) for end in ends):  # label slices include their end
            start = 0 if selector.start is None else columns.position(selector.start)
            stop = columns.width if selector.stop is None else columns.position(selector.stop) + 1
            assert columns.names is not None
            return columns.names[start : stop : selector.step]
        return list(range(columns.width))[selector]
    if isinstance(selector, (str, int, np.integer)):
        return [selector]
    values = list(selector)
    if values and all(isinstance(v, (bool, np.bool_)) for v in values):
        if len(values) != columns.width:
            raise ValueError(
                f"estimator: a ColumnTransformer's mask has {len(values)} entries; X has "
                f"{columns.width} columns, group columns included."
            )
        return [j for j, chosen in enumerate(values) if chosen]
    return values


def _renumber(selected: list[Any], columns: _Columns) -> tuple[list[Any], list[Any]]:
    """Selected columns as they stand without the group columns, and the group columns lost."""
    place = {j: i for i, j in enumerate(columns.kept)}
    kept, lost = [], []
    for c in selected:
        position = columns.position(c)
        if position in columns.groups:
            lost.append(c)
        else:
            kept.append(c if isinstance(c, str) else place[position])
    return kept, lost


def _prune_selected(step: Any, selected: list[Any], columns: _Columns, name: str) -> Any:
    """Prune a transformer inside a ColumnTransformer whose selection lost group columns."""
    gone = [i for i, c in enumerate(selected) if columns.position(c) in columns.groups]
    step = clone(step)
    inside = [step, *step.get_params(deep=True).values()]
    for part in filter(is_estimator, inside):
        if isinstance(part, ColumnTransformer):
            _refuse_nested(part, name)
        categories = part.get_params(deep=False).get("categories")
        if isinstance(categories, (list, tuple)) and len(categories) == len(selected):
            part.set_params(categories=[c for i, c in enumerate(categories) if i not in gone])
    return step


def _refuse_nested(inner: ColumnTransformer, name: str) -> None:
    raise ValueError(
        f"estimator: the ColumnTransformer's {name!r} selects group columns and holds another "
        f"ColumnTransformer with selectors {[c for *_, c in inner.transformers]}, which cannot be "
        f"pruned safely. Remove the group columns from {name!r} and from the ColumnTransformer "
        "inside it; the router hands the encoded groups to the final step by itself."
    )
