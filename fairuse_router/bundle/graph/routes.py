"""Routes inside the graph: from the report of every row to the number of its route."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.file.layout import REPORT, Layout
from fairuse_router.bundle.file.places import base_of, codes_of_texts, route_places
from fairuse_router.bundle.graph.blocks import text_codes, unknown_level
from fairuse_router.bundle.graph.builder import Graph
from fairuse_router.groups import GroupSchema
from fairuse_router.routing.table import RoutingTable

UNEQUAL = "inputs_differ_in_their_number_of_rows"


def write_route(graph: Graph, table: RoutingTable, layout: Layout) -> str:
    """Append the route of every row, shape (n,).

    The report is a place in a table over all reports, one axis an attribute. The last place of an
    axis stands for what is no level; there the table points past the last route, at which
    `blocks.by_route` fails.

    Parameters
    ----------
    graph : Graph
    table : RoutingTable
    layout : Layout
    """
    schema = table.schema
    grid, texts = route_places(table, layout)
    if layout.report == "codes" and grid.ndim == 1:
        return _by_codes_in_one_row(graph, grid, table.grid.shape, layout)
    if layout.report == "codes":
        # a negative index counts from the end of an axis, so that -1 is no level, either
        place = graph.op("Max", REPORT, graph.constant(-1, np.int64))  # quicker than Clip
    elif texts is not None:
        place = text_codes(graph, REPORT, texts, np.arange(len(texts) + 1))
    else:
        place = _column_codes(graph, schema)
    routes = graph.constant(grid, np.int64)
    route = graph.op("GatherND", routes, place, name=unknown_level(graph))
    return _as_long_as_features(graph, route, layout)


def _by_codes_in_one_row(
    graph: Graph, routes: NDArray[np.int64], shape: Sequence[int], layout: Layout
) -> str:
    """Route of every row from its codes as the digits of one number, quicker than by GatherND.

    The last digit is no level, and a code of -1 turns into it, by a carry.
    """
    base = base_of(shape)
    codes = graph.cast(REPORT, np.float32)
    ends = [graph.constant(np.float32(end)) for end in (-1, base - 1)]
    worth = graph.constant((base ** np.arange(len(shape))[::-1])[None, :], np.float32)
    place = graph.op("Gemm", worth, graph.op("Clip", codes, *ends), transB=1)
    place = _as_long_as_features(graph, graph.cast(place, np.int32), layout)
    table = graph.constant(routes, np.int64)
    return graph.op("GatherElements", table, place, axis=0, name=unknown_level(graph))


def _column_codes(graph: Graph, schema: GroupSchema) -> str:
    """Codes of the reports, shape (n, k), one attribute at a time."""
    columns = []
    for j, levels in enumerate(schema.levels):
        texts = list(dict.fromkeys(["", *([schema.withheld] if schema.withheld else []), *levels]))
        column = graph.op("Gather", REPORT, graph.constant([j], np.int64), axis=1)
        columns.append(text_codes(graph, column, texts, codes_of_texts(schema, j, texts)))
    return graph.op("Concat", *columns, axis=1)


def _as_long_as_features(graph: Graph, route: str, layout: Layout) -> str:
    """Return the routes; the graph fails where two inputs disagree on the number of rows."""
    rows = same_rows(graph, list(dict.fromkeys(layout.inputs)))
    return graph.op("Reshape", route, rows, allowzero=1, name=UNEQUAL)


def same_rows(graph: Graph, tensors: Sequence[str]) -> str:
    """Number of rows of some tensors, shape (1,); the graph fails where they disagree.

    Concat would not: ONNX Runtime passes over empty tensors, and leaves their columns undefined.
    """
    counts = [graph.op("Shape", tensor, start=0, end=1) for tensor in tensors]
    if len(counts) == 1:
        return counts[0]
    every = graph.op("Concat", *counts, axis=0)
    rows = graph.op("ReduceMax", every, keepdims=1)
    excess = graph.op("Sub", rows, graph.op("ReduceMin", every, keepdims=1))
    return graph.op("Gather", rows, excess, name=graph.label(f"{UNEQUAL}_of_features"))
