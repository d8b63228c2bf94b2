"""Routes as one product: every row times the weights of all routes, then the row's own scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.bayes import fold_bayes
from fairuse_router.bundle.families.corrected import one_model_per_route
from fairuse_router.bundle.families.fold import Fold, are_alike, fold_linear, join_folds
from fairuse_router.bundle.families.linear import centre_to_take_off
from fairuse_router.bundle.families.lookups import look_up
from fairuse_router.bundle.families.request import Request, Routed
from fairuse_router.bundle.file.layout import JOINED, Layout
from fairuse_router.bundle.graph.blocks import Answer, by_route, pick_scores
from fairuse_router.bundle.graph.builder import Graph


@dataclass(frozen=True, eq=False)
class Product:
    """All routes as one matrix.

    Parameters
    ----------
    whole : Fold
        The distinct scores of all routes side by side.
    scores_of_route : ndarray of int64, shape (n_routes, S)
        The scores of each route.
    layout : Layout
    """

    whole: Fold
    scores_of_route: NDArray[np.int64]
    layout: Layout

    looks_up_routes = True

    @property
    def width(self) -> int | None:
        """Values a row."""
        return self.whole.finish.values(self.scores_of_route.shape[1])

    @classmethod
    def of(cls, routed: Routed, request: Request) -> Product | None:
        """Fold all models, or return None where that cannot be done alike for all of them."""
        routes = fold_linear(one_model_per_route(routed), request) or fold_bayes(routed, request)
        if routes is None or not are_alike(routes):
            return None
        if not all(np.isfinite(route.bias).all() for route in routes):
            return None
        distinct: dict[bytes, int] = {}
        number = [distinct.setdefault(_content(route), len(distinct)) for route in routes]
        kept = [routes[number.index(i)] for i in range(len(distinct))]
        size = len(routes[0].bias)
        scores_of_route = np.array(number)[:, None] * size + np.arange(size)
        return cls(join_folds(kept), scores_of_route, routed.layout)

    def write(self, graph: Graph, route: str) -> Answer:
        """Append the answers."""
        size, whole = self.scores_of_route.shape[1], self.whole
        used = np.flatnonzero(whole.used)
        if len(used):
            scores = self._of_numbers(graph, used)
            scores = pick_scores(graph, scores, self.scores_of_route, route)
        else:
            scores = by_route(graph, whole.bias[self.scores_of_route], route)
        if whole.lookups:
            block = by_route(graph, self.scores_of_route[:, :1] // size, route)
            for j, lookup in whole.lookups.items():
                added = look_up(graph, lookup, self.layout.inputs[j], block, size)
                scores = graph.op("Add", scores, added)
        return whole.finish.write(graph, scores)

    def _of_numbers(self, graph: Graph, used: NDArray[np.int64]) -> str:
        """Scores of all routes by the features that are numbers and used."""
        whole, bias = self.whole, self.whole.bias
        weights, gaps, filled = whole.weights[used], whole.gaps[used], whole.filled[used]
        centre = whole.centre[used]
        if whole.squares is None:
            centre = centre_to_take_off(weights, centre, graph.kind)
            bias = bias + centre @ weights
        rows = self._numbers(graph, used)
        if filled.any():
            missing = graph.op("IsNaN", rows)
            rows = graph.op("Where", missing, graph.numbers(centre[None, :]), rows)
            gaps = gaps - centre[:, None] * weights
        if centre.any():
            rows = graph.op("Sub", rows, graph.numbers(centre[None, :]))
        if filled.any():
            rows = graph.op("Concat", rows, graph.cast(missing, graph.kind), axis=1)
            weights = np.concatenate([weights, gaps])
        scores = graph.op("Gemm", rows, graph.numbers(weights), graph.numbers(bias))
        if whole.squares is None:
            return scores
        squares = graph.op("Mul", rows, rows)
        return graph.op("Gemm", squares, graph.numbers(whole.squares[used]), scores)

    def _numbers(self, graph: Graph, used: NDArray[np.int64]) -> str:
        """Some of the features, all numbers, side by side."""
        if not self.layout.joined:
            names = [self.layout.inputs[j] for j in used]
            return names[0] if len(names) == 1 else graph.op("Concat", *names, axis=1)
        if len(used) == len(self.layout.columns):
            return JOINED
        return graph.op("Gather", JOINED, graph.constant(used, np.int64), axis=1)


def _content(route: Fold) -> bytes:
    arrays = (route.weights, route.gaps, route.bias, route.squares)
    content = b"".join(array.tobytes() for array in arrays if array is not None)
    for column, lookup in route.lookups.items():
        content += repr((column, lookup.texts)).encode() + lookup.added.tobytes()
    return content
