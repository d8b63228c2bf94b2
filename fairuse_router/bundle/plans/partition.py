"""Partition: every model scores its own rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.request import Request, Routed, Source, Told
from fairuse_router.bundle.families.scores import common_finish
from fairuse_router.bundle.families.submodels import SubModel, build_submodel
from fairuse_router.bundle.file.layout import JOINED, Layout, runs_of
from fairuse_router.bundle.graph.blocks import Answer, by_route, unknown_level, unsort
from fairuse_router.bundle.graph.builder import Graph


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

    @classmethod
    def of(cls, routed: Routed, request: Request) -> Partition:
        """Write all models one by one.

        Raises
        ------
        ValueError
            If one cannot be written; the message names its candidate.
        """
        finish = common_finish([model.estimator for model in routed.served], request)
        submodels = [build_submodel(model, routed, request, finish) for model in routed.served]
        return cls(submodels, routed.model_of_route, routed.layout)

    @property
    def looks_up_routes(self) -> bool:
        """Whether a route that does not exist would be noticed."""
        return len(self.submodels) > 1 or self.submodels[0].codes is not None

    @property
    def width(self) -> int | None:
        """Values a row."""
        return self.submodels[0].width

    def write(self, graph: Graph, route: str) -> Answer:
        """Append the answers."""
        packs = _pack(graph, self.layout)
        first = self.submodels[0]
        if len(self.submodels) == 1:
            answer = _score(graph, first, packs, route)
        else:
            answer = _score_own_rows(graph, self.submodels, self.model_of_route, packs, route)
        return answer if first.finish is None else first.finish.write(graph, answer.values)


Packs = Mapping[tuple[int, ...], str]  # features side by side, and the tensor that holds them


def _pack(graph: Graph, layout: Layout) -> Packs:
    """Put neighbours that are numbers into one tensor."""
    if layout.joined:
        return {tuple(range(len(layout.columns))): JOINED}
    packs = {}
    for run in runs_of([column.numeric for column in layout.columns]):
        names = [layout.inputs[j] for j in run]
        packs[tuple(run)] = names[0] if len(run) == 1 else graph.op("Concat", *names, axis=1)
    return packs


def _score_own_rows(
    graph: Graph,
    submodels: Sequence[SubModel],
    model_of_route: NDArray[np.int64],
    packs: Packs,
    route: str,
) -> Answer:
    """Sort the rows by model, score every model's part, and put the answers back in order."""
    which = by_route(graph, model_of_route, route)
    n = graph.op("Shape", which, start=0, end=1)
    order = graph.ops("TopK", which, n, n_outputs=2, axis=0, largest=0)[1]
    ones = graph.op("Expand", graph.constant(1, np.int64), n)
    none = graph.constant(np.zeros(len(submodels)), np.int64)
    counts = graph.op("ScatterElements", none, which, ones, axis=0, reduction="add")

    def split(tensor: str) -> list[str]:
        mine = graph.op("Gather", tensor, order, axis=0)
        return graph.ops("Split", mine, counts, n_outputs=len(submodels), axis=0)

    features = {run: split(tensor) for run, tensor in packs.items()}
    routes = split(route)
    parts = [
        _score(graph, submodel, {run: own[m] for run, own in features.items()}, routes[m])
        for m, submodel in enumerate(submodels)
    ]

    def join(tensors: Sequence[str]) -> str:
        return unsort(graph, graph.op("Concat", *tensors, axis=0), order) if all(tensors) else ""

    return Answer(*(join(tensors) for tensors in zip(*parts, strict=True)))


def _score(graph: Graph, submodel: SubModel, packs: Packs, route: str) -> Answer:
    """Answer of one model for some rows."""

    def run(inside: Graph) -> list[str]:
        own = [_gather_run(inside, run, packs, route, submodel.kind) for run in submodel.runs]
        if submodel.codes is not None:
            own.append(_codes(inside, submodel.codes, route))
        return inside.inline(submodel.model, own)

    if not submodel.guarded:
        return submodel.named(run(graph))
    nothing = submodel.nothing()
    some = graph.op("Greater", graph.op("Size", route), graph.constant(0, np.int64))
    types = [array.dtype for array in nothing]
    outputs = graph.when(some, run, lambda g: [g.constant(array) for array in nothing], types)
    return submodel.named(outputs)


def _codes(graph: Graph, codes: NDArray[np.int64], route: str) -> str:
    """Code of every row, shape (n,)."""
    if np.array_equal(codes, np.arange(len(codes))):
        return route
    return by_route(graph, codes, route)


def _gather_run(
    graph: Graph, run: Sequence[Source], packs: Packs, route: str, kind: np.dtype[Any]
) -> str:
    """One input of a sub-model: features of its rows, and what their routes tell."""
    pieces = []
    for is_told, part in groupby(run, key=lambda source: isinstance(source, Told)):
        if is_told:
            pieces.append(_told(graph, [t for t in part if isinstance(t, Told)], route, kind))
            continue
        chosen = {source for source in part if not isinstance(source, Told)}
        for features, tensor in packs.items():
            if chosen & set(features):
                pieces.append(_columns(graph, chosen, features, tensor))
    return pieces[0] if len(pieces) == 1 else graph.op("Concat", *pieces, axis=1)


def _told(graph: Graph, told: Sequence[Told], route: str, kind: np.dtype[Any]) -> str:
    """What the routes tell, one column each."""
    values = np.stack([t.values for t in told], axis=1)
    table = graph.constant(values, kind if told[0].numeric else object)
    return graph.op("Gather", table, route, axis=0, name=unknown_level(graph))


def _columns(graph: Graph, chosen: set[int], features: Sequence[int], tensor: str) -> str:
    """Those of the chosen features that a tensor holds, in its order."""
    places = [j for j, feature in enumerate(features) if feature in chosen]
    if len(places) == len(features):
        return tensor
    return graph.op("Gather", tensor, graph.constant(places, np.int64), axis=1)
