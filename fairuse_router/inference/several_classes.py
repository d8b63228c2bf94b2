"""Multilevel regression of several classes: one class after the other, the others held."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from fairuse_router.inference.empirical_bayes import multilevel_bayes
from fairuse_router.inference.partial_pooling import multilevel_fit

__all__ = ["multilevel_classes"]

_ROUGH_RIDGE, _ROUGH = 30.0, 10.0  # of the sweep that only says where the other margins are


def multilevel_classes(
    x: np.ndarray,
    groups: np.ndarray,
    y: np.ndarray,
    main: np.ndarray,
    margins: np.ndarray,
    *,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Fit a multilevel regression of several classes whose penalties are learned from the rows.

    Probabilities are the softmax of K margins, each of which is that of `multilevel_bayes`. Given
    the margins of the other classes, the likelihood of one class's is that of a logistic regression
    of "this class or another" with the offset ``-log(sum of exp(others' margins))``, so that every
    class is fitted as two classes are, in turn: twice roughly and with equal penalties, then once
    more with penalties that are learned. Which class comes first matters little, beside the error.

    Parameters
    ----------
    x, groups, main, weight
        As for `multilevel_bayes`.
    y : ndarray of int, shape (n,)
        Class indices.
    margins : ndarray of shape (n, K)
        To start from, up to a constant in each row; rows of group -1 keep them.

    Returns
    -------
    ndarray of shape (m, K, d + 1)
        Slopes and, last, intercept of each class in each group.

    Raises
    ------
    ValueError
        If the shapes do not fit, or `x` holds numbers that are not finite.

    References
    ----------
    Friedman, Hastie, Tibshirani (2010), Regularization Paths for Generalized Linear Models via
    Coordinate Descent, Journal of Statistical Software 33(1), section 4: partial Newton steps, one
    class at a time, in the symmetric parametrization, which the penalty makes unique.

    Examples
    --------
    In the second of two groups the first two classes change places:

    >>> rng = np.random.default_rng(0)
    >>> x, groups = rng.normal(size=(1200, 1)), np.repeat([0, 1], 600)
    >>> slopes = np.array([[2.0, -2.0, 0.0], [-2.0, 2.0, 0.0]])
    >>> y = (x * slopes[groups] + rng.gumbel(size=(1200, 3))).argmax(axis=1)
    >>> multilevel_classes(x, groups, y, np.eye(2), np.zeros((1200, 3)))[:, :, 0].round(1).tolist()
    [[2.1, -1.6, 0.0], [-1.9, 1.9, -0.1]]
    """
    if weight is not None:
        weight = weight * ((weight > 0).sum() / max(weight.sum(), np.finfo(float).tiny))
    margins = np.array(margins, dtype=np.float64)
    known = np.flatnonzero(groups >= 0)
    joint = np.empty((len(main), margins.shape[1], x.shape[1] + 1))
    for fit in (_roughly, _roughly, multilevel_bayes):
        for k in range(margins.shape[1]):
            others = logsumexp(np.delete(margins, k, axis=1), axis=1)
            joint[:, k] = fit(x, groups, y == k, main, offset=-others, weight=weight)
            own = joint[groups[known], k]
            margins[known, k] = (x[known] * own[:, :-1]).sum(axis=1) + own[:, -1]
    return joint


def _roughly(
    x: np.ndarray,
    groups: np.ndarray,
    y: np.ndarray,
    main: np.ndarray,
    *,
    offset: np.ndarray,
    weight: np.ndarray | None,
) -> np.ndarray:
    """Slopes and intercepts, shape (m, d + 1), under equal penalties, a few steps on the way."""
    found = multilevel_fit(
        x, groups, y, main, _ROUGH_RIDGE, offset=offset, weight=weight, tol=_ROUGH
    )
    return np.column_stack([found.coef, found.intercept])
