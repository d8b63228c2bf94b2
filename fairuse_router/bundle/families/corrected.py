"""Corrected models: one base model for all routes, and a gathered row of corrections for each."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

from fairuse_router.bundle.families.compose import Cells, answer
from fairuse_router.bundle.families.finish import LOGISTIC
from fairuse_router.bundle.families.linear import centre_to_take_off
from fairuse_router.bundle.families.request import Routed
from fairuse_router.bundle.families.walk import nest_of, walk
from fairuse_router.bundle.graph.blocks import Answer, Block, merge, unknown_level
from fairuse_router.bundle.graph.builder import Graph
from fairuse_router.candidates.candidate import ServedModel
from fairuse_router.candidates.corrected import Corrected, has_log_odds
from fairuse_router.candidates.scores import CLIP


def share_base(routed: Routed) -> Routed:
    """Let a correction of generic serve generic's own routes, too, by a row of zeros.

    Every row of a batch is then scored by one model; where other candidates serve as well, or the
    correction is of another model, nothing changes.
    """
    corrected = [s for s in routed.served if isinstance(s.estimator, Corrected)]
    others = [s for s in routed.served if not isinstance(s.estimator, Corrected)]
    if len(corrected) != 1 or len(others) != 1:
        return routed
    model = corrected[0].estimator
    if model.base is not others[0].estimator:
        return routed
    of_route = routed.model_of_route
    own = np.array([isinstance(routed.served[m].estimator, Corrected) for m in of_route])
    shared = model.under_routes(np.arange(len(own)), own.astype(np.float64))
    one = ServedModel(corrected[0].candidate, shared, corrected[0].added, corrected[0].added_names)
    return replace(routed, served=[one], model_of_route=np.zeros_like(of_route))


def one_model_per_route(routed: Routed) -> Routed:
    """Replace a correction of a linear model by one linear model for each of its routes."""
    models: list[ServedModel] = []
    of_route = np.zeros_like(routed.model_of_route)
    index: dict[int, int] = {}
    for route, m in enumerate(routed.model_of_route.tolist()):
        model = routed.served[m]
        blended = _linear(model.estimator, route)
        if blended is not None:
            model, m = ServedModel(model.candidate, blended), -1 - route
        if m not in index:
            index[m] = len(models)
            models.append(model)
        of_route[route] = index[m]
    return replace(routed, served=models, model_of_route=of_route)


def _linear(model: Any, code: int) -> Any:
    """Return the base of a correction with that in its coefficients; None if it is not linear."""
    if not isinstance(model, Corrected):
        return None
    twin = copy.deepcopy(model.base)
    final = nest_of(twin, shallow=True)[1]
    if not (has_log_odds(final) or type(final) in (LinearRegression, Ridge, RidgeCV)):
        return None
    if np.size(final.intercept_) != 1 or np.size(final.coef_) != len(model.fill):
        return None
    scale = 1.0 if _untouched(model)[code] else model.scale
    final.coef_ = scale * final.coef_ + model.table[code, :-1]
    final.intercept_ = scale * final.intercept_ + model.table[code, -1]
    return twin


def answer_corrected(graph: Graph, model: Corrected, block: Block, code: str) -> Answer:
    """Answer by a corrected model; a row of zeros in its table answers as the base model does.

    Parameters
    ----------
    graph : Graph
    model : Corrected
        A regressor, or a classifier of two classes, whose values are probabilities.
    block : tuple of Part
        The base model's columns.
    code : str
        Row of the table for every row, int64, shape (n,).
    """
    final, cells = walk(model.base, Cells(graph, block), shallow=True)
    reached, is_classifier = cells.block, hasattr(model, "classes_")
    untouched = _untouched(model)
    if is_classifier and has_log_odds(final):
        scale = np.where(untouched, 1.0, model.scale)
        return LOGISTIC.write(graph, _blended(graph, model, final, (reached, code), scale))
    added = _dot(graph, model, reached, model.table[:, :-1], model.table[:, -1], code)
    if not is_classifier:
        number = answer(graph, final, reached, "predict").values
        return Answer(values=graph.op("Add", number, added))
    if type(final) is HistGradientBoostingClassifier:  # its scores are its log-odds
        score = answer(graph, final, reached, "decision_function").values
        margin = _of_score(graph, model, score, added)
        if untouched.any():
            rows = graph.op("Gather", graph.constant(untouched[:, None]), code)
            margin = graph.op("Where", rows, score, margin)
        return LOGISTIC.write(graph, margin)
    base = answer(graph, final, reached, "predict_proba")
    own = LOGISTIC.write(graph, _of_proba(graph, model, base.values, added))
    if not untouched.any():
        return own
    plain = graph.op("Gather", graph.constant(untouched), code)
    rows = graph.op("Unsqueeze", plain, graph.constant([1], np.int64))
    label = graph.op("Where", plain, base.label, own.label)
    return Answer(label, graph.op("Where", rows, base.values, own.values))


def corrected_margin(graph: Graph, model: Corrected, block: Block, code: str) -> str:
    """Margin of a corrected classifier, shape (n, 1), generic's scaled under every code."""
    final, cells = walk(model.base, Cells(graph, block), shallow=True)
    reached = cells.block
    if has_log_odds(final):
        scale = np.full(len(model.table), model.scale)
        return _blended(graph, model, final, (reached, code), scale)
    added = _dot(graph, model, reached, model.table[:, :-1], model.table[:, -1], code)
    if type(final) is HistGradientBoostingClassifier:
        score = answer(graph, final, reached, "decision_function").values
        return _of_score(graph, model, score, added)
    proba = answer(graph, final, reached, "predict_proba").values
    return _of_proba(graph, model, proba, added)


def _of_proba(graph: Graph, model: Corrected, proba: str, added: str) -> str:
    """Margin of a base model that gives probabilities, shape (n, 1)."""
    p = graph.op("Clip", proba, graph.numbers(CLIP), graph.numbers(1 - CLIP))
    odds = graph.numbers([[-model.scale], [model.scale]])  # of the second class against the first
    return graph.op("Gemm", graph.op("Log", p), odds, added)


def _of_score(graph: Graph, model: Corrected, score: str, added: str) -> str:
    """Margin of a base model whose scores are log-odds, shape (n, 1)."""
    far = float(logit(1 - CLIP))
    kept = graph.op("Clip", score, graph.numbers(-far), graph.numbers(far))
    return graph.op("Gemm", kept, graph.numbers([[model.scale]]), added)


def _untouched(model: Corrected) -> NDArray[np.bool_]:
    """Codes under which the base model answers alone, shape (R,)."""
    return np.array(~model.table.any(axis=1))


def _blended(
    graph: Graph, model: Corrected, final: Any, asked: tuple[Block, str], scale: NDArray[np.float64]
) -> str:
    """Margin of a linear base: its coefficients, scaled, and the correction's in one row."""
    slopes = scale[:, None] * np.ravel(final.coef_) + model.table[:, :-1]
    intercept = scale * np.ravel(final.intercept_) + model.table[:, -1]
    return _dot(graph, model, asked[0], slopes, intercept, asked[1])


def _dot(
    graph: Graph,
    model: Corrected,
    reached: Block,
    slopes: NDArray[np.float64],
    intercept: NDArray[np.float64],
    code: str,
) -> str:
    """Features times the slopes of each row's code, plus its intercept, shape (n, 1).

    Every row is multiplied by the slopes of all codes, which is quicker than to gather its own.
    """
    features = merge(graph, reached, model).tensor
    centre = centre_to_take_off(slopes.T, model.fill, graph.kind)
    fill = model.fill - centre
    if centre.any():
        features = graph.op("Sub", features, graph.numbers(centre[None, :]))
    missing = graph.op("IsNaN", features)
    features = graph.op("Where", missing, graph.numbers(fill[None, :]), features)
    constant = graph.numbers(intercept + slopes @ centre)
    scores = graph.op("Gemm", features, graph.numbers(slopes.T), constant)
    own = graph.op("Unsqueeze", code, graph.constant([1], np.int64))
    return graph.op("GatherElements", scores, own, axis=1, name=unknown_level(graph))
