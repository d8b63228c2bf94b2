"""Pruning: take the group columns out of an estimator that the user wrote for the whole of X."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from fairuse_router.candidates.fresh import fresh
from fairuse_router.candidates.injection import estimator_params, is_estimator, through_grids
from fairuse_router.candidates.percolumn import Columns, cut, refuse_counting


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
    columns = Columns(list(names) if names is not None else None, width, tuple(groups))
    removed: list[str] = []
    pruned = _prune(fresh(estimator), columns, removed)
    if removed:
        where = ", ".join(dict.fromkeys(removed))
        warnings.warn(
            f"Group columns were removed from {where} inside estimator: generic must not see them, "
            "and the other candidates receive them encoded, at the final step.",
            UserWarning,
            stacklevel=5,
        )
    return pruned


def _prune(estimator: Any, columns: Columns, removed: list[str]) -> Any:
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
                removed += cut(final, columns)
            elif len(removed) > before or any(_may_lose(m, columns) for m in mixers):
                refuse_counting(final)
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
    changes.update(through_grids(estimator, lambda e: _prune(e, columns, removed)))
    if changes:
        estimator.set_params(**changes)
    removed += cut(estimator, columns)
    return estimator


def _may_lose(mixer: Any, columns: Columns) -> bool:
    """Whether the output of a step can lack group columns that nobody named."""
    if not isinstance(mixer, ColumnTransformer):
        return True
    selectors = [selector for *_, selector in mixer.transformers]
    return mixer.remainder != "drop" or any(callable(selector) for selector in selectors)


def _prune_column_transformer(
    transformer: ColumnTransformer, columns: Columns, removed: list[str]
) -> ColumnTransformer:
    transformers = []
    for name, step, selector in transformer.transformers:
        if callable(selector):  # it is asked at fit, when the group columns are gone
            transformers.append((name, step, selector))
            continue
        selected = _as_list(selector, columns)
        kept, lost = columns.without_groups(selected)
        if lost:
            removed.append(f"{lost} of the ColumnTransformer's {name!r}")
            if is_estimator(step):
                step = _prune_selected(step, selected, columns, name)
        scalar = isinstance(selector, (str, int, np.integer)) and not isinstance(selector, bool)
        transformers.append((name, step, kept[0] if scalar and kept else kept))
    return transformer.set_params(transformers=transformers)


def _as_list(selector: Any, columns: Columns) -> list[Any]:
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


def _prune_selected(step: Any, selected: list[Any], columns: Columns, name: str) -> Any:
    """Prune a transformer inside a ColumnTransformer whose selection lost group columns."""
    gone = [i for i, c in enumerate(selected) if columns.position(c) in columns.groups]
    step = fresh(step)
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
