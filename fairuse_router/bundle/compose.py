"""Composition: what Pipelines, ColumnTransformers and meta-estimators do, as nodes of a graph.

Only estimators with nothing of their own inside go to skl2onnx; everything that puts estimators
together is written here, so that text columns, names and added columns survive the nesting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import RFE, SelectorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier

from fairuse_router.bundle.blocks import Answer, Block, Part, known_width, merge, select
from fairuse_router.bundle.builder import Graph
from fairuse_router.bundle.leaves import classify_leaf, transform_leaf
from fairuse_router.bundle.meta import find_composer
from fairuse_router.injection import KeepLast


def transform(graph: Graph, estimator: Any, block: Block) -> Block:
    """Transform a block of columns by any fitted transformer.

    Parameters
    ----------
    graph : Graph
        Nodes are appended to it.
    estimator : fitted transformer, "passthrough" or None
    block : tuple of Part
        Its input.

    Returns
    -------
    tuple of Part
    """
    if estimator is None or (isinstance(estimator, str) and estimator == "passthrough"):
        return block
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            block = transform(graph, step, block)
        return block
    if isinstance(estimator, FrozenEstimator):
        return transform(graph, estimator.estimator, block)
    if isinstance(estimator, KeepLast):
        head, last = cut(graph, block, estimator.n_last)
        return transform(graph, estimator.transformer_, head) + last
    if isinstance(estimator, ColumnTransformer):
        return _transform_columns(graph, estimator, block)
    if isinstance(estimator, FeatureUnion):
        return _transform_union(graph, estimator, block)
    if isinstance(estimator, FunctionTransformer) and estimator.func is None:
        return block
    if isinstance(estimator, SelectorMixin):
        table = merge(graph, block, estimator)
        return select(graph, (table,), estimator.get_support(indices=True).tolist())
    return transform_leaf(graph, estimator, block)


def classify(graph: Graph, estimator: Any, block: Block, method: str | None) -> Answer:
    """Classify a block of columns by any fitted classifier.

    Parameters
    ----------
    graph : Graph
        Nodes are appended to it.
    estimator : fitted classifier
    block : tuple of Part
        Its input.
    method : {"predict_proba", "decision_function"} or None
        What is wanted beside the label.

    Returns
    -------
    label : str
        Tensor of shape (n,): position of the label in ``estimator.classes_``.
    values : str or None
        Probabilities of shape (n, K), or scores of shape (n, S) with S = 1 for two classes.
    """
    if isinstance(estimator, Pipeline):
        *before, (_, final) = estimator.steps
        for _, step in before:
            block = transform(graph, step, block)
        return classify(graph, final, block, method)
    if isinstance(estimator, FrozenEstimator):
        return classify(graph, estimator.estimator, block, method)
    if hasattr(estimator, "best_estimator_"):  # a search
        return classify(graph, estimator.best_estimator_, block, method)
    if isinstance(estimator, SelfTrainingClassifier):
        return classify(graph, estimator.estimator_, block, method)
    if isinstance(estimator, RFE):
        chosen = select(graph, block, estimator.get_support(indices=True).tolist())
        return classify(graph, estimator.estimator_, chosen, method)
    compose = find_composer(estimator)
    if compose is None:
        return classify_leaf(graph, estimator, block, method)
    return compose(graph, estimator, block, method, lambda e, b, m: classify(graph, e, b, m))


def final_estimator(estimator: Any) -> Any:
    """The final step of Pipelines and searches."""
    while isinstance(estimator, Pipeline) or hasattr(estimator, "best_estimator_"):
        inside = isinstance(estimator, Pipeline)
        estimator = estimator.steps[-1][1] if inside else estimator.best_estimator_
    return estimator


def reach(graph: Graph, estimator: Any, block: Block) -> tuple[Any, Block]:
    """The final step of Pipelines and searches, and the columns as they reach it."""
    while True:
        if isinstance(estimator, Pipeline):
            for _, step in estimator.steps[:-1]:
                block = transform(graph, step, block)
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator, block


def cut(graph: Graph, block: Block, n_last: int) -> tuple[Block, Block]:
    """All but the last columns of a block, and the last."""
    if len(block) == 1:  # from the right, as the width may not be known
        part, ends = block[0], [0, -n_last, np.iinfo(np.int64).max]
        axis = graph.constant([1], np.int64)
        places = [graph.constant([e], np.int64) for e in ends]
        head = graph.op("Slice", part.tensor, places[0], places[1], axis)
        last = graph.op("Slice", part.tensor, places[1], places[2], axis)
        rest = None if part.width is None else part.width - n_last
        return (Part(head, rest, part.text),), (Part(last, n_last, part.text),)
    split = sum(known_width(part) for part in block) - n_last
    return select(graph, block, range(split)), select(graph, block, range(split, split + n_last))


def _transform_columns(graph: Graph, estimator: ColumnTransformer, block: Block) -> Block:
    weights = estimator.transformer_weights or {}
    parts: list[Part] = []
    for name, inner, _ in estimator.transformers_:
        columns = list(estimator._transformer_to_input_indices[name])
        if not columns or (isinstance(inner, str) and inner == "drop"):
            continue
        chosen = transform(graph, inner, select(graph, block, columns))
        parts.extend(_weigh(graph, chosen, weights.get(name)))
    return tuple(parts)


def _transform_union(graph: Graph, estimator: FeatureUnion, block: Block) -> Block:
    weights = estimator.transformer_weights or {}
    parts: list[Part] = []
    for name, inner in estimator.transformer_list:
        if not (isinstance(inner, str) and inner == "drop"):
            parts.extend(_weigh(graph, transform(graph, inner, block), weights.get(name)))
    return tuple(parts)


def _weigh(graph: Graph, block: Block, weight: float | None) -> Block:
    if weight is None:
        return block
    return tuple(
        Part(graph.op("Mul", part.tensor, graph.numbers(weight)), part.width) for part in block
    )
