"""Folds: a linear model with the steps in front of it, as one function of its input columns.

Texts that are encoded for a linear model need no codes: each adds something to the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV

from fairuse_router.bundle.families.columns import Coded, Column, Text, follow
from fairuse_router.bundle.families.finish import Finish, mean_of_sigmoids
from fairuse_router.bundle.families.linear import Head, head_of
from fairuse_router.bundle.families.lookups import Lookup, Lookups, in_sum, side_by_side
from fairuse_router.bundle.families.request import Request, Routed, Source, Told


@dataclass(frozen=True, eq=False)
class Fold:
    """A linear model with the steps in front of it, as a function of its input columns.

    Parameters
    ----------
    weights : ndarray of shape (n_columns, S)
    gaps : ndarray of shape (n_columns, S)
        Added where a column is missing and counts as 0.
    bias : ndarray of shape (S,)
    centre : ndarray of shape (n_columns,)
        What its scalers take for 0; with squares, what is taken off the columns.
    used, filled : ndarray of bool, shape (n_columns,)
        Columns that reach the model; columns whose missing values are filled in.
    finish : Finish
    lookups : dict of int to Lookup
        Columns of texts.
    squares : ndarray of shape (n_columns, S) or None, default=None
        Weights of the squares of what is left of the columns.
    """

    weights: NDArray[np.float64]
    gaps: NDArray[np.float64]
    bias: NDArray[np.float64]
    centre: NDArray[np.float64]
    used: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    finish: Finish
    lookups: Lookups
    squares: NDArray[np.float64] | None = None


def are_alike(folds: Sequence[Fold]) -> bool:
    """Whether functions of the same columns have one finish, of equally many scores."""
    first = folds[0]
    return all(
        np.array_equal(each.used, first.used)
        and np.array_equal(each.filled, first.filled)
        and each.finish is first.finish
        and len(each.bias) == len(first.bias)
        for each in folds
    )


def join_folds(folds: Sequence[Fold]) -> Fold:
    """Return functions that are alike as one, their scores side by side."""
    first, sizes = folds[0], [len(each.bias) for each in folds]
    squares = [each.squares for each in folds if each.squares is not None]
    return replace(
        first,
        weights=np.concatenate([each.weights for each in folds], axis=1),
        gaps=np.concatenate([each.gaps for each in folds], axis=1),
        bias=np.concatenate([each.bias for each in folds]),
        lookups=side_by_side([each.lookups for each in folds], sizes),
        squares=np.concatenate(squares, axis=1) if squares else None,
    )


def fold_linear(routed: Routed, request: Request) -> list[Fold] | None:
    """Fold the linear model of every route; None where one is another."""
    width, classes = len(routed.layout.columns), request.classes
    found = []
    for model in routed.served:
        sources = routed.sources(model)
        numeric = routed.are_numbers(sources)
        columns = [Column(j) if number else Text(j) for j, number in enumerate(numeric)]
        folded = _fold(model.estimator, columns, len(columns), request)
        if folded is None:
            return None
        if classes is not None and not np.array_equal(model.estimator.classes_, classes):
            return None
        found.append((folded, sources))
    routes = enumerate(routed.model_of_route.tolist())
    return [_route(found[m][0], found[m][1], width, r) for r, m in routes]


def _route(model: Fold, sources: Sequence[Source], d: int, route: int) -> Fold:
    """A model as one route sees it: what it is told is constant, and joins the bias."""
    place = {s: j for j, s in enumerate(sources) if not isinstance(s, Told)}
    features = [place[j] for j in range(d)]
    bias = model.bias.copy()
    for j, source in enumerate(sources):
        if isinstance(source, Told) and source.numeric:
            bias += float(source.values[route]) * model.weights[j]
        elif isinstance(source, Told) and j in model.lookups:
            bias += model.lookups[j].of([source.values[route]])[0]
    return replace(
        model,
        weights=model.weights[features],
        gaps=model.gaps[features],
        bias=bias,
        centre=model.centre[features],
        used=model.used[features],
        filled=model.filled[features],
        lookups={f: model.lookups[j] for f, j in enumerate(features) if j in model.lookups},
    )


def _fold(
    estimator: Any, columns: Sequence[Column | Text], n_columns: int, request: Request
) -> Fold | None:
    """Fold scalers, imputers, selections and encoders into a linear model; None for any other."""
    reached = follow(estimator, columns)
    if reached is None:
        return None
    final, found = reached
    if isinstance(final, CalibratedClassifierCV) and request.method == "predict_proba":
        return _fold_calibrated(final, found, n_columns, request)
    head = head_of(final, request.method)
    if head is None or not np.isfinite(head.weights).all():
        return None
    if any(isinstance(column, Text) for column in found):
        return None
    lookups: dict[int, Lookup] = {}
    for column, row in zip(found, head.weights, strict=True):
        if isinstance(column, Coded):
            added = Lookup(column.texts, np.outer(column.values, row))
            lookups[column.source] = in_sum(lookups.get(column.source), added)
    rows = [i for i, column in enumerate(found) if not isinstance(column, Coded)]
    if request.number == np.float64 and any(found[i].is_far for i in rows):
        return None
    numbers = replace(head, weights=head.weights[rows])
    folded = fold_numbers(numbers, [found[i] for i in rows], n_columns)
    return None if folded is None else replace(folded, lookups=lookups)


def fold_numbers(head: Head, columns: Sequence[Column], n_columns: int) -> Fold | None:
    """Take the steps of columns into the weights; None where a gap is filled in and kept, too."""
    source = np.array([column.source for column in columns], dtype=np.int64)
    slope = np.array([column.slope for column in columns])
    at_zero = np.array([column.at_zero for column in columns])
    rise = np.array([column.at_missing for column in columns]) - at_zero
    kept = np.isnan(rise)  # missing stays missing
    shape = (n_columns, len(head.bias))
    weights, gaps, centre = np.zeros(shape), np.zeros(shape), np.zeros(n_columns)
    np.add.at(weights, source, slope[:, None] * head.weights)
    np.add.at(gaps, source, np.where(kept, 0, rise)[:, None] * head.weights)
    steady = slope != 0
    centre[source[steady]] = -at_zero[steady] / slope[steady]
    used, filled, lost = (np.zeros(n_columns, dtype=bool) for _ in range(3))
    used[source] = True
    filled[source[~kept]] = True
    lost[source[kept]] = True
    if (filled & lost).any():
        return None
    bias = head.bias + at_zero @ head.weights
    return Fold(weights, gaps, bias, centre, used, filled, head.finish, {})


def _fold_calibrated(
    estimator: CalibratedClassifierCV,
    columns: Sequence[Column | Text],
    n_columns: int,
    request: Request,
) -> Fold | None:
    """Sigmoid calibration of two classes: the calibrators' lines fold into the scores."""
    parts = []
    for part in estimator.calibrated_classifiers_:
        asked = replace(request, method="decision_function")
        inner = _fold(part.estimator, columns, n_columns, asked)
        if part.method != "sigmoid" or len(part.classes) != 2 or inner is None:
            return None
        parts.append(_on_line(inner, -part.calibrators[0].a_, -part.calibrators[0].b_))
    return (
        replace(join_folds(parts), finish=mean_of_sigmoids(len(parts)))
        if are_alike(parts)
        else None
    )


def _on_line(fold: Fold, slope: float, shift: float) -> Fold:
    """Scores times a slope, and shifted."""
    return replace(
        fold,
        weights=slope * fold.weights,
        gaps=slope * fold.gaps,
        bias=slope * fold.bias + shift,
        lookups={j: lookup.scaled(slope) for j, lookup in fold.lookups.items()},
    )
