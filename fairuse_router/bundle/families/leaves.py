"""Leaves: single fitted estimators, by the family that knows them, else by skl2onnx."""

from __future__ import annotations

from typing import Any

from sklearn.feature_selection import SelectorMixin

from fairuse_router.bundle.families.converted import (
    classify_by_skl2onnx,
    regress_by_skl2onnx,
    transform_by_skl2onnx,
)
from fairuse_router.bundle.families.encoders import ENCODERS, encode
from fairuse_router.bundle.families.finish import Scored
from fairuse_router.bundle.families.kernels import machine_of
from fairuse_router.bundle.families.linear import head_of
from fairuse_router.bundle.families.nets import net_of
from fairuse_router.bundle.families.numeric import NUMERIC, transform_numbers
from fairuse_router.bundle.families.trees import trees_alone
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
    own = (
        scored_of(estimator, method)
        or trees_alone(estimator, method, graph.kind)
        or machine_of(estimator, method, graph.kind)
    )
    if own is not None:
        return own.answer(graph, part.tensor)
    if method == "predict":
        return regress_by_skl2onnx(graph, estimator, part)
    return classify_by_skl2onnx(graph, estimator, part, method)


def scored_of(estimator: Any, method: str | None) -> Scored | None:
    """Return a model that gives scores, of which its finish makes the answer; else None."""
    return head_of(estimator, method) or net_of(estimator)
