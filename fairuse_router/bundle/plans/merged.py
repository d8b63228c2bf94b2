"""Tree routes as one ensemble: the first splits of a merged tree tell the routes' trees apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.columns import Column, walk
from fairuse_router.bundle.families.ensemble import Tree, sums, under_one_root
from fairuse_router.bundle.families.submodels import Told, model_sources
from fairuse_router.bundle.families.trees import Trees, finish_sums, in_one_sum, trees_of
from fairuse_router.bundle.file.layout import JOINED
from fairuse_router.bundle.graph.blocks import by_route, unsort
from fairuse_router.bundle.graph.builder import Graph
from fairuse_router.candidates.candidate import ServedModel
from fairuse_router.tables import InputColumn


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
        return 2 if self.model.finish in ("logistic", "rest") else self.model.width

    @classmethod
    def of(
        cls,
        served: Sequence[ServedModel],
        model_of_route: NDArray[np.int64],
        features: Sequence[InputColumn],
        classes: NDArray[Any] | None,
        method: str | None,
        kind: Any,
    ) -> MergedTrees | None:
        """Merge all models, or return None where one is no tree or answers otherwise."""
        told: list[NDArray[np.float64]] = []
        models: list[Trees] = []
        for each in served:
            columns = []
            for source in model_sources(each, features):
                if isinstance(source, Told):
                    told.append(source.values)
                    columns.append(Column(len(features) + len(told) - 1))
                else:
                    columns.append(Column(source))
            reached = walk(each.estimator, columns)
            try:
                model = None if reached is None else trees_of(*reached, method, kind)
            except ValueError:  # a partition refuses it by its candidate's name
                return None
            if model is not None and classes is not None:
                model = _among(model, each.estimator.classes_, classes)
            if model is None:
                return None
            models.append(model)
        first = models[0]
        if any(_manner(model) != _manner(first) for model in models):
            return None
        last = len(features) + len(told)
        table = np.stack([*told, model_of_route.astype(np.float64)], axis=1)
        return cls(in_one_sum(replace(first, trees=_merge(models, last)), kind), table)

    def write(self, graph: Graph, route: str) -> list[str]:
        """Append the answers: label index [n] and values [n, width]; of a regression the values.

        Rows are scored in the order of their routes, so that a route's trees stay in the cache.
        """
        n = graph.op("Shape", JOINED, start=0, end=1)
        route, order = graph.ops("TopK", route, n, n_outputs=2, axis=0, largest=0)
        rows = graph.op("Gather", JOINED, order, axis=0)
        rows = graph.op("Concat", rows, by_route(graph, self.told, route), axis=1)
        total = sums(graph, self.model.trees, rows, in_order=self.model.finish == "votes")
        total = unsort(graph, total, order)
        return finish_sums(graph, total, self.model)


def _among(model: Trees, own: NDArray[Any], classes: NDArray[Any]) -> Trees | None:
    """Return a model among all classes; None if it misses some and does not vote."""
    if len(own) == len(classes):
        return model
    if model.finish != "votes":
        return None
    places = np.searchsorted(classes, own)
    return replace(model, trees=tuple(_spread(tree, places, len(classes)) for tree in model.trees))


def _spread(tree: Tree, places: NDArray[np.int64], width: int) -> Tree:
    values = np.zeros((len(tree.values), width))
    values[:, places] = tree.values
    return replace(tree, values=values)


def _manner(model: Trees) -> tuple[Any, ...]:
    return model.finish, model.count, model.zero_is_second, model.width


def _merge(models: Sequence[Trees], feature: int) -> tuple[Tree, ...]:
    """Merge the models' first trees, their second trees, and so on."""
    nothing = Tree.constant(np.zeros(models[0].width))
    longest = max(len(model.trees) for model in models)
    return tuple(
        under_one_root([m.trees[j] if j < len(m.trees) else nothing for m in models], feature)
        for j in range(longest)
    )
