"""Partition: every model scores its own rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.blocks import by_route
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
        source = _Features(self.layout)
        if len(self.submodels) == 1:
            return _score(graph, self.submodels[0], source, route, None)
        return _partition(graph, self.submodels, self.model_of_route, source, route)


class _Features:
    """Feature tensors of the graph, whole or for some rows."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def rows(self, graph: Graph, rows: str | None) -> dict[str, str]:
        """Tensors by input name, for the rows given by index."""
        names = dict.fromkeys(self._layout.inputs)
        if rows is None:
            return {name: name for name in names}
        return {name: graph.op("Gather", name, rows, axis=0) for name in names}

    def column(self, graph: Graph, tensors: Mapping[str, str], j: int) -> str:
        """One feature, shape (n, 1)."""
        if self._layout.joined:
            return graph.op("Gather", tensors[JOINED], graph.constant([j], np.int64), axis=1)
        return tensors[self._layout.inputs[j]]


def _partition(
    graph: Graph,
    submodels: Sequence[SubModel],
    model_of_route: NDArray[np.int64],
    source: _Features,
    route: str,
) -> list[str]:
    """Score every row by its own model only, and put the answers back into the order of rows."""
    which = by_route(graph, model_of_route, route)
    order, parts = [], []
    for m, submodel in enumerate(submodels):
        mine = graph.op("Equal", which, graph.constant(m, np.int64))
        rows = graph.op("Reshape", graph.op("NonZero", mine), graph.constant([-1], np.int64))
        parts.append(_score(graph, submodel, source, graph.op("Gather", route, rows), rows))
        order.append(rows)
    here = graph.op("Concat", *order, axis=0)
    zero, one = (graph.constant(v, np.int64) for v in (0, 1))
    numbers = graph.op("Range", zero, graph.op("Size", route), one)
    index = graph.op("Unsqueeze", here, graph.constant([1], np.int64))
    place = graph.op("ScatterND", route, index, numbers)  # every entry of route is overwritten
    return [
        graph.op("Gather", graph.op("Concat", *answers, axis=0), place, axis=0)
        for answers in zip(*parts, strict=True)
    ]


def _score(
    graph: Graph, submodel: SubModel, source: _Features, route: str, rows: str | None
) -> list[str]:
    """Label index and values of some rows, by one model, as far as it has them."""

    def run(inside: Graph) -> list[str]:
        return inside.inline(submodel.model, _model_inputs(inside, submodel, source, route, rows))

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
    graph: Graph, submodel: SubModel, source: _Features, route: str, rows: str | None
) -> list[str]:
    """Tensors for the inputs of a sub-model: features of its rows, and what their routes tell."""
    tensors = source.rows(graph, rows)
    sources, kind = submodel.sources, submodel.kind
    told = [s for s in sources if isinstance(s, Told)]
    n_features = len(sources) - len(told)
    if submodel.joined and not any(isinstance(s, Told) for s in sources[:n_features]):
        parts = [tensors[JOINED]]
        if told:
            added = np.stack([t.values for t in told], axis=1)
            parts.append(graph.op("Gather", graph.constant(added, kind), route, axis=0))
        return [graph.op("Concat", *parts, axis=1) if told else parts[0]]
    columns = []
    for s in sources:
        if isinstance(s, Told):
            values = graph.constant(s.values[:, None], kind if s.numeric else object)
            columns.append(graph.op("Gather", values, route, axis=0))
        else:
            columns.append(source.column(graph, tensors, s))
    return [graph.op("Concat", *columns, axis=1)] if submodel.joined else columns
