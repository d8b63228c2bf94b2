"""Scores: what models give before labels and probabilities are made of it.

Models of one kind share that last step: each scores its own rows, and all are finished at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairuse_router.bundle.families.columns import Coded, Column, follow
from fairuse_router.bundle.families.compose import Cells
from fairuse_router.bundle.families.finish import NUMBER, Finish
from fairuse_router.bundle.families.fold import fold_numbers
from fairuse_router.bundle.families.leaves import scored_of
from fairuse_router.bundle.families.linear import Head, centre_to_take_off
from fairuse_router.bundle.families.nets import net_of
from fairuse_router.bundle.families.request import Request
from fairuse_router.bundle.families.walk import nest_of, walk
from fairuse_router.bundle.graph.blocks import Block, merge
from fairuse_router.bundle.graph.builder import Graph


def common_finish(estimators: Sequence[Any], request: Request) -> Finish | None:
    """Return the finish that several models share, of equally many scores, or None."""
    classes = request.classes
    if classes is not None and not all(np.array_equal(e.classes_, classes) for e in estimators):
        return None
    found = [scored_of(nest_of(estimator)[1], request.method) for estimator in estimators]
    finishes = {None if model is None else (model.finish, model.width) for model in found}
    return found[0].finish if len(finishes) == 1 and found[0] is not None else None


def score(graph: Graph, estimator: Any, block: Block, method: str | None) -> tuple[str, int]:
    """Append the scores of a model that has a finish, shape (n, S), and return their number S."""
    folded = _score_folded(graph, estimator, block)
    if folded is not None:
        return folded
    model, cells = walk(estimator, Cells(graph, block))
    scored = scored_of(model, method)
    assert scored is not None
    return scored.score(graph, merge(graph, cells.block, model).tensor), scored.width


def _score_folded(graph: Graph, estimator: Any, block: Block) -> tuple[str, int] | None:
    """Scores of a net with the steps in front of it in its first layer, or None."""
    if len(block) > 1 or block[0].text or block[0].width is None:
        return None
    width = block[0].width
    reached = follow(estimator, [Column(j) for j in range(width)])
    net = None if reached is None else net_of(reached[0])
    if reached is None or net is None:
        return None
    if any(isinstance(column, Coded) for column in reached[1]):
        return None
    if graph.kind == np.float64 and any(column.is_far for column in reached[1]):
        return None
    folded = fold_numbers(Head(*net.layers[0], NUMBER), reached[1], width)
    if folded is None or folded.filled.any():
        return None
    used, tensor = np.flatnonzero(folded.used), block[0].tensor
    weights, centre = folded.weights[used], folded.centre[used]
    if len(used) < width:  # what is missing in a column that is not read must not be felt
        tensor = graph.op("Gather", tensor, graph.constant(used, np.int64), axis=1)
    centre = centre_to_take_off(weights, centre, graph.kind)
    if centre.any():
        tensor = graph.op("Sub", tensor, graph.numbers(centre[None, :]))
    first = weights, folded.bias + centre @ weights
    return replace(net, layers=(first, *net.layers[1:])).score(graph, tensor), net.width
