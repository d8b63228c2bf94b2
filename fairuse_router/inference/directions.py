"""Directions: from one model's margins to another's, and how far along them the truth lies.

With margins z0 and z1 for rows that neither model has seen, the truth is taken to be at
``z0 + r (z1 - z0)``; the slope r is the group's own (`calibration_slope`). Margins are log-odds of
the second of two classes, (n,); log-probabilities of several, (n, K), up to a constant in each row;
or the prediction of a regression, (n,), whose errors are normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, softmax

from fairuse_router.inference.calibration_slope import SLOPES, flattening

__all__ = ["Direction", "GroupRows", "temperature"]

_FAR = 40.0  # margins beyond it are certainties
_BLOCK = 2048  # rows whose grid stays in the processor's cache
_SCALES = (0.2, 5.0)


@dataclass(frozen=True)
class GroupRows:
    """The rows of one group: their indices, and weights that sum to one.

    Parameters
    ----------
    index : ndarray of int, shape (n_g,)
    share : ndarray of shape (n_g,)
    size : float
        Effective number of rows, ``(sum w)^2 / sum w^2``.
    """

    index: np.ndarray
    share: np.ndarray
    size: float

    @classmethod
    def of(cls, groups: np.ndarray, g: int, weight: np.ndarray | None) -> GroupRows:
        """Rows of a group with a positive weight."""
        index = np.flatnonzero(groups == g)
        w = np.ones(len(index)) if weight is None else np.asarray(weight[index], dtype=float)
        index, w = index[w > 0], w[w > 0]
        share = w / max(w.sum(), np.finfo(float).tiny)
        return cls(index, share, float(1 / max(share @ share, np.finfo(float).tiny)))

    def blocks(self, whole: bool = False) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Indices and shares, some rows at a time or all at once."""
        size = max(len(self.index), 1) if whole else _BLOCK
        for start in range(0, len(self.index), size):
            part = slice(start, start + size)
            yield self.index[part], self.share[part]


@dataclass(frozen=True)
class Direction:
    """Labels, and the margins of two models for rows that neither has seen.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Class indices; numbers for a regression.
    base, full : ndarray of shape (n,) or (n, K)
        Margins to start from and to go to.
    variance : float, default=None
        Of the errors of a regression; None for classes.
    """

    y: np.ndarray
    base: np.ndarray
    full: np.ndarray
    variance: float | None = None

    def expected(self, index: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """What is expected of some rows at evenly spaced slopes.

        Probabilities of the second of two classes have shape (R, n), of several (R, n, K); means of
        a regression (R, n).
        """
        if self.variance is None and self.base.ndim == 1:
            odds = self._odds(index, slopes)
            return np.reciprocal(odds, out=odds)
        z = self._margins(index, slopes)
        return z if self.variance is not None else softmax(z, axis=2)

    def look(self, index: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean log-likelihood (33,) of some rows on the grid, and what is expected of them."""
        y = self.y[index]
        if self.variance is not None:
            z = self._margins(index, SLOPES)
            return -((y - z) ** 2 @ share) / (2 * max(self.variance, np.finfo(float).tiny)), z
        if self.base.ndim == 1:
            z, delta = self._parts(index)
            odds = self._odds(index, SLOPES)
            known = (y - 1) * share
            log_lik = known @ z + SLOPES * (known @ delta) - np.log(odds) @ share
            return log_lik, np.reciprocal(odds, out=odds)
        z = self._margins(index, SLOPES)
        z -= logsumexp(z, axis=2, keepdims=True)
        return z[:, np.arange(len(y)), y] @ share, np.exp(z)

    def _odds(self, index: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """One over the probability of the second class: exp(-margin) is a geometric series."""
        z, delta = self._parts(index)
        odds = np.empty((len(slopes), len(z)))
        odds[0] = np.exp(-z - slopes[0] * delta)
        if len(slopes) > 1:
            odds[1:] = np.exp(-(slopes[1] - slopes[0]) * delta)
            np.multiply.accumulate(odds, axis=0, out=odds)
        odds += 1
        return odds

    def count(
        self, rows: GroupRows, log_lik: np.ndarray, clusters: np.ndarray | None = None
    ) -> float:
        """Effective number of independent rows, given their mean log-likelihood on the grid.

        Rows of one cluster are not independent: see `slope_evidence`.
        """
        if clusters is None or not len(rows.index):
            return rows.size
        index, best = rows.index, float(SLOPES[log_lik.argmax()])
        delta = self._parts(index)[1]
        expected = self.expected(index, np.array([best]))[0]
        if self.base.ndim == 1:
            score = delta * (self.y[index] - expected)
        else:
            told = np.eye(self.base.shape[1])[self.y[index]]
            score = (delta * (told - expected)).sum(axis=1)
        return rows.size * flattening(rows.share * score, clusters[index])

    def _parts(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Base margins and steps, kept within what can be told apart."""
        z, delta = self.base[index], self.full[index] - self.base[index]
        if self.variance is None:
            z, delta = np.clip(z, -_FAR, _FAR), np.clip(delta, -_FAR / 2, _FAR / 2)
        return z, delta

    def _margins(self, index: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        z, delta = self._parts(index)
        return z + np.multiply.outer(slopes, delta)


def temperature(y: np.ndarray, margin: np.ndarray, weight: np.ndarray | None = None) -> float:
    """What makes log-odds of margins: the slope of the labels on them, between 0.2 and 5.

    Boosting on few rows claims twice the log-odds that are there. Labels do not depend on it.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
        Class indices.
    margin : ndarray of shape (n,) or (n, K)
        For rows that the model has not seen.
    weight : ndarray of shape (n,), default=None

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> margin = rng.normal(size=5000)
    >>> y = (margin + rng.logistic(size=5000) > 0).astype(int)
    >>> round(temperature(y, 2 * margin), 1)
    0.5
    """
    w = np.ones(len(y)) if weight is None else weight / max(weight.mean(), np.finfo(float).tiny)
    rows = np.arange(len(y))
    z = np.column_stack([np.zeros(len(y)), margin]) if margin.ndim == 1 else margin
    low, high = np.log(_SCALES)
    for _ in range(30):  # the derivative falls: halve the interval that holds its zero
        middle = (low + high) / 2
        scaled = np.exp(middle) * z
        p = softmax(scaled, axis=1)
        score = w @ (z[rows, y] - (p * z).sum(axis=1))
        low, high = (middle, high) if score > 0 else (low, middle)
    return float(np.exp((low + high) / 2))
