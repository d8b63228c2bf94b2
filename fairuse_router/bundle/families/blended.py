"""Blended models: the margins of several models inside one sub-model, mixed as the route says."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from fairuse_router.bundle.families.compose import answer
from fairuse_router.bundle.families.corrected import answer_corrected, corrected_margin
from fairuse_router.bundle.families.request import Routed, Source, Told
from fairuse_router.bundle.graph.blocks import Answer, Block, Part, by_route, select, spread
from fairuse_router.bundle.graph.builder import Graph
from fairuse_router.candidates.blended import Blended
from fairuse_router.candidates.corrected import Corrected
from fairuse_router.candidates.scores import CLIP, EVEN


def answer_blended(graph: Graph, model: Blended, block: Block, routed: Routed, code: str) -> Answer:
    """Answer by a blended model.

    Parameters
    ----------
    graph : Graph
    model : Blended
    block : tuple of Part
        All features.
    routed : Routed
        Tells what is told to its parts.
    code : str
        Route of every row, int64, shape (n,).
    """
    classes = getattr(model, "classes_", None)
    total = ""
    for j, part in enumerate(model.parts):
        sources = routed.sources(part)
        if isinstance(part.estimator, Corrected):  # which is told the code
            columns = _columns(graph, block, sources[:-1], code)
            own = _corrected(graph, part.estimator, columns, code)
        else:
            columns = _columns(graph, block, sources, code)
            own = _margin(graph, part.estimator, columns, classes)
        weight = by_route(graph, model.weights[:, [j]], code)
        own = graph.op("Mul", own, weight)
        total = graph.op("Add", total, own) if total else own
    if model.intercept is not None:  # of the second class
        columns_of = [] if classes is None else [np.zeros(len(model.intercept))]
        added = np.column_stack([*columns_of, model.intercept])
        total = graph.op("Add", total, by_route(graph, added, code))
    if classes is None:
        return Answer(values=total)
    return Answer(_first_of_even(graph, total), graph.op("Softmax", total, axis=1))


def _columns(graph: Graph, block: Block, sources: Sequence[Source], code: str) -> Block:
    """What one of the models reads: features, and what its route tells."""
    parts: list[Part] = []
    for is_told, group in groupby(sources, key=lambda source: isinstance(source, Told)):
        if is_told:
            parts += [_told(graph, source, code) for source in group if isinstance(source, Told)]
        else:
            features = [source for source in group if not isinstance(source, Told)]
            parts += select(graph, block, features)
    return tuple(parts)


def _told(graph: Graph, told: Told, code: str) -> Part:
    if told.numeric:
        return Part(by_route(graph, told.values.astype(np.float64)[:, None], code), 1)
    texts = graph.constant(told.values[:, None], object)
    return Part(graph.op("Gather", texts, code, axis=0), 1, text=True)


def _corrected(graph: Graph, model: Corrected, block: Block, code: str) -> str:
    """Margins of a corrected model: (n, 2), that of the first class being 0, or (n, 1)."""
    if not hasattr(model, "classes_"):
        return answer_corrected(graph, model, block, code).values
    return graph.op("MatMul", corrected_margin(graph, model, block, code), graph.numbers([[0, 1]]))


def _margin(graph: Graph, estimator: Any, block: Block, classes: Any) -> str:
    """Log-probabilities of all classes (n, K), or the prediction of a regression (n, 1)."""
    if classes is None:
        return answer(graph, estimator, block, "predict").values
    own = np.searchsorted(classes, estimator.classes_)
    proba = answer(graph, estimator, block, "predict_proba").values
    proba = spread(graph, proba, own, len(classes))
    kept = graph.op("Clip", proba, graph.numbers(CLIP), graph.numbers(1 - CLIP))
    return graph.op("Log", kept)


def _first_of_even(graph: Graph, margins: str) -> str:
    """Position of the largest margin, the first of those that are even up to rounding."""
    place = graph.op("ArgMax", margins, axis=1, keepdims=1)
    largest = graph.op("GatherElements", margins, place, axis=1)
    least = graph.op("Sub", largest, graph.numbers(EVEN))
    even = graph.cast(graph.op("GreaterOrEqual", margins, least), np.int64)
    return graph.op("ArgMax", even, axis=1, keepdims=0)
