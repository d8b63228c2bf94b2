"""Routes that a caller may replace: the table inside a graph as an input with a default.

A bundle that holds candidates beside its routes is asked for them so; who passes no such input
never knows of it.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fairuse_router.bundle.file.layout import ROUTES, Layout
from fairuse_router.bundle.file.places import route_places
from fairuse_router.routing.table import RoutingTable


def find_routes(
    graph: onnx.GraphProto, layout: Layout, table: RoutingTable
) -> onnx.NodeProto | None:
    """The one node that looks up the routes of a table; None if there is no such one."""
    places = route_places(table, layout)[0]
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    found = [
        node
        for node in graph.node
        if node.op_type in ("GatherND", "GatherElements")
        and node.input[0] in tensors
        and np.array_equal(numpy_helper.to_array(tensors[node.input[0]]), places)
    ]
    return found[0] if len(found) == 1 else None


def is_shared(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether other nodes read the table that a node looks up: an equal constant is one."""
    own = node.input[0]
    return sum(list(other.input).count(own) for other in graph.node) > 1


def let_routes_be_given(graph: onnx.GraphProto, layout: Layout, table: RoutingTable) -> None:
    """Make the routes an input of the graph, with the routes of the table as its default.

    Raises
    ------
    ValueError
        If the graph does not look up its routes in one place.
    """
    node = find_routes(graph, layout, table)
    if node is None:
        raise ValueError(
            "candidates='all' cannot be stored: the graph does not look up its routes in one "
            "place. Pass candidates='routed'."
        )
    places = route_places(table, layout)[0]
    if not is_shared(graph, node):
        (old,) = (t for t in graph.initializer if t.name == node.input[0])
        graph.initializer.remove(old)
    node.input[0] = ROUTES
    graph.initializer.append(numpy_helper.from_array(places, ROUTES))
    kind = helper.np_dtype_to_tensor_dtype(places.dtype)
    doc = "The routing table, which serves as it is unless another is given."
    graph.input.append(helper.make_tensor_value_info(ROUTES, kind, places.shape, doc))
