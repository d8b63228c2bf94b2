"""Linear routes as one product: every row times the weights of all routes, then the row's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.corrected import one_model_per_route
from fairuse_router.bundle.families.finish import Finish
from fairuse_router.bundle.families.fold import Fold, fold
from fairuse_router.bundle.families.linear import centre_to_take_off
from fairuse_router.bundle.families.lookups import Lookups, look_up, side_by_side
from fairuse_router.bundle.families.request import Request, Routed
from fairuse_router.bundle.families.submodels import Source, Told, model_sources, numeric_sources
from fairuse_router.bundle.file.layout import JOINED, Layout
from fairuse_router.bundle.graph.blocks import Answer, by_route, pick_scores
from fairuse_router.bundle.graph.builder import Graph


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
    finish : Finish
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
    finish: Finish
    lookups: Lookups
    layout: Layout

    looks_up_routes = True

    @property
    def width(self) -> int | None:
        """Values a row."""
        return self.finish.values(self.scores_of_route.shape[1])

    @classmethod
    def of(cls, routed: Routed, request: Request) -> Product | None:
        """Fold all models, or return None where that cannot be done alike for all of them."""
        routed = one_model_per_route(routed)
        features, classes = routed.layout.columns, request.classes
        found: list[tuple[Fold, tuple[Source, ...]]] = []
        for model in routed.served:
            sources = model_sources(model, features)
            folded = fold(model.estimator, numeric_sources(sources, features), request.method)
            if folded is None:
                return None
            if classes is not None and not np.array_equal(model.estimator.classes_, classes):
                return None
            found.append((folded, sources))
        routes = []
        for r, m in enumerate(routed.model_of_route.tolist()):
            folded, sources = found[m]
            routes.append(_route(folded, sources, len(features), r))
        first = routes[0]
        for route in routes[1:]:
            same = (route.used == first.used).all() and (route.filled == first.filled).all()
            if not same or route.finish is not first.finish or len(route.bias) != len(first.bias):
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
            side_by_side([route.lookups for route in kept], [size] * len(kept)),
            routed.layout,
        )

    def write(self, graph: Graph, route: str) -> Answer:
        """Append the answers."""
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
        return self.finish.write(graph, scores)

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
