"""Gaussian naive Bayes as a product: log-likelihoods are linear in columns and their squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.naive_bayes import GaussianNB

from fairuse_router.bundle.families.columns import Column, follow
from fairuse_router.bundle.families.finish import LOGISTIC, SOFTMAX
from fairuse_router.bundle.families.fold import Fold
from fairuse_router.bundle.families.request import Request, Routed, Told

# squares of far-off columns cancel; where they add up to more, too little of the precision is left
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


def fold_bayes(routed: Routed, request: Request) -> list[Fold] | None:
    """Fold the model of every route; None where one is another, or squares would cancel."""
    classes = request.classes
    if classes is None or request.method != "predict_proba" or not routed.layout.joined:
        return None
    routes = []
    for r, m in enumerate(routed.model_of_route.tolist()):
        route = _normal_of(routed, m, r)
        if route is None or len(route.constant) != len(classes):
            return None
        routes.append(route)
    used = np.array(routes[0].precision.any(axis=0))
    if not used.any() or any((r.precision.any(axis=0) != used).any() for r in routes):
        return None
    mean = np.concatenate([route.mean for route in routes])[:, used]
    precision = np.concatenate([route.precision for route in routes])[:, used]
    centre = _centre(mean, precision, request.number)
    return None if centre is None else [_fold(route, used, centre) for route in routes]


def _fold(route: _Normal, used: NDArray[np.bool_], centre: NDArray[np.float64]) -> Fold:
    """Log-likelihoods as weights of the columns, off their centre, and of their squares."""
    off, precision = route.mean[:, used] - centre, route.precision[:, used]
    size = len(route.constant)
    weights, squares, centres = *np.zeros((2, len(used), size)), np.zeros(len(used))
    weights[used], squares[used], centres[used] = (off * precision).T, -precision.T / 2, centre
    bias = route.constant - (off**2 * precision).sum(axis=1) / 2
    if size == 2:  # only their difference counts
        weights, squares, bias = np.diff(weights), np.diff(squares), np.diff(bias)
    return Fold(
        weights,
        np.zeros_like(weights),
        bias,
        centres,
        used,
        np.zeros_like(used),
        LOGISTIC if size == 2 else SOFTMAX,
        {},
        squares,
    )


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


def _normal_of(routed: Routed, m: int, route: int) -> _Normal | None:
    """Densities as one route sees them, in the user's columns; None for any other model."""
    model = routed.served[m]
    sources = routed.sources(model)
    reached = follow(model.estimator, [Column(j) for j in range(len(sources))])
    if reached is None or type(reached[0]) is not GaussianNB:
        return None
    final, columns = reached
    if any(column.is_far for column in columns):
        return None
    # what scikit-learn fits in single precision gives logarithms of it
    spread = np.log(2 * np.pi * final.var_).sum(axis=1).astype(np.float64)
    constant = np.log(final.class_prior_).astype(np.float64) - spread / 2
    theta, var = final.theta_.astype(np.float64), final.var_.astype(np.float64)
    mean, precision = np.zeros((2, len(constant), len(routed.layout.columns)))
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
