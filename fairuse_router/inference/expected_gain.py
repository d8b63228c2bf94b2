"""What other predictions would gain in a metric, if probabilities were known: free of label noise.

A *measure* holds the predictions of one model and of L options for the same rows. Given what is
expected of some rows at each of R slopes, it returns the gain of every option (L, R), and its
*reach* (L,): how much the gain can move if probabilities move by one (means of a regression by two
standard deviations of the noise). A measure that `adds` is a mean over rows, weighted by `share`:
blocks of a group's rows may be measured one by one, and the results added.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import ndtr, ndtri

from fairuse_router.inference.calibration_slope import SLOPES
from fairuse_router.inference.directions import Direction

__all__ = [
    "AbsoluteErrors",
    "Areas",
    "Calibration",
    "Costs",
    "Measure",
    "OwnRisk",
    "SquaredErrors",
]

Gains = tuple[np.ndarray, np.ndarray]
_NODES = ndtri((np.arange(9) + 0.5) / 9)  # nine equally likely errors
_NODES /= np.sqrt(np.mean(_NODES**2))


class Measure(Protocol):
    """Gains of L options, if the slope of a direction were each of those in `SLOPES`."""

    @property
    def adds(self) -> bool:
        """Whether the rows of a group may be measured block by block."""

    @property
    def size(self) -> int:
        """L."""

    def gains(
        self, direction: Direction, index: np.ndarray, share: np.ndarray, expected: np.ndarray
    ) -> Gains:
        """Gain (L, R) and reach (L,) of some rows, given what is expected of them."""


@dataclass(frozen=True)
class _Predicted:
    """What the model tells of n rows, and what L options tell of them."""

    without: np.ndarray
    options: np.ndarray

    @property
    def size(self) -> int:
        """Number of options."""
        return len(self.options)


@dataclass(frozen=True)
class Costs(_Predicted):
    """A metric that is a mean over rows: what each class would cost in every row.

    Parameters
    ----------
    without : ndarray of shape (n, K)
        Cost of every row, were it of class k, under the model.
    options : ndarray of shape (L, n, K)
        Under each option.
    """

    adds = True

    def gains(
        self, direction: Direction, index: np.ndarray, share: np.ndarray, expected: np.ndarray
    ) -> Gains:
        """Gain at each slope: the mean of ``sum_k p_k (cost_k without - cost_k of the option)``.

        Reach: the mean over rows of the largest less the smallest of these K differences.
        """
        saved = self.without[index] - self.options[:, index]
        with np.errstate(invalid="ignore"):
            saved = np.where(np.isnan(saved), 0.0, saved)  # infinite both times
        if expected.ndim == 3:
            gain = np.einsum("lnk,n,rnk->lr", saved, share, expected, optimize=True)
            return gain, np.ptp(saved, axis=2) @ share
        by_p = (saved[:, :, 1] - saved[:, :, 0]) * share
        gain = (saved[:, :, 0] @ share)[:, None] + by_p @ expected.T
        return gain, np.abs(by_p).sum(axis=1)


@dataclass(frozen=True)
class SquaredErrors(_Predicted):
    """Squared error of a regression: linear in the mean, so that noise does not enter.

    Parameters
    ----------
    without : ndarray of shape (n,)
    options : ndarray of shape (L, n)
        Predictions.
    """

    adds = True

    def gains(
        self, direction: Direction, index: np.ndarray, share: np.ndarray, expected: np.ndarray
    ) -> Gains:
        """Gain at each slope: the mean of ``(f - f0)(2 mean - f0 - f)``."""
        sd = np.sqrt(direction.variance or 0.0)
        f0, f = self.without[index], self.options[:, index]
        step = (f - f0) * share
        gain = 2 * step @ expected.T - (step * (f0 + f)).sum(axis=1)[:, None]
        return gain, 4 * sd * np.abs(step).sum(axis=1)


@dataclass(frozen=True)
class AbsoluteErrors(_Predicted):
    """Absolute error of a regression with normal errors.

    At a distance d of prediction and mean it is ``sd sqrt(2/pi) exp(-d^2/2sd^2) + d (1 - 2
    Phi(-d/sd))`` on average; heavier tails than normal ones make gains look a little too large.

    Parameters
    ----------
    without : ndarray of shape (n,)
    options : ndarray of shape (L, n)
        Predictions.
    """

    adds = True

    def gains(
        self, direction: Direction, index: np.ndarray, share: np.ndarray, expected: np.ndarray
    ) -> Gains:
        """Gain at each slope."""
        sd = np.sqrt(max(direction.variance or 0.0, np.finfo(float).tiny))
        f0, f = self.without[index], self.options[:, index]
        before = _mean_distance((expected - f0) / sd) @ share
        after = [_mean_distance((expected - option) / sd) @ share for option in f]
        steep = np.minimum(2.0, np.sqrt(2 / np.pi) * np.abs(f - f0) / sd)
        return sd * (before - np.array(after)), 2 * sd * steep @ share


def _mean_distance(d: np.ndarray) -> np.ndarray:
    """Mean of ``|d + e|``, e standard normal."""
    return np.sqrt(2 / np.pi) * np.exp(-(d**2) / 2) + d * (1 - 2 * ndtr(-d))


@dataclass(frozen=True)
class Areas(_Predicted):
    """Area under the ROC curve, expected over labels; several classes: mean of one against rest.

    Parameters
    ----------
    without : ndarray of shape (n,) or (n, K)
    options : ndarray of shape (L, n) or (L, n, K)
        Scores of the second of two classes, or of every class.
    """

    adds = False

    def gains(
        self, direction: Direction, index: np.ndarray, share: np.ndarray, expected: np.ndarray
    ) -> Gains:
        """Gain at each slope, and reach: the mean change of rank over ``n pi (1 - pi)``."""
        p = expected
        scores = [self.without[index], *self.options[:, index]]
        if p.ndim == 2:
            return _area_gains(scores, p, direction.y[index] == 1, share)
        parts = [
            _area_gains([s[:, k] for s in scores], p[:, :, k], direction.y[index] == k, share)
            for k in range(p.shape[2])
        ]
        gain, reach = (np.mean(part, axis=0) for part in zip(*parts, strict=True))
        return gain, reach


def _area_gains(
    scores: list[np.ndarray], p: np.ndarray, positive: np.ndarray, share: np.ndarray
) -> Gains:
    """Gains of one class against the rest."""
    up = np.ascontiguousarray((p * share).T)  # a row's slopes side by side: quick to sort
    positives = up.sum(axis=0)
    itself = share @ up - np.einsum("nr,nr->r", up, up)  # nobody is compared with themselves
    pairs = np.maximum(positives * (share.sum() - positives) - itself, np.finfo(float).tiny)
    ranks, areas = [], []
    for score in scores:
        rank, wins = _ranked(score, up, share)
        ranks.append(rank)
        areas.append((wins - itself / 2) / pairs)
    gain = np.array([own - areas[0] for own in areas[1:]])
    one = np.clip(share @ positive, 1 / len(share), 1 - 1 / len(share)) if len(share) > 1 else 0.5
    moved = np.array([share @ np.abs(own - ranks[0]) for own in ranks[1:]])
    return gain, moved / (one * (1 - one))


def _ranked(score: np.ndarray, up: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank of every row, 0 to 1, and the mass of pairs (R,) with the positive row above.

    Ties count one half.
    """
    order = np.argsort(score, kind="stable")
    ranked, up, share = score[order], up[order], share[order]
    tie = np.cumsum(np.r_[False, ranked[1:] != ranked[:-1]]) if len(score) else np.zeros(0, int)
    tied = bool(len(score)) and tie[-1] + 1 < len(score)
    if tied:
        new = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        up, share = np.add.reduceat(up, new, axis=0), np.add.reduceat(share, new)
    middle = np.cumsum(share) - share / 2
    rank = np.empty(len(score))
    rank[order] = middle[tie] if tied else middle
    down = share[:, None] - up
    wins = np.einsum("nr,nr->r", up, np.cumsum(down, axis=0) - down / 2)
    return rank, wins


@dataclass(frozen=True)
class Calibration(_Predicted):
    """Expected calibration error as rows grow many: distances of means in bins, without noise.

    Parameters
    ----------
    without : ndarray of shape (n,)
    options : ndarray of shape (L, n)
        The probability that is held against what comes true.
    classes : ndarray of int, shape (L + 1, n)
        The class that it belongs to, for the model and every option.
    bins : ndarray of int, shape (L + 1, n)
        Bin of each probability.
    """

    classes: np.ndarray
    bins: np.ndarray

    adds = False

    def gains(
        self, direction: Direction, index: np.ndarray, share: np.ndarray, expected: np.ndarray
    ) -> Gains:
        """Gain at each slope; reach: twice the share of rows in which models fail differently."""
        p = expected
        width = int(self.bins.max(initial=0)) + 1
        errors, signs = [], []
        for which, stated in enumerate([self.without, *self.options]):
            bins, told = self.bins[which, index], self.classes[which, index]
            true = p if p.ndim == 2 else p[:, np.arange(len(index)), told]
            member = (bins == np.arange(width)[:, None]) * share
            excess = stated[index] @ member.T - true @ member.T
            errors.append(np.abs(excess).sum(axis=1))
            signs.append(np.sign(excess)[:, bins])
        gain = np.array([errors[0] - own for own in errors[1:]])
        moved = [np.abs(own - signs[0]).mean(axis=0) @ share for own in signs[1:]]
        return gain, np.array(moved)


@dataclass(frozen=True)
class OwnRisk:
    """Any risk, asked what it says of the labels that are expected.

    Classes: each row is given once for every class, weighted by that class's probability.
    Regression: once for each of nine equally likely errors. Between slopes it is interpolated.

    Parameters
    ----------
    risk : callable
        ``risk(option, index, y, weight)`` of the rows `index`, which may repeat, if their labels
        were `y`; option -1 is the model without. nan where undefined.
    size : int
        Number of options, L.
    changed : ndarray of bool, shape (L, n)
        Whether an option tells a row anything else: as far as a risk may reach.
    unit : float
        The most that one row can cost.
    """

    risk: Callable[[int, np.ndarray, np.ndarray, np.ndarray], float]
    size: int
    changed: np.ndarray
    unit: float = 1.0

    adds = False

    def gains(
        self, direction: Direction, index: np.ndarray, share: np.ndarray, expected: np.ndarray
    ) -> Gains:
        """Gain at each slope, nan where undefined, and reach: twice the share of changed rows."""
        some = SLOPES[::4]
        found = np.empty((self.size, len(some)))
        for r, slope in enumerate(some):
            where, y, weight = _expected_labels(direction, index, share, float(slope))
            without = self.risk(-1, where, y, weight)
            for i in range(self.size):
                found[i, r] = without - self.risk(i, where, y, weight)
        gain = np.array([np.interp(SLOPES, some, row) for row in found])
        return gain, 2 * self.unit * (self.changed[:, index] @ share)


def _expected_labels(
    direction: Direction, index: np.ndarray, share: np.ndarray, slope: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, labels and weights that together are the labels to be expected."""
    p, n = direction.expected(index, np.array([slope]))[0], len(index)
    if direction.variance is not None:
        y = p[:, None] + np.sqrt(direction.variance) * _NODES
        weight = np.repeat(share / len(_NODES), len(_NODES)) * n
        return np.repeat(index, len(_NODES)), y.ravel(), weight
    p = np.column_stack([1 - p, p]) if p.ndim == 1 else p
    y = np.tile(np.arange(p.shape[1]), n)
    return np.repeat(index, p.shape[1]), y, (p * share[:, None] * n).ravel()
