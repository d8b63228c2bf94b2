"""Gaussian naive Bayes as a product: log-likelihoods are linear in columns and their squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.naive_bayes import GaussianNB

from fairuse_router.bundle.families.columns import Column, follow
from fairuse_router.bundle.families.finish import LOGISTIC, SOFTMAX
from fairuse_router.bundle.families.request import Request, Routed
from fairuse_router.bundle.families.submodels import Told, model_sources
from fairuse_router.bundle.file.layout import JOINED
from fairuse_router.bundle.graph.blocks import Answer, pick_scores
from fairuse_router.bundle.graph.builder import Graph
from fairuse_router.candidates.candidate import ServedModel
from fairuse_router.tables import InputColumn

# squares of far-off columns cancel each other; where they may add up to more than this, what is
# left of single or double precision is not enough, and the models are written one by one
_LARGEST_SUM = {np.dtype(np.float32): 64.0, np.dtype(np.float64): 1e4}


@dataclass(frozen=True)
class _Normal:
    """Normal densities of the classes, column by column.

    Parameters
    ----------
    mean : ndarray of shape (K, d)
    precision : ndarray of shape (K, d)
        0 for columns that it does not look at.
    constant : ndarray of shape (K,)
        Log-likelihood at the means, the prior included.
    """

    mean: NDArray[np.float64]
    precision: NDArray[np.float64]
    constant: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NaiveBayes:
    """All routes as one matrix over the columns and their squares.

    Parameters
    ----------
    centre : ndarray of shape (d_used,)
        Taken off the columns first.
    used : ndarray of bool, shape (d,)
    linear, squared : ndarray of shape (d_used, n_scores)
        Weights of the columns used and of their squares.
    bias : ndarray of shape (n_scores,)
    n_classes : int
    """

    centre: NDArray[np.float64]
    used: NDArray[np.bool_]
    linear: NDArray[np.float64]
    squared: NDArray[np.float64]
    bias: NDArray[np.float64]
    n_classes: int

    looks_up_routes = True

    @property
    def width(self) -> int:
        """Values a row."""
        return self.n_classes

    @classmethod
    def of(cls, routed: Routed, request: Request) -> NaiveBayes | None:
        """Join all models, or return None where one is another, or squares would cancel."""
        if not routed.layout.joined or request.method != "predict_proba":
            return None
        served, features, kind = routed.served, routed.layout.columns, request.number
        n_classes = 0 if request.classes is None else len(request.classes)
        routes = []
        for r, m in enumerate(routed.model_of_route.tolist()):
            normal = _normal_of(served[m], r, features)
            if normal is None or len(normal.constant) != n_classes:
                return None
            routes.append(normal)
        looked_at = [route.precision.any(axis=0) for route in routes]
        used = np.array(looked_at[0])
        if not used.any() or any((own != used).any() for own in looked_at):
            return None
        mean = np.concatenate([route.mean for route in routes])[:, used]
        precision = np.concatenate([route.precision for route in routes])[:, used]
        bias = np.concatenate([route.constant for route in routes])
        centre = _centre(mean, precision, np.dtype(kind))
        if centre is None or not np.isfinite(bias).all():
            return None
        off = mean - centre
        linear, squared = (off * precision).T, -precision.T / 2
        bias = bias - (off**2 * precision).sum(axis=1) / 2
        if n_classes == 2:  # only their difference counts
            linear, squared = np.diff(linear)[:, ::2], np.diff(squared)[:, ::2]
            bias = np.diff(bias)[::2]
        return cls(centre, used, linear, squared, bias, n_classes)

    def write(self, graph: Graph, route: str) -> Answer:
        """Append the answers."""
        rows, centre = JOINED, self.centre
        if not self.used.all():
            rows = graph.op("Gather", rows, graph.constant(np.flatnonzero(self.used)), axis=1)
        if centre.any():
            rows = graph.op("Sub", rows, graph.numbers(centre[None, :]))
        scores = graph.op("Gemm", rows, graph.numbers(self.linear), graph.numbers(self.bias))
        squares = graph.op("Mul", rows, rows)
        scores = graph.op("Gemm", squares, graph.numbers(self.squared), scores)
        size, finish = (1, LOGISTIC) if self.n_classes == 2 else (self.n_classes, SOFTMAX)
        own = np.arange(len(self.bias)).reshape(-1, size)
        scores = pick_scores(graph, scores, own, route)
        return finish.write(graph, scores)


def _centre(
    mean: NDArray[np.float64], precision: NDArray[np.float64], kind: np.dtype[Any]
) -> NDArray[np.float64] | None:
    """What to take off the columns: nothing, their middle, or None if neither is exact enough.

    Parameters
    ----------
    mean, precision : ndarray of shape (n_scores, d)
    kind : numpy dtype
    """
    middle = (mean.min(axis=0) + mean.max(axis=0)) / 2
    for centre in (np.zeros_like(middle), middle.astype(kind).astype(np.float64)):
        # a row as far off as classes and routes are from each other
        reach = (1 / precision).max(axis=0) + ((mean - centre) ** 2).max(axis=0)
        if (precision * reach).sum(axis=1).max() / 2 <= _LARGEST_SUM[kind]:
            return centre
    return None


def _normal_of(model: ServedModel, route: int, features: Sequence[InputColumn]) -> _Normal | None:
    """Densities as one route sees them, in the user's columns; None for any other model."""
    sources = model_sources(model, features)
    reached = follow(model.estimator, [Column(j) for j in range(len(sources))])
    if reached is None or type(reached[0]) is not GaussianNB:
        return None
    final, columns = reached
    # what scikit-learn fits in single precision gives logarithms of it
    spread = np.log(2 * np.pi * final.var_).sum(axis=1).astype(np.float64)
    constant = np.log(final.class_prior_).astype(np.float64) - spread / 2
    theta, var = final.theta_.astype(np.float64), final.var_.astype(np.float64)
    mean, precision = np.zeros((2, len(constant), len(features)))
    for j, column in enumerate(columns):
        source = sources[column.source]
        if column.slope == 0 or not np.isnan(column.at_missing):  # a gap has no density
            return None
        if isinstance(source, Told):
            value = column.apply(np.array([float(source.values[route])]))
            constant -= (value - theta[:, j]) ** 2 / var[:, j] / 2
        elif precision[:, source].any():  # told twice
            return None
        else:
            mean[:, source] = (theta[:, j] - column.at_zero) / column.slope
            precision[:, source] = column.slope**2 / var[:, j]
    return _Normal(mean, precision, constant)
