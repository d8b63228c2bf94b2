"""Where in the graph's table of routes each report stands: what writes it and what asks it know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.file.layout import Layout
from fairuse_router.groups import GroupSchema
from fairuse_router.routing.grid import RoutingGrid

_LARGEST_GRID = 50_000  # entries of a table with room to spare; a larger one has just its own


def route_places(
    table: RoutingGrid, layout: Layout, grid: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], list[str] | None]:
    """Return the table of routes as the graph holds it, and the texts that its axes stand for.

    Another `grid` of its routes may stand in the place of its own. The texts are None where the
    axes stand for codes. The last place of each is no level. Of codes the table is one row, unless
    that is too large: every code counts as a digit of one base.
    """
    schema, missing = table.schema, len(table.routes)
    own = table.grid if grid is None else grid
    grid = np.pad(own, [(0, 1)] * own.ndim, constant_values=missing)
    if layout.report == "codes":
        base = base_of(table.grid.shape)
        if base**grid.ndim > _LARGEST_GRID:
            return grid, None
        wider = [(0, base - size) for size in grid.shape]
        return np.pad(grid, wider, constant_values=missing).ravel(), None
    texts = list(dict.fromkeys(["", *(level for levels in schema.levels for level in levels)]))
    if schema.withheld and schema.withheld not in texts:
        texts.append(schema.withheld)
    if (len(texts) + 1) ** len(schema.levels) > _LARGEST_GRID:
        return grid, None
    places = [codes_of_texts(schema, j, texts) for j in range(len(schema.levels))]
    return grid[np.ix_(*places)], texts


def base_of(shape: Sequence[int]) -> int:
    """Base in which the codes of all attributes are digits, and one more that is no level."""
    return max(shape) + 1


def codes_of_texts(schema: GroupSchema, j: int, texts: Sequence[str]) -> NDArray[np.int64]:
    """Code in attribute j of each text, and of any other text last."""
    code = {level: i + 1 for i, level in enumerate(schema.levels[j])}
    code |= {mark: 0 for mark in ("", schema.withheld) if mark is not None}
    unknown = 0 if schema.handle_unknown == "withhold" else schema.shape[j]
    return np.array([*(code.get(text, unknown) for text in texts), unknown], dtype=np.int64)
