"""Finishes: from scores to labels and probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairuse_router.bundle.graph.blocks import best, both_signs, flat, logistic, share
from fairuse_router.bundle.graph.builder import Graph


def finish_scores(graph: Graph, scores: str, width: int, finish: str) -> list[str]:
    """Label index [n] and values [n, S or K] of scores [n, width]; a regression has values only."""
    if finish == "identity":
        return [scores]
    if finish == "exp":
        return [graph.op("Exp", scores)]
    if finish == "logistic":
        return logistic(graph, scores)
    if finish == "sign":
        return [_sign(graph, scores), scores]
    if finish == "mean":
        sigmoids, axis = graph.op("Sigmoid", scores), graph.constant([1], np.int64)
        total = graph.op("ReduceSum", sigmoids, axis, keepdims=1)
        both = both_signs(graph, graph.op("Div", total, graph.numbers(width)))
        return [best(graph, both), both]
    if finish == "huber":
        return _huber(graph, scores, width)
    if finish == "rest":
        # sigmoids divided by their sum, by their logarithms: far off they are all 0 in float32
        logs = graph.op("Neg", graph.op("Softplus", graph.op("Neg", scores)))
        return [best(graph, scores), graph.op("Softmax", logs, axis=1)]
    return [
        best(graph, scores),
        graph.op("Softmax", scores, axis=1) if finish == "softmax" else scores,
    ]


def _huber(graph: Graph, scores: str, width: int) -> list[str]:
    """Probabilities of stochastic gradient descent with the modified Huber loss."""
    clipped = graph.op("Min", graph.op("Max", scores, graph.numbers(-1)), graph.numbers(1))
    chances = graph.op("Div", graph.op("Add", clipped, graph.numbers(1)), graph.numbers(2))
    if width == 1:
        return [_sign(graph, scores), both_signs(graph, chances)]
    return [best(graph, scores), share(graph, chances)]


def _sign(graph: Graph, scores: str) -> str:
    return graph.cast(graph.op("Greater", flat(graph, scores), graph.numbers(0)), np.int64)


@dataclass(frozen=True)
class Finish:
    """What is made of scores, see `linear.finish_scores`.

    Parameters
    ----------
    name : str
    width : int
        Scores a row.
    """

    name: str
    width: int

    @property
    def values(self) -> int:
        """Values a row."""
        of_two = ("logistic", "mean") if self.width > 1 else ("logistic", "mean", "huber")
        return 2 if self.name in of_two else self.width
