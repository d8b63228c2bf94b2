"""Neural nets: one product and one activation a layer."""

from __future__ import annotations

from typing import Any

from sklearn.neural_network import MLPClassifier, MLPRegressor

from fairuse_router.bundle.families.finish import finish_scores
from fairuse_router.bundle.graph.builder import Graph

_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "identity": None}


def is_net(estimator: Any) -> bool:
    """Whether `answer_net` writes this estimator."""
    return type(estimator) in (MLPClassifier, MLPRegressor)


def finish_of_net(estimator: Any) -> tuple[str, int]:
    """What is made of its scores, see `linear.finish_scores`, and how many there are a row."""
    if type(estimator) is MLPRegressor:
        return "exp" if estimator.out_activation_ == "exp" else "identity", estimator.n_outputs_
    return "logistic" if estimator.n_outputs_ == 1 else "softmax", estimator.n_outputs_


def score_net(graph: Graph, estimator: Any, tensor: str, first: tuple[Any, Any]) -> str:
    """Scores of a fitted net, shape (n, S); `first` are weights and bias of its first layer."""
    activation = _ACTIVATIONS[estimator.activation]
    layers = [first, *zip(estimator.coefs_[1:], estimator.intercepts_[1:], strict=True)]
    for i, (weights, bias) in enumerate(layers):
        if i and activation is not None:
            tensor = graph.op(activation, tensor)
        tensor = graph.op("Gemm", tensor, graph.numbers(weights), graph.numbers(bias))
    return tensor


def answer_net(graph: Graph, estimator: Any, tensor: str) -> list[str]:
    """Label index [n] and probabilities [n, K] of a fitted net; of a regression the values."""
    first = estimator.coefs_[0], estimator.intercepts_[0]
    finish, width = finish_of_net(estimator)
    return finish_scores(graph, score_net(graph, estimator, tensor, first), width, finish)
