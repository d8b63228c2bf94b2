"""The lattice of reports: from nothing told to everything, and the corrections along it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fairuse_router.groups import Cells, Codes, GroupSchema

MOST_SUBSETS = 31  # of which every one has a fit of its own
MOST_REPORTS = 3000  # of a grid whose partial reports have routes of their own


@dataclass(frozen=True, eq=False)
class Layer:
    """The reports that tell the same attributes.

    Parameters
    ----------
    cells : Cells
        These reports.
    main : ndarray of shape (c, p)
        Dummies of their main effects.
    start : int or None
        Row of the table of corrections at which they begin; None: they have no correction.
    """

    cells: Cells
    main: NDArray[np.float64]
    start: int | None

    @property
    def told(self) -> frozenset[int]:
        """The attributes."""
        return frozenset(self.cells.told)

    def rows_of(self, codes: Codes) -> NDArray[np.int64]:
        """Row in the table for each report of codes [n, k], or -1 where it tells less."""
        cells = self.cells.of(codes)
        return np.where(cells >= 0, (self.start or 0) + cells, -1)


@dataclass(frozen=True, eq=False)
class Lattice:
    """All subsets of the attributes but the empty one, from few answers to many.

    Every subset has a multilevel fit of its own while there are at most 31; above, one or two
    attributes and all of them have.

    Parameters
    ----------
    layers : tuple of Layer
        The last one tells everything: its cells are the groups, and come first in the table.
    schema : GroupSchema
    """

    layers: tuple[Layer, ...]
    schema: GroupSchema

    @classmethod
    def of(cls, schema: GroupSchema) -> Lattice:
        """The lattice of a schema's reports.

        Examples
        --------
        >>> schema = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("<60", "60+")))
        >>> [(layer.cells.told, layer.start) for layer in Lattice.of(schema).layers]
        [((0,), 4), ((1,), 6), ((0, 1), 0)]
        """
        k = len(schema.levels)
        every, dummies = 2**k - 1 <= MOST_SUBSETS, schema.onehot()[0]
        layers, free = [], schema.n_groups
        for told in (c for size in range(1, k + 1) for c in combinations(range(k), size)):
            cells, start = schema.cells(told), None
            if len(told) == k:
                start = 0
            elif every or len(told) <= 2:
                start, free = free, free + len(cells)
            main = dummies[cells.reports]
            layers.append(Layer(cells, main[:, main.any(axis=0)], start))
        return cls(tuple(layers), schema)

    @property
    def full(self) -> Layer:
        """The layer that tells everything."""
        return self.layers[-1]

    @cached_property
    def fitted(self) -> tuple[Layer, ...]:
        """The layers with corrections of their own, the full one last."""
        return tuple(layer for layer in self.layers if layer.start is not None)

    @cached_property
    def row_of_report(self) -> NDArray[np.int64]:
        """Row in the table of corrections of every report of the grid, -1 where it has none."""
        rows = np.full(self.schema.n_reports, -1, dtype=np.int64)
        for layer in self.fitted:
            rows[layer.cells.reports] = (layer.start or 0) + np.arange(len(layer.cells))
        return rows


@dataclass(frozen=True, eq=False)
class Reports:
    """What rows report, and the lattice that their reports are on.

    Parameters
    ----------
    lattice : Lattice
    codes : ndarray of int64, shape (n, k)
    """

    lattice: Lattice
    codes: Codes

    def take(self, rows: NDArray[np.int64]) -> Reports:
        """Return those of some rows."""
        return Reports(self.lattice, self.codes[rows])

    def cells(self, layer: Layer) -> NDArray[np.int64]:
        """Cell of every row in a layer, -1 where it tells less."""
        return layer.cells.of(self.codes)

    @property
    def sent(self) -> NDArray[np.int64]:
        """Number in the grid of every row's report."""
        return self.lattice.schema.report_ids(self.codes)


def why_no_lattice(schema: GroupSchema) -> str | None:
    """Why the partial reports of a schema have no routes of their own, if they have none."""
    if schema.n_reports > MOST_REPORTS:
        return f"there are {schema.n_reports:,} reports, and up to {MOST_REPORTS:,} are weighed"
    return None
