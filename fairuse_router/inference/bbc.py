"""Honest gains of a choice: choose on a bootstrap sample, evaluate on the rows left out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CorrectedGains", "bbc"]


@dataclass(frozen=True)
class CorrectedGains:
    """Gains of the routes that a rule chooses, corrected for having been chosen.

    Entry 0 is all rows, entry 1 + g is group g; nan where undefined.

    Parameters
    ----------
    naive : ndarray of shape (1 + m,)
        On the very rows that the rule chose on: too high.
    gain, low, high : ndarray of shape (1 + m,)
        Corrected, with a two-sided interval that holds it.
    n_resamples : int

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(100, 5))  # five candidates that gain nothing
    >>> def choose(rows):
    ...     return noise[rows].mean(axis=0).argmax()
    >>> def gains(choice, rows):
    ...     return np.full(2, noise[rows, choice].mean())
    >>> found = bbc(choose, gains, np.zeros(100, int), n_resamples=200)
    >>> bool(found.naive[0] > found.gain[0]), bool(found.low[0] < 0 < found.high[0])
    (True, True)
    """

    naive: np.ndarray
    gain: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_resamples: int


def bbc(
    choose: Callable[[np.ndarray], Any],
    gains: Callable[[Any, np.ndarray], np.ndarray],
    strata: np.ndarray,
    *,
    clusters: np.ndarray | None = None,
    n_resamples: int = 200,
    seed: int | np.random.Generator = 0,
    alpha: float = 0.1,
) -> CorrectedGains:
    """Correct the gain of a choice for the luck of choosing.

    The bootstrap bias corrected cross-validation of Tsamardinos, Greasidou, Borboudakis (2018):
    out-of-fold predictions are resampled, the rule chooses anew on each resample, and what it chose
    is evaluated on the rows that the resample left out. No model is fitted again.

    Parameters
    ----------
    choose : callable
        ``choose(rows)`` applies the rule to the rows given by index, repetitions included, and
        returns whatever `gains` understands.
    gains : callable
        ``gains(choice, rows)`` returns the gains of a choice on the rows given by index: an array
        of shape (1 + m,), all rows first, then each group; nan where undefined.
    strata : ndarray of shape (n,)
        Rows are resampled within these; the groups, so that none vanishes.
    clusters : ndarray of shape (n,), default=None
        Resample whole clusters instead, strata notwithstanding.
    n_resamples : int, default=200
    seed : int or Generator, default=0
    alpha : float, default=0.1
        The interval has level ``1 - alpha``: percentiles of the gains on rows left out. It is wide,
        since only 37% of the rows are left out. The corrected gain is the mean of the same gains.
        Where nearly all of them are equal, as the zeros of a group that is rarely routed, a few
        others can carry the mean past a percentile; the interval then reaches up to the mean.

    Returns
    -------
    CorrectedGains

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(200, 8))  # eight candidates that gain nothing
    >>> def choose(rows):
    ...     return noise[rows].mean(axis=0).argmax()
    >>> def gains(choice, rows):
    ...     return np.full(2, noise[rows, choice].mean())
    >>> result = bbc(choose, gains, np.zeros(200, int))
    >>> result.naive[0].round(2), bool(abs(result.gain[0]) < 0.05)
    (np.float64(0.07), True)
    """
    rng = np.random.default_rng(seed)
    everything = np.arange(len(strata))
    naive = np.asarray(gains(choose(everything), everything), dtype=float)
    drawn = np.full((n_resamples, len(naive)), np.nan)
    for b in range(n_resamples):
        rows = _resample(strata, clusters, rng)
        left = np.setdiff1d(everything, rows)
        drawn[b] = gains(choose(rows), left)
    return CorrectedGains(naive, *_centre(drawn, alpha), n_resamples)


def _resample(
    strata: np.ndarray, clusters: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Draw as many rows as there are, with replacement, within strata or as whole clusters."""
    if clusters is None:
        order = np.argsort(strata, kind="stable")
        _, start, size = np.unique(strata[order], return_index=True, return_counts=True)
        first, count = np.repeat(start, size), np.repeat(size, size)
        return order[first + (rng.random(len(order)) * count).astype(int)]
    label = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    order = np.argsort(label, kind="stable")
    bounds = np.searchsorted(label[order], np.arange(label.max() + 2))
    picked = rng.integers(0, label.max() + 1, label.max() + 1)
    return np.concatenate([order[bounds[k] : bounds[k + 1]] for k in picked])


def _centre(drawn: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and percentiles per column, the mean between them.

    nan where fewer than half of the resamples are defined.
    """
    known = np.isfinite(drawn).mean(axis=0) >= 0.5
    out = np.full((3, drawn.shape[1]), np.nan)
    if known.any():
        some = np.where(np.isfinite(drawn), drawn, np.nan)[:, known]
        out[0, known] = np.nanmean(some, axis=0)
        low, high = np.nanquantile(some, [alpha / 2, 1 - alpha / 2], axis=0)
        out[1, known] = np.minimum(low, out[0, known])
        out[2, known] = np.maximum(high, out[0, known])
    return out[0], out[1], out[2]
