"""Linear classifiers: one product, and the rule that turns scores into labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.svm import LinearSVC

from fairuse_router.bundle.blocks import Answer, best, both_signs, flat, share
from fairuse_router.bundle.builder import Graph

_BY_SOFTMAX = (LogisticRegression, LogisticRegressionCV, LinearDiscriminantAnalysis)
LINEAR = (*_BY_SOFTMAX, RidgeClassifier, RidgeClassifierCV, LinearSVC, Perceptron, SGDClassifier)


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
