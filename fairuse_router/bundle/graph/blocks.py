"""Blocks: the columns of a table inside the graph, numbers and texts side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.graph.builder import ML, Graph


@dataclass(frozen=True)
class Part:
    """Some columns of a table inside the graph.

    Parameters
    ----------
    tensor : str
        Name of a tensor of shape (n, width).
    width : int or None
        Number of columns; None if it is not known before the graph runs.
    text : bool
        Strings; else numbers of the graph's own type.
    """

    tensor: str
    width: int | None
    text: bool = False


Block = tuple[Part, ...]


class Answer(NamedTuple):
    """Names of the tensors that answer all rows, empty for what a model does not say.

    Parameters
    ----------
    label : str, default=""
        Position of the label among the classes, shape (n,); empty of a regression.
    values : str, default=""
        Probabilities of shape (n, K), scores (n, S), or predicted numbers (n, 1).
    """

    label: str = ""
    values: str = ""


def merge(graph: Graph, block: Block, reader: Any) -> Part:
    """Join a block to one tensor; `reader` is the estimator that will read it."""
    if not block:
        raise ValueError(f"{type(reader).__name__} would receive no columns at all")
    if len({part.text for part in block}) > 1:
        raise ValueError(
            f"text and numbers reach {type(reader).__name__} in one table; encode the text columns "
            "first, in a ColumnTransformer. Columns of categories are text, too"
        )
    if len(block) == 1:
        return block[0]
    widths = [part.width for part in block]
    width = None if None in widths else sum(w for w in widths if w is not None)
    tensor = graph.op("Concat", *(part.tensor for part in block), axis=1)
    return Part(tensor, width, block[0].text)


def select(graph: Graph, block: Block, columns: Sequence[int]) -> Block:
    """Columns of a block by position, in the order given."""
    places = [(i, j) for i, part in enumerate(block) for j in range(known_width(part))]
    runs: list[tuple[int, list[int]]] = []
    for c in columns:
        i, j = places[c]
        if runs and runs[-1][0] == i:
            runs[-1][1].append(j)
        else:
            runs.append((i, [j]))
    chosen = []
    for i, inner in runs:
        part = block[i]
        if inner == list(range(known_width(part))):
            chosen.append(part)
        else:
            tensor = graph.op("Gather", part.tensor, graph.constant(inner, np.int64), axis=1)
            chosen.append(Part(tensor, len(inner), part.text))
    return tuple(chosen)


def single_columns(graph: Graph, part: Part) -> Iterator[Part]:
    """The columns of a part, one by one."""
    if part.width == 1:
        yield part
        return
    for j in range(known_width(part)):
        yield Part(column(graph, part.tensor, j), 1, part.text)


def known_width(part: Part) -> int:
    """Width of a part.

    Raises
    ------
    ValueError
        If it is not known before the graph runs.
    """
    if part.width is None:
        raise ValueError("the number of columns of a table inside the estimator is not known")
    return part.width


def column(graph: Graph, values: str, j: int) -> str:
    """One column of a tensor, shape (n, 1)."""
    return graph.op("Gather", values, graph.constant([j], np.int64), axis=1)


def flat(graph: Graph, values: str) -> str:
    """A tensor of n values as shape (n,)."""
    return graph.op("Reshape", values, graph.constant([-1], np.int64))


def best(graph: Graph, values: str) -> str:
    """Position of the largest value of each row, the first of equal ones."""
    return graph.op("ArgMax", values, axis=1, keepdims=0)


def share(graph: Graph, values: str) -> str:
    """Rows of non-negative values divided by their sums; all equal where the sum is zero."""
    total = graph.op("ReduceSum", values, graph.constant([1], np.int64), keepdims=1)
    empty = graph.op("Equal", total, graph.numbers(0))
    values = graph.op("Where", empty, graph.numbers(1), values)
    total = graph.op("ReduceSum", values, graph.constant([1], np.int64), keepdims=1)
    return graph.op("Div", values, total)


def spread(graph: Graph, values: str, own: NDArray[np.int64], n_classes: int) -> str:
    """Put the columns of a model that misses classes into their places; zero elsewhere."""
    if len(own) == n_classes:
        return values
    padded = graph.op("Pad", values, graph.constant([0, 0, 0, 1], np.int64), graph.numbers(0))
    columns = np.full(n_classes, len(own))
    columns[own] = np.arange(len(own))
    return graph.op("Gather", padded, graph.constant(columns, np.int64), axis=1)


def both_signs(graph: Graph, positive: str) -> str:
    """Probabilities of two classes from that of the second, shape (n, 1)."""
    return graph.op("Concat", graph.op("Sub", graph.numbers(1), positive), positive, axis=1)


def text_codes(graph: Graph, tensor: str, texts: Sequence[str], codes: NDArray[np.int64]) -> str:
    """Codes of a tensor of texts; the last code is that of any other text."""
    *known, other = codes.tolist()
    return graph.op(
        "LabelEncoder",
        tensor,
        domain=ML,
        keys_strings=list(texts),
        values_int64s=known,
        default_int64=other,
    )


def two_classes(graph: Graph, score: str, intercept: float, post_transform: str) -> Answer:
    """Label index and values of two classes from ``(intercept - score, score)``, float32 only."""
    outputs = graph.ops(
        "LinearClassifier",
        score,
        n_outputs=2,
        domain=ML,
        coefficients=[-1.0, 1.0],
        intercepts=[intercept, 0.0],
        classlabels_ints=[0, 1],
        multi_class=0,
        post_transform=post_transform,
    )
    return Answer(*outputs)


def logistic(graph: Graph, margin: str, zero_is_second: bool = False) -> Answer:
    """Label index and probabilities of two classes from the margin of the second, shape (n, 1).

    Few nodes, as each of them counts in a batch of one row.
    """
    if graph.kind == np.float32 and not zero_is_second:
        return two_classes(graph, margin, 0.0, "LOGISTIC")
    both = graph.op("MatMul", margin, graph.numbers([[-1, 1]]))
    label = graph.op("ArgMax", both, axis=1, keepdims=0, select_last_index=int(zero_is_second))
    return Answer(label, graph.op("Sigmoid", both))


def unsort(graph: Graph, answers: str, order: str) -> str:
    """Put rows back that were taken in an order: row i of `answers` becomes row ``order[i]``."""
    index = graph.op("Unsqueeze", order, graph.constant([1], np.int64))
    return graph.op("ScatterND", answers, index, answers)  # every row is overwritten


def by_route(graph: Graph, values: NDArray[Any], route: str) -> str:
    """Entry of `values` for the route of every row; fails for a route that does not exist.

    Parameters
    ----------
    graph : Graph
    values : ndarray of shape (n_routes, ...)
        Whole numbers become int64, all other numbers the graph's own type.
    route : str
        Tensor of int64, shape (n,).
    """
    table = graph.constant(values, np.int64) if values.dtype.kind == "i" else graph.numbers(values)
    return graph.op("Gather", table, route, axis=0, name=unknown_level(graph))


def pick_scores(graph: Graph, scores: str, scores_of_route: NDArray[np.int64], route: str) -> str:
    """The scores of every row's own route, shape (n, S); there are none for one that is not there.

    Parameters
    ----------
    graph : Graph
    scores : str
        Scores of all routes, shape (n, n_scores).
    scores_of_route : ndarray of int64, shape (n_routes, S)
    route : str
        Tensor of int64, shape (n,).
    """
    if np.array_equal(scores_of_route, np.arange(len(scores_of_route))[:, None]):
        own = graph.op("Unsqueeze", route, graph.constant([1], np.int64))
    else:
        own = by_route(graph, scores_of_route, route)
    return graph.op("GatherElements", scores, own, axis=1, name=unknown_level(graph))


def unknown_level(graph: Graph) -> str:
    """Name of a node that fails for a route that does not exist."""
    return graph.label("unknown_level_in_report")
