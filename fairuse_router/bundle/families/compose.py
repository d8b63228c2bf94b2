"""Composition: what Pipelines, ColumnTransformers and meta-estimators do, as nodes of a graph.

Only estimators with nothing of their own inside go to skl2onnx; everything that puts estimators
together is written here, so that text columns, names and added columns survive the nesting.
"""

from __future__ import annotations

from typing import Any

from fairuse_router.bundle.families.cells import Cells
from fairuse_router.bundle.families.leaves import answer_leaf
from fairuse_router.bundle.families.meta import CLASSIFIERS
from fairuse_router.bundle.families.regressors import REGRESSORS
from fairuse_router.bundle.families.walk import walk
from fairuse_router.bundle.graph.blocks import Answer, Block
from fairuse_router.bundle.graph.builder import Graph


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
    model, cells = walk(estimator, Cells(graph, block))
    for kind, write in (*CLASSIFIERS, *REGRESSORS):
        if isinstance(model, kind):
            return write(graph, model, cells.block, method, lambda e, b, m: answer(graph, e, b, m))
    return answer_leaf(graph, model, cells.block, method)
