"""Support vector machines with a kernel in double precision, which the runtime's own lack."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.svm import SVC, SVR, NuSVC, NuSVR

from fairuse_router.bundle.graph.blocks import Answer, best, flat
from fairuse_router.bundle.graph.builder import Graph

_KINDS = (SVC, NuSVC, SVR, NuSVR)


@dataclass(frozen=True)
class KernelMachine:
    """A fitted machine."""

    estimator: Any

    def answer(self, graph: Graph, tensor: str) -> Answer:
        """Append the answer for a tensor of its columns."""
        estimator = self.estimator
        vectors = np.asarray(estimator.support_vectors_, dtype=np.float64)
        alike = _kernel(graph, estimator, tensor, vectors)
        if len(getattr(estimator, "classes_", ())) > 2:
            return _by_pairs(graph, estimator, alike)
        weights = np.reshape(estimator.dual_coef_, (-1, 1))
        bias = np.reshape(estimator.intercept_, 1)
        scores = graph.op("Gemm", alike, graph.numbers(weights), graph.numbers(bias))
        if not hasattr(estimator, "classes_"):
            return Answer(values=scores)
        second = graph.op("GreaterOrEqual", flat(graph, scores), graph.numbers(0))
        return Answer(graph.cast(second, np.int64), scores)


def machine_of(estimator: Any, method: str | None, kind: Any) -> KernelMachine | None:
    """Return a machine in double precision; None for probabilities, or a kernel of the user's."""
    known = type(estimator) in _KINDS and estimator.kernel in ("linear", "poly", "rbf", "sigmoid")
    written = known and method != "predict_proba" and np.dtype(kind) == np.float64
    return KernelMachine(estimator) if written else None


def _by_pairs(graph: Graph, estimator: Any, alike: str) -> Answer:
    """One machine for each pair of classes, which vote; sums of their scores break ties."""
    pairs = list(itertools.combinations(range(len(estimator.classes_)), 2))
    ends = np.cumsum([0, *estimator.n_support_])
    weights = np.zeros((ends[-1], len(pairs)))
    first, second = np.zeros((2, len(pairs), len(estimator.classes_)))
    for p, (i, j) in enumerate(pairs):
        for own, other in ((i, j - 1), (j, i)):
            vectors = slice(ends[own], ends[own + 1])
            weights[vectors, p] = estimator.dual_coef_[other, vectors]
        first[p, i] = second[p, j] = 1
    bias = graph.numbers(estimator.intercept_)
    duels = graph.op("Gemm", alike, graph.numbers(weights), bias)
    zero = graph.numbers(0)

    def count(wins: str) -> str:
        won = graph.op("MatMul", graph.cast(wins, graph.kind), graph.numbers(first - second))
        return graph.op("Add", won, graph.numbers(second.sum(axis=0)))

    label = best(graph, count(graph.op("Greater", duels, zero)))  # as libsvm counts a zero
    if estimator.decision_function_shape == "ovo":
        return Answer(label, duels)
    total = graph.op("MatMul", duels, graph.numbers(first - second))
    size = graph.op("Add", graph.op("Abs", total), graph.numbers(1))
    share = graph.op("Div", total, graph.op("Mul", size, graph.numbers(3)))
    votes = count(graph.op("GreaterOrEqual", duels, zero))  # as scikit-learn counts it
    scores = graph.op("Add", votes, share)
    return Answer(best(graph, scores) if estimator.break_ties else label, scores)


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
