"""Corrected models: one base model for all routes, and a gathered row of corrections for each."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

from fairuse_router.bundle.families.compose import classify, final_estimator, reach, regress
from fairuse_router.bundle.families.finish import finish_scores
from fairuse_router.bundle.families.linear import centre_to_take_off
from fairuse_router.bundle.graph.blocks import Answer, Block, merge, unknown_level
from fairuse_router.bundle.graph.builder import Graph
from fairuse_router.candidates.candidate import ServedModel
from fairuse_router.candidates.corrected import CLIP, Corrected, has_log_odds


def share_base(
    served: Sequence[ServedModel], model_of_route: NDArray[np.int64]
) -> tuple[list[ServedModel], NDArray[np.int64]]:
    """Let a correction of generic serve generic's own routes, too, by a row of zeros.

    Every row of a batch is then scored by one model; where other candidates serve as well, or the
    correction is of another model, nothing changes.
    """
    corrected = [s for s in served if isinstance(s.estimator, Corrected)]
    others = [s for s in served if not isinstance(s.estimator, Corrected)]
    if len(corrected) != 1 or len(others) != 1:
        return list(served), model_of_route
    model = corrected[0].estimator
    if model.base is not others[0].estimator:
        return list(served), model_of_route
    own = np.array([isinstance(served[m].estimator, Corrected) for m in model_of_route])
    shared = model.under_routes(np.arange(len(own)), own.astype(np.float64))
    one = ServedModel(corrected[0].candidate, shared, corrected[0].added, corrected[0].added_names)
    return [one], np.zeros_like(model_of_route)


def one_model_per_route(
    served: Sequence[ServedModel], model_of_route: NDArray[np.int64]
) -> tuple[list[ServedModel], NDArray[np.int64]]:
    """Replace a correction of a linear model by one linear model for each of its routes."""
    models: list[ServedModel] = []
    of_route = np.zeros_like(model_of_route)
    index: dict[int, int] = {}
    for route, m in enumerate(model_of_route.tolist()):
        model = served[m]
        blended = (
            _linear(model.estimator, route) if isinstance(model.estimator, Corrected) else None
        )
        if blended is not None:
            models.append(ServedModel(model.candidate, blended))
        elif m not in index:
            index[m] = len(models)
            models.append(model)
        of_route[route] = len(models) - 1 if blended is not None else index[m]
    return models, of_route


def _linear(model: Corrected, code: int) -> Any:
    """Return the base model with one correction in its coefficients, if it is linear, else None."""
    twin = copy.deepcopy(model.base)
    final = final_estimator(twin)
    if not (has_log_odds(final) or type(final) in (LinearRegression, Ridge, RidgeCV)):
        return None
    if np.size(final.intercept_) != 1 or np.size(final.coef_) != len(model.fill):
        return None
    scale = 1.0 if _untouched(model)[code] else model.scale
    final.coef_ = scale * final.coef_ + model.table[code, :-1]
    final.intercept_ = scale * final.intercept_ + model.table[code, -1]
    return twin


def classify_corrected(graph: Graph, model: Corrected, block: Block, code: str) -> Answer:
    """Label index [n] and probabilities [n, 2]; a row of zeros answers as the base model does.

    Parameters
    ----------
    graph : Graph
    model : Corrected
    block : tuple of Part
        The base model's columns.
    code : str
        Row of the table for every row, int64, shape (n,).
    """
    final, reached = reach(graph, model.base, block)
    if has_log_odds(final):
        return _answer(graph, _blended(graph, model, final, reached, code))
    added = _dot(graph, model, reached, model.table[:, :-1], model.table[:, -1], code)
    if type(final) is HistGradientBoostingClassifier:  # its scores are its log-odds
        return _answer(graph, _corrected_score(graph, model, final, reached, added, code))
    label, proba = classify(graph, final, reached, "predict_proba")
    assert proba is not None
    p = graph.op("Clip", proba, graph.numbers(CLIP), graph.numbers(1 - CLIP))
    odds = graph.numbers([[-model.scale], [model.scale]])  # of the second class against the first
    margin = graph.op("Gemm", graph.op("Log", p), odds, added)
    own_label, own_proba = _answer(graph, margin)
    untouched = _untouched(model)
    if not untouched.any():
        return own_label, own_proba
    plain = graph.op("Gather", graph.constant(untouched), code)
    rows = graph.op("Unsqueeze", plain, graph.constant([1], np.int64))
    return (
        graph.op("Where", plain, label, own_label),
        graph.op("Where", rows, proba, own_proba),
    )


def _corrected_score(
    graph: Graph, model: Corrected, final: Any, reached: Block, added: str, code: str
) -> str:
    """Margin of a base model whose scores are log-odds, shape (n, 1)."""
    _, score = classify(graph, final, reached, "decision_function")
    assert score is not None
    far = float(logit(1 - CLIP))
    kept = graph.op("Clip", score, graph.numbers(-far), graph.numbers(far))
    margin = graph.op("Gemm", kept, graph.numbers([[model.scale]]), added)
    untouched = _untouched(model)
    if not untouched.any():
        return margin
    rows = graph.op("Gather", graph.constant(untouched[:, None]), code)
    return graph.op("Where", rows, score, margin)


def _untouched(model: Corrected) -> NDArray[np.bool_]:
    """Codes under which the base model answers alone, shape (R,)."""
    return np.array(~model.table.any(axis=1))


def regress_corrected(graph: Graph, model: Corrected, block: Block, code: str) -> str:
    """Predicted numbers, shape (n, 1); for `block` and `code` see `classify_corrected`."""
    final, reached = reach(graph, model.base, block)
    added = _dot(graph, model, reached, model.table[:, :-1], model.table[:, -1], code)
    return graph.op("Add", regress(graph, final, reached), added)


def _blended(graph: Graph, model: Corrected, final: Any, reached: Block, code: str) -> str:
    """Margin of a linear base: its coefficients and the correction's in one row."""
    scale = np.where(_untouched(model), 1.0, model.scale)
    slopes = scale[:, None] * np.ravel(final.coef_) + model.table[:, :-1]
    intercept = scale * np.ravel(final.intercept_) + model.table[:, -1]
    return _dot(graph, model, reached, slopes, intercept, code)


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


def _answer(graph: Graph, margin: str) -> tuple[str, str]:
    label, proba = finish_scores(graph, margin, 1, "logistic")
    return label, proba
