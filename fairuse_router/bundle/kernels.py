"""Support vector machines with a kernel in double precision, which the runtime's own lack."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.svm import SVC, SVR, NuSVC, NuSVR

from fairuse_router.bundle.blocks import flat
from fairuse_router.bundle.builder import Graph

_KINDS = (SVC, NuSVC, SVR, NuSVR)


def is_kernel_machine(estimator: Any, method: str | None) -> bool:
    """Whether `answer_kernel_machine` writes it: a regressor, or two classes by their scores."""
    return (
        type(estimator) in _KINDS
        and estimator.kernel in ("linear", "poly", "rbf", "sigmoid")
        and (method == "predict" or (method != "predict_proba" and len(estimator.classes_) == 2))
    )


def answer_kernel_machine(graph: Graph, estimator: Any, tensor: str) -> list[str]:
    """Label index [n] and scores [n, 1] of a fitted machine; of a regression the values."""
    vectors = np.asarray(estimator.support_vectors_, dtype=np.float64)
    alike = _kernel(graph, estimator, tensor, vectors)
    weights = np.reshape(estimator.dual_coef_, (-1, 1))
    bias = np.reshape(estimator.intercept_, 1)
    scores = graph.op("Gemm", alike, graph.numbers(weights), graph.numbers(bias))
    if not hasattr(estimator, "classes_"):
        return [scores]
    second = graph.op("GreaterOrEqual", flat(graph, scores), graph.numbers(0))
    return [graph.cast(second, np.int64), scores]


def _kernel(graph: Graph, estimator: Any, tensor: str, vectors: Any) -> str:
    """Kernel of every row with every support vector, shape (n, n_vectors)."""
    inner = graph.op("MatMul", tensor, graph.numbers(vectors.T))
    gamma = graph.numbers(estimator._gamma)
    if estimator.kernel == "linear":
        return inner
    if estimator.kernel == "rbf":
        squares = graph.op("Mul", tensor, tensor)
        length = graph.op("ReduceSum", squares, graph.constant([1], np.int64), keepdims=1)
        lengths = graph.numbers((vectors**2).sum(axis=1)[None, :])
        twice = graph.op("Mul", inner, graph.numbers(2))
        distance = graph.op("Sub", graph.op("Add", length, lengths), twice)
        return graph.op("Exp", graph.op("Neg", graph.op("Mul", distance, gamma)))
    moved = graph.op("Add", graph.op("Mul", inner, gamma), graph.numbers(estimator.coef0))
    if estimator.kernel == "sigmoid":
        return graph.op("Tanh", moved)
    return graph.op("Pow", moved, graph.numbers(estimator.degree))
