"""Partition: every model scores its own rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.blocks import by_route, column, unsort
from fairuse_router.bundle.builder import Graph
from fairuse_router.bundle.inputs import JOINED, Layout
from fairuse_router.bundle.submodels import SubModel, Told


@dataclass(frozen=True, eq=False)
class Partition:
    """Sub-models, each of which is run on the rows that it serves.

    Parameters
    ----------
    submodels : sequence of SubModel
    model_of_route : ndarray of int64, shape (n_routes,)
        Index into `submodels`.
    layout : Layout
    """

    submodels: Sequence[SubModel]
    model_of_route: NDArray[np.int64]
    layout: Layout

    @property
    def looks_up_routes(self) -> bool:
        """Whether a route that does not exist would be noticed."""
        return len(self.submodels) > 1

    @property
    def width(self) -> int | None:
        """Values a row."""
        return self.submodels[0].width

    def write(self, graph: Graph, route: str) -> list[str]:
        """Append the answers, as far as there are any: label index [n] and values [n, width]."""
        if len(self.submodels) == 1:
            whole = {name: name for name in self.layout.inputs}
            return _score(graph, self.submodels[0], self.layout, whole, route)
        return _score_own_rows(graph, self.submodels, self.model_of_route, self.layout, route)


def _score_own_rows(
    graph: Graph,
    submodels: Sequence[SubModel],
    model_of_route: NDArray[np.int64],
    layout: Layout,
    route: str,
) -> list[str]:
    """Sort the rows by model, score every model's part, and put the answers back in order."""
    which = by_route(graph, model_of_route, route)
    depth, values = graph.constant([len(submodels)], np.int64), graph.constant([0, 1], np.float32)
    table = graph.op("OneHot", which, depth, values, axis=0)
    counts = graph.op("ReduceSum", table, graph.constant([1], np.int64), keepdims=0)
    counts = graph.cast(counts, np.int64)
    order = graph.op("NonZero", table)  # ordered by model first
    order = graph.op("Gather", order, graph.constant(1, np.int64), axis=0)

    def split(tensor: str) -> list[str]:
        mine = graph.op("Gather", tensor, order, axis=0)
        return graph.ops("Split", mine, counts, n_outputs=len(submodels), axis=0)

    features = {name: split(name) for name in dict.fromkeys(layout.inputs)}
    routes = split(route)
    parts = [
        _score(graph, submodel, layout, {n: f[m] for n, f in features.items()}, routes[m])
        for m, submodel in enumerate(submodels)
    ]
    return [
        unsort(graph, graph.op("Concat", *answers, axis=0), order)
        for answers in zip(*parts, strict=True)
    ]


def _score(
    graph: Graph, submodel: SubModel, layout: Layout, tensors: Mapping[str, str], route: str
) -> list[str]:
    """Label index and values of some rows, by one model, as far as it has them."""

    def run(inside: Graph) -> list[str]:
        return inside.inline(
            submodel.model, _model_inputs(inside, submodel, layout, tensors, route)
        )

    if not submodel.guarded:
        return run(graph)
    nothing: list[NDArray[Any]] = []
    if submodel.labelled:
        nothing.append(np.empty(0, dtype=np.int64))
    if submodel.width is not None:
        nothing.append(np.empty((0, submodel.width), dtype=submodel.kind))
    some = graph.op("Greater", graph.op("Size", route), graph.constant(0, np.int64))
    types = [array.dtype for array in nothing]
    return graph.when(some, run, lambda g: [g.constant(array) for array in nothing], types)


def _model_inputs(
    graph: Graph, submodel: SubModel, layout: Layout, tensors: Mapping[str, str], route: str
) -> list[str]:
    """Tensors for the inputs of a sub-model: features of its rows, and what their routes tell."""
    sources, kind = submodel.sources, submodel.kind
    told = [s for s in sources if isinstance(s, Told)]
    n_features = len(sources) - len(told)
    if submodel.joined and not any(isinstance(s, Told) for s in sources[:n_features]):
        if not told:
            return [tensors[JOINED]]
        added = by_route(graph, np.stack([t.values for t in told], axis=1), route)
        return [graph.op("Concat", tensors[JOINED], added, axis=1)]
    columns = []
    for s in sources:
        if isinstance(s, Told):
            values = graph.constant(s.values[:, None], kind if s.numeric else object)
            columns.append(graph.op("Gather", values, route, axis=0))
        elif layout.joined:
            columns.append(column(graph, tensors[JOINED], s))
        else:
            columns.append(tensors[layout.inputs[s]])
    return [graph.op("Concat", *columns, axis=1)] if submodel.joined else columns
