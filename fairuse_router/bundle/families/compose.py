"""Composition: what Pipelines, ColumnTransformers and meta-estimators do, as nodes of a graph.

Only estimators with nothing of their own inside go to skl2onnx; everything that puts estimators
together is written here, so that text columns, names and added columns survive the nesting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairuse_router.bundle.families.columns import Column, follow
from fairuse_router.bundle.families.leaves import answer_leaf, transform_leaf
from fairuse_router.bundle.families.meta import CLASSIFIERS
from fairuse_router.bundle.families.regressors import REGRESSORS
from fairuse_router.bundle.families.trees import Trees, in_one_sum, trees_of
from fairuse_router.bundle.families.walk import walk
from fairuse_router.bundle.graph.blocks import Answer, Block, Part, known_width, select
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

    @property
    def are_texts(self) -> list[bool]:
        """Whether each column is one of texts."""
        return [part.text for part in self.block for _ in range(known_width(part))]

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


def answer(graph: Graph, estimator: Any, block: Block, method: str | None) -> Answer:
    """Answer for a block of columns by any fitted classifier or regressor.

    Parameters
    ----------
    graph : Graph
        Nodes are appended to it.
    estimator : fitted classifier or regressor
    block : tuple of Part
        Its input.
    method : {"predict_proba", "decision_function", "predict"} or None
        What is wanted beside the label; ``"predict"`` of a regressor.

    Returns
    -------
    Answer
        Its label is the position in ``estimator.classes_``.
    """
    trees = _trees_behind_steps(graph, estimator, block, method)
    if trees is not None:
        return trees.answer(graph, block[0].tensor)
    model, cells = walk(estimator, Cells(graph, block))
    for kind, write in (*CLASSIFIERS, *REGRESSORS):
        if isinstance(model, kind):
            return write(graph, model, cells.block, method, lambda e, b, m: answer(graph, e, b, m))
    return answer_leaf(graph, model, cells.block, method)


def _trees_behind_steps(
    graph: Graph, estimator: Any, block: Block, method: str | None
) -> Trees | None:
    """Trees with the scalers in front of them taken into their thresholds, or None."""
    if len(block) > 1 or block[0].text or block[0].width is None:
        return None
    reached = follow(estimator, [Column(j) for j in range(block[0].width)])
    found = None if reached is None else trees_of(*reached, method, graph.kind)
    return None if found is None else in_one_sum(found, graph.kind)
