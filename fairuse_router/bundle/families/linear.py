"""Linear models: one product, and the rule that turns its scores into labels or predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
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

from fairuse_router.bundle.families.finish import finish_scores
from fairuse_router.bundle.graph.builder import Graph

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

# folding a scaler of centre c into a weight w loses w * c units in the last place; above these
# the centre is taken off the rows first, so that less than 1e-6 or 1e-14 is lost
_LARGEST_OFFSET = {np.dtype(np.float32): 16.0, np.dtype(np.float64): 100.0}


@dataclass(frozen=True, eq=False)
class Head:
    """A linear model: scores = columns @ weights + bias, and what is made of the scores.

    Parameters
    ----------
    weights : ndarray of shape (width, S)
    bias : ndarray of shape (S,)
    finish : str
        ``"logistic"`` (S = 1), ``"softmax"``, ``"rest"`` (one against the rest: sigmoids, divided
        by their sum), ``"huber"`` (scores clipped to -1 and 1 in place of the sigmoids) and
        ``"mean"`` (the mean of S sigmoids) give labels and probabilities;
        ``"sign"`` (S = 1) and ``"largest"`` labels and the scores; ``"identity"`` and ``"exp"``
        are regressions.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    finish: str


def head_of(estimator: Any, method: str | None) -> Head | None:
    """Return the head of a fitted linear model, or None for any other estimator.

    Parameters
    ----------
    estimator : fitted estimator
    method : {"predict_proba", "decision_function", "predict"} or None
        What is wanted beside the label; ``"predict"`` for a regressor.
    """
    if type(estimator) in LINEAR_REGRESSORS:
        finish = "exp" if _has_log_link(estimator) else "identity"
        return Head(
            np.reshape(estimator.coef_, (-1, 1)), np.reshape(estimator.intercept_, 1), finish
        )
    if type(estimator) not in LINEAR:  # a subclass may decide otherwise
        return None
    weights = np.atleast_2d(estimator.coef_).T
    bias = np.broadcast_to(np.ravel(estimator.intercept_), (weights.shape[1],))
    if method != "predict_proba":
        return Head(weights, bias, "sign" if weights.shape[1] == 1 else "largest")
    if getattr(estimator, "loss", None) == "modified_huber":
        return Head(weights, bias, "huber")
    if weights.shape[1] == 1:
        return Head(weights, bias, "logistic")
    return Head(weights, bias, "softmax" if isinstance(estimator, _BY_SOFTMAX) else "rest")


def centre_to_take_off(
    weights: NDArray[np.float64], centre: NDArray[np.float64], kind: Any
) -> NDArray[np.float64]:
    """What to take off the columns before a product, shape (d,).

    Nothing, where their offset costs single or double precision nothing that counts.

    Parameters
    ----------
    weights : ndarray of shape (d, S)
    centre : ndarray of shape (d,)
        What scalers take for 0.
    kind : {numpy.float32, numpy.float64}
    """
    if np.abs(weights * centre[:, None]).sum(axis=0).max() <= _LARGEST_OFFSET[np.dtype(kind)]:
        return np.zeros_like(centre)
    return centre.astype(kind).astype(np.float64)


def answer_head(graph: Graph, head: Head, tensor: str) -> list[str]:
    """Answer by a head from a tensor of its columns: see `finish_scores`."""
    scores = graph.op("Gemm", tensor, graph.numbers(head.weights), graph.numbers(head.bias))
    return finish_scores(graph, scores, len(head.bias), head.finish)


def _has_log_link(estimator: Any) -> bool:
    if type(estimator) is not TweedieRegressor:
        return type(estimator) in _BY_EXP
    if estimator.link == "auto":
        return bool(estimator.power > 0)
    return bool(estimator.link == "log")
