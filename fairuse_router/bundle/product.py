"""Linear routes as one product: every row times the weights of all routes, then the row's own.

Texts that are encoded for a linear model need no codes: each adds something to the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV

from fairuse_router.bundle.blocks import by_route, pick_scores
from fairuse_router.bundle.builder import Graph
from fairuse_router.bundle.columns import Coded, Column, Text, walk
from fairuse_router.bundle.inputs import JOINED, Layout
from fairuse_router.bundle.linear import Head, centre_to_take_off, finish_scores, head_of
from fairuse_router.bundle.lookups import Lookup, Lookups, in_sum, look_up, side_by_side
from fairuse_router.bundle.submodels import Source, Told, model_sources, numeric_sources
from fairuse_router.candidates import ServedModel


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
        What its scalers take for 0.
    used, filled : ndarray of bool, shape (n_columns,)
        Columns that reach the model; columns whose missing values are filled in.
    finish : str
        What is made of the scores, see `linear.Head`.
    lookups : dict of int to Lookup
        Columns of texts.
    """

    weights: NDArray[np.float64]
    gaps: NDArray[np.float64]
    bias: NDArray[np.float64]
    centre: NDArray[np.float64]
    used: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    finish: str
    lookups: Lookups


def fold(estimator: Any, numeric: Sequence[bool], method: str | None) -> Fold | None:
    """Fold scalers, imputers, selections and encoders into a linear model.

    Parameters
    ----------
    estimator : fitted estimator
    numeric : sequence of bool
        Its input columns that are numbers; the others are texts.
    method : {"predict_proba", "decision_function", "predict"} or None

    Returns
    -------
    Fold or None
        None for any other model.
    """
    columns = [Column(j) if number else Text(j) for j, number in enumerate(numeric)]
    return _fold(estimator, columns, len(columns), method)


def _fold(
    estimator: Any, columns: Sequence[Column | Text], n_columns: int, method: str | None
) -> Fold | None:
    reached = walk(estimator, columns)
    if reached is None:
        return None
    final, found = reached
    if isinstance(final, CalibratedClassifierCV) and method == "predict_proba":
        return _fold_calibrated(final, found, n_columns)
    head = head_of(final, method)
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
    numbers = replace(head, weights=head.weights[rows])
    folded = _fold_numbers(numbers, [found[i] for i in rows], n_columns)
    return None if folded is None else replace(folded, lookups=lookups)


def _fold_numbers(head: Head, columns: Sequence[Column], n_columns: int) -> Fold | None:
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
    estimator: CalibratedClassifierCV, columns: Sequence[Column | Text], n_columns: int
) -> Fold | None:
    """Sigmoid calibration of two classes: the calibrators' lines fold into the scores."""
    parts = []
    for part in estimator.calibrated_classifiers_:
        inner = _fold(part.estimator, columns, n_columns, "decision_function")
        if part.method != "sigmoid" or len(part.classes) != 2 or inner is None:
            return None
        slope, shift = -part.calibrators[0].a_, -part.calibrators[0].b_
        parts.append((inner, slope, slope * inner.bias + shift))
    first = parts[0][0]
    if any((p.used != first.used).any() or (p.filled != first.filled).any() for p, _, _ in parts):
        return None
    lookups = [{j: one.scaled(slope) for j, one in p.lookups.items()} for p, slope, _ in parts]
    return Fold(
        np.concatenate([slope * p.weights for p, slope, _ in parts], axis=1),
        np.concatenate([slope * p.gaps for p, slope, _ in parts], axis=1),
        np.concatenate([bias for _, _, bias in parts]),
        first.centre,
        first.used,
        first.filled,
        "mean",
        side_by_side(lookups, [1] * len(parts)),
    )


@dataclass(frozen=True, eq=False)
class Product:
    """All routes as one matrix.

    Parameters
    ----------
    weights, gaps : ndarray of shape (d, n_scores)
    bias : ndarray of shape (n_scores,)
    scores_of_route : ndarray of int64, shape (n_routes, S)
        The scores of each route.
    centre : ndarray of shape (d,)
    used, filled : ndarray of bool, shape (d,)
    finish : str
    n_classes : int or None
        None for a regression.
    lookups : dict of int to Lookup
        Features that are texts.
    layout : Layout
    """

    weights: NDArray[np.float64]
    gaps: NDArray[np.float64]
    bias: NDArray[np.float64]
    scores_of_route: NDArray[np.int64]
    centre: NDArray[np.float64]
    used: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    finish: str
    n_classes: int | None
    lookups: Lookups
    layout: Layout

    looks_up_routes = True

    @property
    def width(self) -> int | None:
        """Values a row."""
        if self.n_classes is None or self.finish in ("sign", "largest"):
            return int(self.scores_of_route.shape[1])
        return self.n_classes

    @classmethod
    def of(
        cls,
        served: Sequence[ServedModel],
        model_of_route: NDArray[np.int64],
        layout: Layout,
        classes: NDArray[Any] | None,
        method: str | None,
    ) -> Product | None:
        """Fold all models, or return None where that cannot be done alike for all of them."""
        features = layout.columns
        found: list[tuple[Fold, tuple[Source, ...]]] = []
        for model in served:
            sources = model_sources(model, features)
            folded = fold(model.estimator, numeric_sources(sources, features), method)
            if folded is None:
                return None
            if classes is not None and not np.array_equal(model.estimator.classes_, classes):
                return None
            found.append((folded, sources))
        routes = []
        for r, m in enumerate(model_of_route.tolist()):
            folded, sources = found[m]
            routes.append(_route(folded, sources, len(features), r))
        first = routes[0]
        for route in routes[1:]:
            same = (route.used == first.used).all() and (route.filled == first.filled).all()
            if not same or route.finish != first.finish or len(route.bias) != len(first.bias):
                return None
        if not all(np.isfinite(route.bias).all() for route in routes):
            return None
        distinct: dict[bytes, int] = {}
        number = [distinct.setdefault(_content(route), len(distinct)) for route in routes]
        kept = [routes[number.index(i)] for i in range(len(distinct))]
        size = len(first.bias)
        return cls(
            np.concatenate([route.weights for route in kept], axis=1),
            np.concatenate([route.gaps for route in kept], axis=1),
            np.concatenate([route.bias for route in kept]),
            np.array(number)[:, None] * size + np.arange(size),
            first.centre,
            first.used,
            first.filled,
            first.finish,
            None if classes is None else len(classes),
            side_by_side([route.lookups for route in kept], [size] * len(kept)),
            layout,
        )

    def write(self, graph: Graph, route: str) -> list[str]:
        """Append the answers: label index [n] and values [n, width]; of a regression the values."""
        size, bias = self.scores_of_route.shape[1], self.bias
        scores = self._of_numbers(graph)
        if scores is None:
            scores = by_route(graph, bias[self.scores_of_route], route)
        else:
            scores = pick_scores(graph, scores, self.scores_of_route, route)
        if self.lookups:
            block = by_route(graph, self.scores_of_route[:, :1] // size, route)
            for j, lookup in self.lookups.items():
                added = look_up(graph, lookup, self.layout.inputs[j], block, size)
                scores = graph.op("Add", scores, added)
        return finish_scores(graph, scores, size, self.finish)

    def _of_numbers(self, graph: Graph) -> str | None:
        """Scores of all routes by the features that are numbers; None if none of those is used."""
        used = np.flatnonzero(self.used)
        if not len(used):
            return None
        weights, gaps, filled = self.weights[used], self.gaps[used], self.filled[used]
        centre = centre_to_take_off(weights, self.centre[used], graph.kind)
        rows, bias = self._numbers(graph, used), self.bias + centre @ weights
        if filled.any():
            missing = graph.op("IsNaN", rows)
            rows = graph.op("Where", missing, graph.numbers(centre[None, :]), rows)
            gaps = gaps - centre[:, None] * weights
        if centre.any():
            rows = graph.op("Sub", rows, graph.numbers(centre[None, :]))
        if filled.any():
            rows = graph.op("Concat", rows, graph.cast(missing, graph.kind), axis=1)
            weights = np.concatenate([weights, gaps])
        return graph.op("Gemm", rows, graph.numbers(weights), graph.numbers(bias))

    def _numbers(self, graph: Graph, used: NDArray[np.int64]) -> str:
        """Some of the features, all numbers, side by side."""
        if not self.layout.joined:
            names = [self.layout.inputs[j] for j in used]
            return names[0] if len(names) == 1 else graph.op("Concat", *names, axis=1)
        if len(used) == len(self.used):
            return JOINED
        return graph.op("Gather", JOINED, graph.constant(used, np.int64), axis=1)


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


def _content(route: Fold) -> bytes:
    content = route.weights.tobytes() + route.gaps.tobytes() + route.bias.tobytes()
    for column, lookup in route.lookups.items():
        content += repr((column, lookup.texts)).encode() + lookup.added.tobytes()
    return content
