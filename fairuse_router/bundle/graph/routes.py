"""Routes inside the graph: from the report of every row to the number of its route."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.file.layout import REPORT, Layout
from fairuse_router.bundle.graph.blocks import text_codes, unknown_level
from fairuse_router.bundle.graph.builder import Graph
from fairuse_router.groups import GroupSchema
from fairuse_router.routing.table import RoutingTable

UNEQUAL = "inputs_differ_in_their_number_of_rows"
_LARGEST_GRID = 50_000  # entries of a table with room to spare; a larger one has just its own


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


def route_places(table: RoutingTable, layout: Layout) -> tuple[NDArray[np.int64], list[str] | None]:
    """Return the table of routes as the graph holds it, and the texts that its axes stand for.

    The texts are None where the axes stand for codes. The last place of each is no level. Of codes
    the table is one row, unless that is too large: every code counts as a digit of one base.
    """
    schema, missing = table.schema, len(table.routes)
    grid = np.pad(table.grid, [(0, 1)] * table.grid.ndim, constant_values=missing)
    if layout.report == "codes":
        base = _base(table.grid.shape)
        if base**grid.ndim > _LARGEST_GRID:
            return grid, None
        wider = [(0, base - size) for size in grid.shape]
        return np.pad(grid, wider, constant_values=missing).ravel(), None
    texts = list(dict.fromkeys(["", *(level for levels in schema.levels for level in levels)]))
    if schema.withheld and schema.withheld not in texts:
        texts.append(schema.withheld)
    if (len(texts) + 1) ** len(schema.levels) > _LARGEST_GRID:
        return grid, None
    places = [_codes(schema, j, texts) for j in range(len(schema.levels))]
    return grid[np.ix_(*places)], texts


def _base(shape: Sequence[int]) -> int:
    """Base in which the codes of all attributes are digits, and one more that is no level."""
    return max(shape) + 1


def _by_codes_in_one_row(
    graph: Graph, routes: NDArray[np.int64], shape: Sequence[int], layout: Layout
) -> str:
    """Route of every row from its codes as the digits of one number, quicker than by GatherND.

    The last digit is no level, and a code of -1 turns into it, by a carry.
    """
    base = _base(shape)
    codes = graph.cast(REPORT, np.float32)
    ends = [graph.constant(np.float32(end)) for end in (-1, base - 1)]
    worth = graph.constant((base ** np.arange(len(shape))[::-1])[None, :], np.float32)
    place = graph.op("Gemm", worth, graph.op("Clip", codes, *ends), transB=1)
    place = _as_long_as_features(graph, graph.cast(place, np.int32), layout)
    table = graph.constant(routes, np.int64)
    return graph.op("GatherElements", table, place, axis=0, name=unknown_level(graph))


def _codes(schema: GroupSchema, j: int, texts: Sequence[str]) -> NDArray[np.int64]:
    """Code in attribute j of each text, and of any other text last."""
    code = {level: i + 1 for i, level in enumerate(schema.levels[j])}
    code |= {mark: 0 for mark in ("", schema.withheld) if mark is not None}
    unknown = 0 if schema.handle_unknown == "withhold" else schema.shape[j]
    return np.array([*(code.get(text, unknown) for text in texts), unknown], dtype=np.int64)


def _column_codes(graph: Graph, schema: GroupSchema) -> str:
    """Codes of the reports, shape (n, k), one attribute at a time."""
    columns = []
    for j, levels in enumerate(schema.levels):
        texts = list(dict.fromkeys(["", *([schema.withheld] if schema.withheld else []), *levels]))
        column = graph.op("Gather", REPORT, graph.constant([j], np.int64), axis=1)
        columns.append(text_codes(graph, column, texts, _codes(schema, j, texts)))
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
