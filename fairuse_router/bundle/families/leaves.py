"""Leaves: single fitted estimators, by the family that knows them, else by skl2onnx."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.feature_selection import SelectorMixin

from fairuse_router.bundle.families.columns import Column
from fairuse_router.bundle.families.converted import (
    classify_by_skl2onnx,
    regress_by_skl2onnx,
    transform_by_skl2onnx,
)
from fairuse_router.bundle.families.encoders import ENCODERS, encode
from fairuse_router.bundle.families.kernels import answer_kernel_machine, is_kernel_machine
from fairuse_router.bundle.families.linear import Head, head_of
from fairuse_router.bundle.families.nets import Net, net_of
from fairuse_router.bundle.families.numeric import NUMERIC, transform_numbers
from fairuse_router.bundle.families.trees import in_one_sum, trees_of
from fairuse_router.bundle.graph.blocks import Answer, Block, Part, merge, select
from fairuse_router.bundle.graph.builder import Graph


def transform_leaf(graph: Graph, estimator: Any, block: Block) -> Block:
    """Transform a block by one fitted transformer."""
    if isinstance(estimator, ENCODERS):
        return encode(graph, estimator, block)
    part = merge(graph, block, estimator)
    if isinstance(estimator, SelectorMixin):
        return select(graph, (part,), estimator.get_support(indices=True).tolist())
    if type(estimator) in NUMERIC and not part.text:
        return (Part(*transform_numbers(graph, estimator, part.tensor)),)
    return (transform_by_skl2onnx(graph, estimator, part),)


def answer_leaf(graph: Graph, estimator: Any, block: Block, method: str | None) -> Answer:
    """Answer by one fitted classifier or regressor, see `compose.answer`."""
    part = merge(graph, block, estimator)
    if part.text:
        raise ValueError(
            f"text columns reach {type(estimator).__name__}; encode them first, in a "
            "ColumnTransformer"
        )
    own = _own_answer(graph, estimator, part.tensor, method)
    if own is not None:
        return own
    if method == "predict":
        return regress_by_skl2onnx(graph, estimator, part)
    return classify_by_skl2onnx(graph, estimator, part, method)


def scored_of(estimator: Any, method: str | None) -> Head | Net | None:
    """Return a model that gives scores, of which its finish makes the answer; else None."""
    return head_of(estimator, method) or net_of(estimator)


def _own_answer(graph: Graph, estimator: Any, tensor: str, method: str | None) -> Answer | None:
    """Answer of a model that is written without skl2onnx; None for any other."""
    scored = scored_of(estimator, method)
    if scored is not None:
        return scored.finish.write(graph, scored.score(graph, tensor))
    columns = [Column(j) for j in range(getattr(estimator, "n_features_in_", 0))]
    trees = trees_of(estimator, columns, method, graph.kind)
    if trees is not None:
        trees = in_one_sum(trees, graph.kind)
        return trees.answer(graph, trees.score(graph, tensor))
    if graph.kind == np.float64 and is_kernel_machine(estimator, method):
        return answer_kernel_machine(graph, estimator, tensor)
    return None
