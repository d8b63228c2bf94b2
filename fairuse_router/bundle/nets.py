"""Neural nets: one product and one activation a layer."""

from __future__ import annotations

from typing import Any

from sklearn.neural_network import MLPClassifier, MLPRegressor

from fairuse_router.bundle.blocks import best, logistic
from fairuse_router.bundle.builder import Graph

_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "identity": None}


def is_net(estimator: Any) -> bool:
    """Whether `answer_net` writes this estimator."""
    return type(estimator) in (MLPClassifier, MLPRegressor)


def answer_net(graph: Graph, estimator: Any, tensor: str) -> list[str]:
    """Label index [n] and probabilities [n, K] of a fitted net; of a regression the values."""
    activation = _ACTIVATIONS[estimator.activation]
    *hidden, last = zip(estimator.coefs_, estimator.intercepts_, strict=True)
    for weights, bias in hidden:
        tensor = graph.op("Gemm", tensor, graph.numbers(weights), graph.numbers(bias))
        tensor = tensor if activation is None else graph.op(activation, tensor)
    scores = graph.op("Gemm", tensor, *(graph.numbers(array) for array in last))
    if type(estimator) is MLPRegressor:
        return [graph.op("Exp", scores) if estimator.out_activation_ == "exp" else scores]
    if estimator.n_outputs_ == 1:
        return logistic(graph, scores)
    return [best(graph, scores), graph.op("Softmax", scores, axis=1)]
