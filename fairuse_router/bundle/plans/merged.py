"""Tree routes as one ensemble: the first splits of a merged tree tell the routes' trees apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.columns import Column, Text, follow
from fairuse_router.bundle.families.ensemble import Tree, under_one_root
from fairuse_router.bundle.families.request import Request, Routed, Told
from fairuse_router.bundle.families.trees import Trees, in_one_sum, trees_of
from fairuse_router.bundle.file.layout import JOINED
from fairuse_router.bundle.graph.blocks import Answer, by_route, unsort
from fairuse_router.bundle.graph.builder import Graph


@dataclass(frozen=True, eq=False)
class MergedTrees:
    """The trees of all models under common roots.

    Parameters
    ----------
    model : Trees
        Its trees read the features, then the columns of `told`.
    told : ndarray of shape (n_routes, n_told + 1)
        What models are told by route; the number of the route's model comes last.
    """

    model: Trees
    told: NDArray[np.float64]

    looks_up_routes = True

    @property
    def width(self) -> int | None:
        """Values a row."""
        return self.model.finish.values(self.model.width)

    @classmethod
    def of(cls, routed: Routed, request: Request) -> MergedTrees | None:
        """Merge all models, or return None where one is no tree or answers otherwise."""
        if not routed.layout.joined or len(routed.served) == 1:
            return None
        told: list[NDArray[np.float64]] = []
        models: list[Trees] = []
        features = routed.layout.columns
        for each in routed.served:
            columns: list[Column | Text] = []
            for source in routed.sources(each):
                if isinstance(source, Told):
                    told.append(source.values)
                    columns.append(Column(len(features) + len(told) - 1))
                else:
                    columns.append(Column(source))
            model = _trees_of(each.estimator, columns, request)
            if model is None:
                return None
            models.append(model)
        first = models[0]
        if any(
            (m.finish, m.votes, m.width) != (first.finish, first.votes, first.width) for m in models
        ):
            return None
        last = len(features) + len(told)
        table = np.stack([*told, routed.model_of_route.astype(np.float64)], axis=1)
        merged = replace(first, trees=_merge(models, last))
        return cls(in_one_sum(merged, request.number), table)

    def write(self, graph: Graph, route: str) -> Answer:
        """Append the answers.

        Rows are scored in the order of their routes, so that a route's trees stay in the cache.
        """
        n = graph.op("Shape", JOINED, start=0, end=1)
        route, order = graph.ops("TopK", route, n, n_outputs=2, axis=0, largest=0)
        rows = graph.op("Gather", JOINED, order, axis=0)
        rows = graph.op("Concat", rows, by_route(graph, self.told, route), axis=1)
        total = unsort(graph, self.model.score(graph, rows), order)
        return self.model.finish.write(graph, total)


def _trees_of(estimator: Any, columns: Sequence[Column | Text], request: Request) -> Trees | None:
    """Trees of a model with the steps in front of it, among the router's classes."""
    try:
        reached = follow(estimator, columns)
        model = None if reached is None else trees_of(*reached, request.method, request.number)
    except ValueError:  # a partition refuses it by its candidate's name
        return None
    if model is None or model.members:
        return None
    if request.classes is None:
        return model
    return _among(model, estimator.classes_, request.classes)


def _among(model: Trees, own: NDArray[Any], classes: NDArray[Any]) -> Trees | None:
    """Return a model among all classes; None if it misses some and does not vote."""
    if len(own) == len(classes):
        return model
    if not model.votes:
        return None
    places = np.searchsorted(classes, own)
    return replace(model, trees=tuple(_spread(tree, places, len(classes)) for tree in model.trees))


def _spread(tree: Tree, places: NDArray[np.int64], width: int) -> Tree:
    values = np.zeros((len(tree.values), width))
    values[:, places] = tree.values
    return replace(tree, values=values)


def _merge(models: Sequence[Trees], feature: int) -> tuple[Tree, ...]:
    """Merge the models' first trees, their second trees, and so on."""
    nothing = Tree.constant(np.zeros(models[0].width))
    longest = max(len(model.trees) for model in models)
    return tuple(
        under_one_root([m.trees[j] if j < len(m.trees) else nothing for m in models], feature)
        for j in range(longest)
    )
