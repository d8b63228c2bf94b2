"""Assembly: report to route to model, in one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from fairuse_router.bundle.builder import ML, Graph, value_info
from fairuse_router.bundle.inputs import JOINED, REPORT, Layout
from fairuse_router.bundle.numeric import recover
from fairuse_router.bundle.submodels import SubModel, Told
from fairuse_router.groups import GroupSchema
from fairuse_router.routing.table import RoutingTable

_VALUES_DOC = {
    "probabilities": "Probability of every class, in the order of fairuse_router.classes.",
    "scores": "Decision values: one for two classes (positive: the second), else one a column.",
    "prediction": "The predicted number.",
}


def assemble(
    submodels: Sequence[SubModel],
    model_of_route: NDArray[np.int64],
    table: RoutingTable,
    layout: Layout,
    places: Sequence[int | None],
    labels: NDArray[Any] | None,
    values_name: str | None,
    opsets: Mapping[str, int],
    **fields: Any,
) -> ModelProto:
    """Write the one graph of a bundle.

    Parameters
    ----------
    submodels : sequence of SubModel
    model_of_route : ndarray of int64, shape (n_routes,)
        Index into `submodels`.
    table : RoutingTable
    layout : Layout
        The inputs of the features.
    places : sequence of int or None
        Decimals of each feature, for models in double precision; None where not known.
    labels : ndarray of shape (K,) or None
        Labels as the bundle gives them: int64, or strings of dtype object; None for a regression.
    values_name : {"probabilities", "scores", "prediction"} or None
    opsets : dict of str to int
    **fields
        Fields of the model, such as ``producer_name``.

    Returns
    -------
    ModelProto
    """
    graph = Graph(opsets)
    inputs = _inputs(layout, table.schema)
    route = _route(graph, table, layout)
    source = _Features(layout, places)
    if len(submodels) == 1:
        answers = _score(graph, submodels[0], source, route, None)
    else:
        answers = _partition(graph, submodels, model_of_route, source, route)
    outputs = []
    if labels is not None:
        label = graph.op("Gather", graph.constant(labels), answers[0])
        outputs.append((label, value_info("label", labels.dtype, ["N"], "The predicted class.")))
    if values_name is not None:
        values, shape = answers[-1], ["N", submodels[0].width]
        if labels is None:
            values, shape = graph.op("Reshape", values, graph.constant([-1], np.int64)), ["N"]
        info = value_info(values_name, np.float32, shape, _VALUES_DOC[values_name])
        outputs.append((values, info))
    info = value_info("route", np.int64, ["N"], "Row of the routes in the routing table.")
    outputs.append((route, info))
    return graph.to_model(inputs, outputs, **fields)


def _inputs(layout: Layout, schema: GroupSchema) -> list[ValueInfoProto]:
    if layout.joined:
        names = ", ".join(c.name for c in layout.columns)
        doc = f"Features, in this order: {names}"
        features = [value_info(JOINED, np.float32, ["N", len(layout.columns)], doc)]
    else:
        features = [
            value_info(name, np.float32 if c.numeric else object, ["N", 1], f"Feature {c.name}")
            for c, name in zip(layout.columns, layout.inputs, strict=True)
        ]
    mark = "" if schema.withheld is None else f" or {schema.withheld!r}"
    doc = (
        f"Group attributes, in this order: {', '.join(schema.attributes)}. "
        f"The empty text{mark} withholds one."
    )
    return [*features, value_info(REPORT, object, ["N", len(schema.attributes)], doc)]


def _route(graph: Graph, table: RoutingTable, layout: Layout) -> str:
    """Route of every row: level texts to codes, codes to a report, the report to its route."""
    schema = table.schema
    report = ""
    strides = np.cumprod([1, *schema.shape[:0:-1]])[::-1]
    for j, levels in enumerate(schema.levels):
        column = graph.op("Gather", REPORT, graph.constant(j, np.int64), axis=1)
        mark = [schema.withheld] if schema.withheld else []
        code = graph.op(
            "LabelEncoder",
            column,
            domain=ML,
            keys_strings=["", *mark, *levels],
            values_int64s=[0] * (1 + len(mark)) + list(range(1, len(levels) + 1)),
            # an unknown level points past the end of the table, where Gather raises
            default_int64=0 if schema.handle_unknown == "withhold" else schema.n_reports,
        )
        part = graph.op("Mul", code, graph.constant(strides[j], np.int64))
        report = graph.op("Add", report, part) if report else part
    report = graph.op("Reshape", report, _checked_rows(graph, layout), allowzero=1)
    grid = graph.constant(table.grid.ravel(), np.int64)
    return graph.op("Gather", grid, report, name="unknown_level_in_report")


def _checked_rows(graph: Graph, layout: Layout) -> str:
    """Number of rows, shape (1,); the graph fails where two inputs disagree on it."""
    names = [*dict.fromkeys(layout.inputs), REPORT]
    counts = [graph.op("Shape", name, start=0, end=1) for name in names]
    every = graph.op("Concat", *counts, axis=0)
    largest = graph.op("ReduceMax", every, keepdims=1)
    excess = graph.op("Sub", largest, graph.op("ReduceMin", every, keepdims=1))
    return graph.op("Gather", largest, excess, name="inputs_differ_in_their_number_of_rows")


class _Features:
    """Feature tensors of the graph, whole or for some rows."""

    def __init__(self, layout: Layout, places: Sequence[int | None]) -> None:
        self._layout = layout
        self._places = list(places)

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

    def is_numeric(self, j: int) -> bool:
        return self._layout.columns[j].numeric

    def numbers(self, graph: Graph, tensor: str, columns: Sequence[int], kind: Any) -> str:
        """Number columns as float32, or as the doubles that they were rounded from."""
        if kind == np.float32:
            return tensor
        return recover(graph, tensor, [self._places[j] for j in columns])


def _partition(
    graph: Graph,
    submodels: Sequence[SubModel],
    model_of_route: NDArray[np.int64],
    source: _Features,
    route: str,
) -> list[str]:
    """Score every row by its own model only, and put the answers back into the order of rows."""
    which = graph.op("Gather", graph.constant(model_of_route, np.int64), route)
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
        nothing.append(np.empty((0, submodel.width), dtype=np.float32))
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
        parts = [source.numbers(graph, tensors[JOINED], range(n_features), kind)]
        if told:
            added = np.stack([t.values for t in told], axis=1)
            parts.append(graph.op("Gather", graph.constant(added, kind), route, axis=0))
        return [graph.op("Concat", *parts, axis=1) if told else parts[0]]
    columns = []
    for s in sources:
        if isinstance(s, Told):
            values = graph.constant(s.values[:, None], kind if s.numeric else object)
            columns.append(graph.op("Gather", values, route, axis=0))
        elif source.is_numeric(s):
            column = source.column(graph, tensors, s)
            columns.append(source.numbers(graph, column, [s], kind))
        else:
            columns.append(source.column(graph, tensors, s))
    return [graph.op("Concat", *columns, axis=1)] if submodel.joined else columns
