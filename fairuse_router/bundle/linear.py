"""Linear models: one product, and the rule that turns scores into labels or predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    ARDRegression,
    BayesianRidge,
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lars,
    LarsCV,
    Lasso,
    LassoCV,
    LassoLars,
    LassoLarsCV,
    LassoLarsIC,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    OrthogonalMatchingPursuit,
    OrthogonalMatchingPursuitCV,
    Perceptron,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
    TheilSenRegressor,
    TweedieRegressor,
)
from sklearn.svm import LinearSVC, LinearSVR

from fairuse_router.bundle.blocks import Answer, best, both_signs, flat, share
from fairuse_router.bundle.builder import Graph

_BY_SOFTMAX = (LogisticRegression, LogisticRegressionCV, LinearDiscriminantAnalysis)
LINEAR = (*_BY_SOFTMAX, RidgeClassifier, RidgeClassifierCV, LinearSVC, Perceptron, SGDClassifier)

_BY_EXP = (PoissonRegressor, GammaRegressor, TweedieRegressor)
LINEAR_REGRESSORS = (
    *_BY_EXP,
    *(ARDRegression, BayesianRidge, ElasticNet, ElasticNetCV, HuberRegressor, Lars, LarsCV),
    *(Lasso, LassoCV, LassoLars, LassoLarsCV, LassoLarsIC, LinearRegression, LinearSVR),
    *(OrthogonalMatchingPursuit, OrthogonalMatchingPursuitCV, QuantileRegressor, Ridge, RidgeCV),
    *(SGDRegressor, TheilSenRegressor),
)


def is_linear(estimator: Any, method: str | None) -> bool:
    """Whether `classify_linear` writes this estimator with this method."""
    if type(estimator) not in LINEAR:  # a subclass may decide otherwise
        return False
    huber = getattr(estimator, "loss", None) == "modified_huber"
    return not (huber and method == "predict_proba")


def classify_linear(graph: Graph, estimator: Any, tensor: str, method: str | None) -> Answer:
    """Label index, and probabilities or scores, of a fitted linear classifier."""
    weights = np.atleast_2d(estimator.coef_).T
    bias = np.broadcast_to(np.ravel(estimator.intercept_), (weights.shape[1],))
    scores = graph.op("Gemm", tensor, graph.numbers(weights), graph.numbers(bias))
    if weights.shape[1] > 1:
        label = best(graph, scores)
    else:
        label = graph.cast(graph.op("Greater", flat(graph, scores), graph.numbers(0)), np.int64)
    if method != "predict_proba":
        return label, scores
    if weights.shape[1] > 1 and isinstance(estimator, _BY_SOFTMAX):
        return label, graph.op("Softmax", scores, axis=1)
    positive = graph.op("Sigmoid", scores)
    if weights.shape[1] > 1:  # one against the rest
        return label, share(graph, positive)
    return label, both_signs(graph, positive)


def regress_linear(graph: Graph, estimator: Any, tensor: str) -> str:
    """Predictions of a fitted linear or generalized linear regressor, shape (n, 1)."""
    weights = np.reshape(estimator.coef_, (-1, 1))
    bias = np.reshape(estimator.intercept_, 1)
    scores = graph.op("Gemm", tensor, graph.numbers(weights), graph.numbers(bias))
    return graph.op("Exp", scores) if _has_log_link(estimator) else scores


def _has_log_link(estimator: Any) -> bool:
    if type(estimator) is not TweedieRegressor:
        return type(estimator) in _BY_EXP
    if estimator.link == "auto":
        return bool(estimator.power > 0)
    return bool(estimator.link == "log")
