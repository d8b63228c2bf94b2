"""Cells: a table as tensors of a graph, for a walk that writes nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairuse_router.bundle.families.leaves import transform_leaf
from fairuse_router.bundle.graph.blocks import Block, Part, known_width, select
from fairuse_router.bundle.graph.builder import Graph


@dataclass(frozen=True)
class Cells:
    """A block of columns of a graph, see `walk.Table`.

    Parameters
    ----------
    graph : Graph
    block : tuple of Part
    """

    graph: Graph
    block: Block

    def select(self, columns: Sequence[int]) -> Cells:
        """Return some columns, in the order given."""
        return replace(self, block=select(self.graph, self.block, columns))

    def cut(self, n_last: int) -> tuple[Cells, Cells]:
        """Return all but the last columns, and the last."""
        if len(self.block) > 1:
            split = sum(known_width(part) for part in self.block) - n_last
            return self.select(range(split)), self.select(range(split, split + n_last))
        # from the right, as the width may not be known
        graph, part, ends = self.graph, self.block[0], [0, -n_last, np.iinfo(np.int64).max]
        axis = graph.constant([1], np.int64)
        places = [graph.constant([e], np.int64) for e in ends]
        head = graph.op("Slice", part.tensor, places[0], places[1], axis)
        last = graph.op("Slice", part.tensor, places[1], places[2], axis)
        rest = None if part.width is None else part.width - n_last
        parts = Part(head, rest, part.text), Part(last, n_last, part.text)
        return Cells(graph, parts[:1]), Cells(graph, parts[1:])

    def join(self, parts: Iterable[Cells]) -> Cells:
        """Return tables side by side."""
        return replace(self, block=tuple(part for table in parts for part in table.block))

    def weigh(self, weight: float) -> Cells:
        """Return all columns times a number."""
        weights = self.graph.numbers(weight)
        tensors = [self.graph.op("Mul", part.tensor, weights) for part in self.block]
        parts = zip(tensors, self.block, strict=True)
        return replace(self, block=tuple(Part(tensor, part.width) for tensor, part in parts))

    def through(self, step: Any) -> Cells:
        """Return what a transformer with nothing inside makes of the columns."""
        return replace(self, block=transform_leaf(self.graph, step, self.block))
