"""Neural nets: one product and one activation a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fairuse_router.bundle.families.finish import EXP, LOGISTIC, NUMBER, SOFTMAX, Finish, Scored
from fairuse_router.bundle.graph.builder import Graph

_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "identity": None}
_FINISHES = {"identity": NUMBER, "exp": EXP, "logistic": LOGISTIC, "softmax": SOFTMAX}


@dataclass(frozen=True, eq=False)
class Net(Scored):
    """A fitted net.

    Parameters
    ----------
    layers : tuple of (ndarray, ndarray)
        Weights and bias of each.
    activation : str or None
        Operator between two layers.
    finish : Finish
    """

    layers: tuple[tuple[NDArray[Any], NDArray[Any]], ...]
    activation: str | None
    finish: Finish

    @property
    def width(self) -> int:
        """Scores a row."""
        return len(self.layers[-1][1])

    def score(self, graph: Graph, tensor: str) -> str:
        """Append the scores of a tensor of its columns, shape (n, S)."""
        for i, (weights, bias) in enumerate(self.layers):
            if i and self.activation is not None:
                tensor = graph.op(self.activation, tensor)
            tensor = graph.op("Gemm", tensor, graph.numbers(weights), graph.numbers(bias))
        return tensor


def net_of(estimator: Any) -> Net | None:
    """Return a fitted net, or None for any other estimator."""
    if type(estimator) not in (MLPClassifier, MLPRegressor):
        return None
    layers = tuple(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    finish = _FINISHES[estimator.out_activation_]
    return Net(layers, _ACTIVATIONS[estimator.activation], finish)
