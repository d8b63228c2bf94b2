"""Finishes: from scores to labels and probabilities. Models of one finish are finished together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from fairuse_router.bundle.graph.blocks import Answer, best, both_signs, flat, logistic, share
from fairuse_router.bundle.graph.builder import Graph


@dataclass(frozen=True, eq=False)
class Finish:
    """What is made of scores.

    Parameters
    ----------
    write : function of (graph, scores)
        Takes a tensor of shape (n, S) to an answer.
    of_two : bool, default=False
        It gives the probabilities of two classes, of however many scores.
    """

    write: Callable[[Graph, str], Answer]
    of_two: bool = False

    def values(self, width: int) -> int:
        """Values a row, of `width` scores a row."""
        return 2 if self.of_two else width


class Scored:
    """A model that gives scores, of which its finish makes the answer."""

    finish: Finish

    @property
    def width(self) -> int:
        """Scores a row."""
        raise NotImplementedError

    def score(self, graph: Graph, tensor: str) -> str:
        """Append the scores of a tensor of its columns, shape (n, width)."""
        raise NotImplementedError

    def answer(self, graph: Graph, tensor: str) -> Answer:
        """Append the answer for a tensor of its columns."""
        return self.finish.write(graph, self.score(graph, tensor))


def _exp(graph: Graph, scores: str) -> Answer:
    return Answer(values=graph.op("Exp", scores))


def _largest(graph: Graph, scores: str) -> Answer:
    return Answer(best(graph, scores), scores)


def _softmax(graph: Graph, scores: str) -> Answer:
    return Answer(best(graph, scores), graph.op("Softmax", scores, axis=1))


def _sign(graph: Graph, scores: str, above: str = "Greater") -> Answer:
    second = graph.op(above, flat(graph, scores), graph.numbers(0))
    return Answer(graph.cast(second, np.int64), scores)


def _rest(graph: Graph, scores: str) -> Answer:
    # sigmoids divided by their sum, by their logarithms: far off they are all 0 in float32
    logs = graph.op("Neg", graph.op("Softplus", graph.op("Neg", scores)))
    return Answer(best(graph, scores), graph.op("Softmax", logs, axis=1))


def _chances(graph: Graph, scores: str) -> str:
    """Scores clipped to -1 and 1, as parts of the way between."""
    clipped = graph.op("Min", graph.op("Max", scores, graph.numbers(-1)), graph.numbers(1))
    return graph.op("Div", graph.op("Add", clipped, graph.numbers(1)), graph.numbers(2))


def _huber(graph: Graph, scores: str) -> Answer:
    chances = _chances(graph, scores)
    return Answer(best(graph, scores), share(graph, chances))


def _huber_of_two(graph: Graph, scores: str) -> Answer:
    chances = _chances(graph, scores)
    return Answer(_sign(graph, scores).label, both_signs(graph, chances))


def _single_logistic(graph: Graph, scores: str) -> Answer:
    """As `LOGISTIC`, of a model that rounds its probability to float32 before it decides."""
    second = graph.op("Sigmoid", graph.cast(flat(graph, scores), np.float32))
    label = graph.op("Greater", second, graph.constant(np.float32(0.5)))
    column = graph.op("Reshape", second, graph.constant([-1, 1], np.int64))
    return Answer(graph.cast(label, np.int64), both_signs(graph, graph.cast(column, graph.kind)))


@cache
def mean_of_sigmoids(width: int) -> Finish:
    """Probabilities of two classes from the mean of the sigmoids of `width` scores."""

    def write(graph: Graph, scores: str) -> Answer:
        sigmoids, axis = graph.op("Sigmoid", scores), graph.constant([1], np.int64)
        total = graph.op("ReduceSum", sigmoids, axis, keepdims=1)
        both = both_signs(graph, graph.op("Div", total, graph.numbers(width)))
        return Answer(best(graph, both), both)

    return Finish(write, of_two=True)


@cache
def averaged(finish: Finish, count: int) -> Finish:
    """Return a finish of sums that are divided by a count first."""
    return finish if count == 1 else Finish(lambda g, sums: finish.write(g, divide(g, sums, count)))


def divide(graph: Graph, sums: str, count: int) -> str:
    """Divide sums by the number of what was added up."""
    return sums if count == 1 else graph.op("Div", sums, graph.numbers(count))


# regressions
NUMBER = Finish(lambda graph, scores: Answer(values=scores))
EXP = Finish(_exp)
# labels and scores; with one score of two classes, the sign decides
LARGEST = Finish(_largest)
SIGN = Finish(_sign)
SIGN_FROM_ZERO = Finish(lambda graph, scores: _sign(graph, scores, "GreaterOrEqual"))
# labels and probabilities; a margin of 0 means the first class, or "from zero" the second
LOGISTIC = Finish(logistic, of_two=True)
LOGISTIC_FROM_ZERO = Finish(lambda graph, scores: logistic(graph, scores, True), of_two=True)
SINGLE_LOGISTIC = Finish(_single_logistic, of_two=True)
SOFTMAX = Finish(_softmax)
REST = Finish(_rest)  # one class against the rest
HUBER = Finish(_huber)  # stochastic gradient descent with the modified Huber loss
HUBER_OF_TWO = Finish(_huber_of_two, of_two=True)
