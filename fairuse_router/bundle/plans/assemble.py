"""Assembly: report to route to model, in one graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from fairuse_router.bundle.file.layout import JOINED, OUTPUTS, REPORT, ROUTES, Layout
from fairuse_router.bundle.graph.blocks import Answer, by_route
from fairuse_router.bundle.graph.builder import Graph, value_info
from fairuse_router.bundle.graph.routes import write_route
from fairuse_router.groups import GroupSchema
from fairuse_router.routing.table import RoutingTable

_VALUES_DOC = {
    "probabilities": "Probability of every class, in the order of fairuse_router.classes.",
    "scores": "Decision values: one for two classes (positive: the second), else one a column.",
    "prediction": "The predicted number.",
}


class Plan(Protocol):
    """How rows reach the models that serve them."""

    @property
    def width(self) -> int | None:
        """Values a row; None if there are labels only."""

    @property
    def looks_up_routes(self) -> bool:
        """Whether its answers depend on the route, so that one that does not exist is noticed."""

    def write(self, graph: Graph, route: str) -> Answer:
        """Append the answers of all rows, whose routes are a tensor of int64, shape (n,)."""


def assemble(
    plan: Plan,
    table: RoutingTable,
    layout: Layout,
    labels: NDArray[Any] | None,
    values_name: str | None,
    opsets: Mapping[str, int],
    threshold: float | None = None,
) -> ModelProto:
    """Write the one graph of a bundle.

    Parameters
    ----------
    plan : Plan
    table : RoutingTable
    layout : Layout
        The inputs.
    labels : ndarray of shape (K,) or None
        Labels as the bundle gives them: int64, or strings of dtype object; None for a regression.
    values_name : {"probabilities", "scores", "prediction"} or None
    opsets : dict of str to int
    threshold : float or None, default=None
        The second of two classes is said from this probability on; None: as the plan says.

    Returns
    -------
    ModelProto
    """
    graph = Graph(opsets, layout.number, taken=(*layout.inputs, REPORT, ROUTES, *OUTPUTS))
    inputs = _inputs(layout, table.schema)
    route = write_route(graph, table, layout)
    if not plan.looks_up_routes:
        route = by_route(graph, np.arange(len(table.routes)), route)
    label, values = plan.write(graph, route)
    outputs = []
    doc = "The predicted class."
    if threshold is not None:
        second = graph.op("Gather", values, graph.constant(1, np.int64), axis=1)
        at = graph.constant(threshold, layout.number)
        label = graph.cast(graph.op("GreaterOrEqual", second, at), np.int64)
        doc = f"The predicted class: the second from a probability of {threshold:g} on."
    if labels is not None:
        if labels.dtype == object or not np.array_equal(labels, np.arange(len(labels))):
            label = graph.op("Gather", graph.constant(labels), label)
        outputs.append((label, value_info("label", labels.dtype, ["N"], doc)))
    if values_name is not None:
        shape = ["N", plan.width]
        if labels is None:
            values, shape = graph.op("Reshape", values, graph.constant([-1], np.int64)), ["N"]
        info = value_info(values_name, graph.kind, shape, _VALUES_DOC[values_name])
        outputs.append((values, info))
    info = value_info("route", np.int64, ["N"], "Row of the routes in the routing table.")
    outputs.append((route, info))
    return graph.to_model(inputs, outputs)


def _inputs(layout: Layout, schema: GroupSchema) -> list[ValueInfoProto]:
    if layout.joined:
        names = ", ".join(c.name for c in layout.columns)
        doc = f"Features, in this order: {names}"
        features = [value_info(JOINED, layout.number, ["N", len(layout.columns)], doc)]
    else:
        features = [
            value_info(name, layout.number if c.numeric else object, ["N", 1], f"Feature {c.name}")
            for c, name in zip(layout.columns, layout.inputs, strict=True)
        ]
    doc = f"Group attributes, in this order: {', '.join(schema.attributes)}. "
    if layout.report == "codes":
        kind: Any = np.int64
        doc += "0 withholds one, else 1 + the place of its level in fairuse_router.schema."
    else:
        kind = object
        mark = "" if schema.withheld is None else f" or {schema.withheld!r}"
        doc += f"The empty text{mark} withholds one."
    return [*features, value_info(REPORT, kind, ["N", len(schema.attributes)], doc)]
