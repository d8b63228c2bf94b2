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

from fairuse_router.bundle.families.finish import (
    EXP,
    HUBER,
    HUBER_OF_TWO,
    LARGEST,
    LOGISTIC,
    NUMBER,
    REST,
    SIGN,
    SOFTMAX,
    Finish,
    Scored,
)
from fairuse_router.bundle.graph.builder import Graph

_BY_SOFTMAX = (LogisticRegression, LogisticRegressionCV, LinearDiscriminantAnalysis)
_LINEAR = (*_BY_SOFTMAX, RidgeClassifier, RidgeClassifierCV, LinearSVC, Perceptron, SGDClassifier)

_BY_EXP = (PoissonRegressor, GammaRegressor, TweedieRegressor)
_REGRESSORS = (
    *_BY_EXP,
    *(ARDRegression, BayesianRidge, ElasticNet, ElasticNetCV, HuberRegressor, Lars, LarsCV),
    *(Lasso, LassoCV, LassoLars, LassoLarsCV, LassoLarsIC, LinearRegression, LinearSVR),
    *(OrthogonalMatchingPursuit, OrthogonalMatchingPursuitCV, QuantileRegressor, Ridge, RidgeCV),
    *(SGDRegressor, TheilSenRegressor),
)

# above these, a centre folded into the weights would cost more than 1e-6 or 1e-14: taken off first
_LARGEST_OFFSET = {np.dtype(np.float32): 16.0, np.dtype(np.float64): 100.0}


@dataclass(frozen=True, eq=False)
class Head(Scored):
    """A linear model: scores = columns @ weights + bias, and what is made of the scores.

    Parameters
    ----------
    weights : ndarray of shape (width, S)
    bias : ndarray of shape (S,)
    finish : Finish
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    finish: Finish

    @property
    def width(self) -> int:
        """Scores a row."""
        return len(self.bias)

    def score(self, graph: Graph, tensor: str) -> str:
        """Append the scores of a tensor of its columns, shape (n, S)."""
        return graph.op("Gemm", tensor, graph.numbers(self.weights), graph.numbers(self.bias))


def head_of(estimator: Any, method: str | None) -> Head | None:
    """Return the head of a fitted linear model, or None for any other estimator.

    Parameters
    ----------
    estimator : fitted estimator
    method : {"predict_proba", "decision_function", "predict"} or None
        What is wanted beside the label; ``"predict"`` for a regressor.
    """
    if type(estimator) in _REGRESSORS:
        weights, bias = np.reshape(estimator.coef_, (-1, 1)), np.reshape(estimator.intercept_, 1)
        return Head(weights, bias, EXP if _has_log_link(estimator) else NUMBER)
    if type(estimator) not in _LINEAR:  # a subclass may decide otherwise
        return None
    weights = np.atleast_2d(estimator.coef_).T
    bias = np.broadcast_to(np.ravel(estimator.intercept_), (weights.shape[1],))
    one = weights.shape[1] == 1
    if method != "predict_proba":
        finish = SIGN if one else LARGEST
    elif getattr(estimator, "loss", None) == "modified_huber":
        finish = HUBER_OF_TWO if one else HUBER
    elif one:
        finish = LOGISTIC
    else:
        finish = SOFTMAX if isinstance(estimator, _BY_SOFTMAX) else REST
    return Head(weights, bias, finish)


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


def _has_log_link(estimator: Any) -> bool:
    if type(estimator) is not TweedieRegressor:
        return type(estimator) in _BY_EXP
    if estimator.link == "auto":
        return bool(estimator.power > 0)
    return bool(estimator.link == "log")
