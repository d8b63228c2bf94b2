"""Scores: what models give before labels and probabilities are made of it.

Models of one kind share that last step: each scores its own rows, and all are finished at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.columns import Coded, Column, walk
from fairuse_router.bundle.families.compose import final_estimator, reach
from fairuse_router.bundle.families.finish import Finish
from fairuse_router.bundle.families.fold import fold_numbers
from fairuse_router.bundle.families.linear import Head, centre_to_take_off, head_of
from fairuse_router.bundle.families.nets import finish_of_net, is_net, score_net
from fairuse_router.bundle.graph.blocks import Block, merge
from fairuse_router.bundle.graph.builder import Graph


def common_finish(
    estimators: Sequence[Any], classes: NDArray[Any] | None, method: str | None
) -> Finish | None:
    """Return the finish that several models share, or None.

    Parameters
    ----------
    estimators : sequence of fitted estimators
    classes : ndarray of shape (K,) or None
        The router's classes; None for a regression.
    method : {"predict_proba", "decision_function", "predict"} or None
        What is wanted beside the label.
    """
    if classes is not None and not all(np.array_equal(e.classes_, classes) for e in estimators):
        return None
    found = {_finish_of(final_estimator(estimator), method) for estimator in estimators}
    return found.pop() if len(found) == 1 else None


def _finish_of(final: Any, method: str | None) -> Finish | None:
    if is_net(final):
        return Finish(*finish_of_net(final))
    head = head_of(final, method)
    return None if head is None else Finish(head.finish, len(head.bias))


def score(graph: Graph, estimator: Any, block: Block, method: str | None) -> str:
    """Append the scores of a model that has a finish, shape (n, S)."""
    folded = _score_folded(graph, estimator, block)
    if folded is not None:
        return folded
    final, reached = reach(graph, estimator, block)
    tensor = merge(graph, reached, final).tensor
    if is_net(final):
        return score_net(graph, final, tensor, (final.coefs_[0], final.intercepts_[0]))
    head = head_of(final, method)
    assert head is not None
    return graph.op("Gemm", tensor, graph.numbers(head.weights), graph.numbers(head.bias))


def _score_folded(graph: Graph, estimator: Any, block: Block) -> str | None:
    """Scores of a net with the steps in front of it in its first layer, or None."""
    if len(block) > 1 or block[0].text or block[0].width is None:
        return None
    width = block[0].width
    reached = walk(estimator, [Column(j) for j in range(width)])
    if reached is None or not is_net(reached[0]):
        return None
    net, columns = reached
    if any(isinstance(column, Coded) for column in columns):
        return None
    folded = fold_numbers(Head(net.coefs_[0], net.intercepts_[0], ""), columns, width)
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
    return score_net(graph, net, tensor, first)
