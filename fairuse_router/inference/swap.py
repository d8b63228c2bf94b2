"""Test a gain in calibration error by swapping the two models' predictions row by row."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from fairuse_router.inference.result import PairedTest, rows_needed

__all__ = ["ece_swap"]

_BINS = 10
_EDGES = np.arange(1, _BINS) / _BINS
_CHUNK = 4_000_000
_ALL_DRAWN = 2000
_CROWDED = 30


def ece_swap(
    reference: tuple[np.ndarray, np.ndarray],
    model: tuple[np.ndarray, np.ndarray],
    *,
    weight: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    n_resamples: int = 999,
    seed: int | np.random.Generator = 0,
    alpha: float = 0.1,
) -> PairedTest:
    """Compare two expected calibration errors on the same rows.

    If the two models were exchangeable, giving each row's two predictions to the other model would
    change nothing in law: the p-value is the share of such random swaps, the observed assignment
    among them, whose gain is at least as extreme. The plug-in calibration error is biased upwards
    by noise, equally under both assignments, which is why this test keeps its level and a test
    against bootstrap resamples does not.

    Parameters
    ----------
    reference, model : tuple of (confidence, hit), each ndarray of shape (n,)
        Confidence in [0, 1], and whether what it spoke of came true.
    weight : ndarray of shape (n,), default=None
        Row weights.
    clusters : ndarray of shape (n,), default=None
        Rows of one cluster are swapped together.
    n_resamples : int, default=999
        Random swaps; the smallest p-value is ``1 / (n_resamples + 1)``.
    seed : int or Generator, default=0
        Source of randomness.
    alpha : float, default=0.1
        The interval has level ``1 - alpha``: a Gaussian multiplier bootstrap of the sums in the
        bins, centred on the observed gain.

    Returns
    -------
    PairedTest

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(400)
    >>> hit = rng.random(400) < p
    >>> test = ece_swap((np.clip(p + 0.3, 0, 1), hit), (p, hit))
    >>> float(test.p_gain), bool(test.gain > 0.1)
    (0.001, True)
    """
    n = len(reference[0])
    w = np.ones(n) if weight is None else np.asarray(weight, float)
    mass = float(w.sum())
    if mass <= 0:
        nan = math.nan
        return PairedTest(nan, nan, nan, nan, nan, n, "swap permutation", nan, nan, nan, "no rows")
    unit = np.arange(n)
    if clusters is not None:
        unit = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    sides = [_bin_excess(*side, w / mass, unit) for side in (reference, model)]
    one, two = (np.asarray(side.sum(axis=0)).ravel() for side in sides)
    gain = float(np.abs(one).sum() - np.abs(two).sum())
    rng = np.random.default_rng(seed)
    swapped = _swapped_gains(sides[0], sides[1], n_resamples, rng)
    drawn = gain + _multiplier_noise(sparse.hstack(sides, format="csr"), n_resamples, rng)
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    se, se_null = float(drawn.std(ddof=1)), float(swapped.std(ddof=1))
    return PairedTest(
        gain=gain,
        low=float(low),
        high=float(high),
        p_gain=float((1 + (swapped >= gain - 1e-12).sum()) / (1 + n_resamples)),
        p_violation=float((1 + (swapped <= gain + 1e-12).sum()) / (1 + n_resamples)),
        n=int((w > 0).sum()),
        test="swap permutation",
        se=se,
        se_null=se_null,
        rows_needed=float(rows_needed(gain, se, n, alpha / 2, se_null=se_null)),
    )


def _bin_excess(
    confidence: np.ndarray, hit: np.ndarray, w: np.ndarray, unit: np.ndarray
) -> sparse.csr_matrix:
    """Weighted confidence - hit of each unit, in the column of its bin: shape (units, 10)."""
    bins = np.searchsorted(_EDGES, confidence, side="left")
    shape = (int(unit.max()) + 1, _BINS)
    return sparse.csr_matrix((w * (confidence - hit), (unit, bins)), shape=shape)


def _swapped_gains(
    first: sparse.csr_matrix,
    second: sparse.csr_matrix,
    n_resamples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Gains after swapping each unit with probability one half.

    Every swap is drawn while there are at most 2,000 units; beyond, units that fall in the same
    bins as 30 or more others are drawn together, as the Gaussian that their sum then is.
    """
    one, two = (np.asarray(side.sum(axis=0)).ravel() for side in (first, second))
    change = sparse.csr_matrix(second - first)
    crowded = np.zeros(change.shape[0], dtype=bool)
    if len(crowded) > _ALL_DRAWN:
        crowded = _crowded(first, second)
    joint = change[crowded]
    root = _root((joint.T @ joint).toarray() / 4)
    reference = one + np.asarray(joint.sum(axis=0)).ravel() / 2
    reference = reference + rng.standard_normal((n_resamples, _BINS)) @ root.T
    reference += _drawn_sums(change[~crowded].toarray(), n_resamples, rng)
    return np.abs(reference).sum(axis=1) - np.abs(one + two - reference).sum(axis=1)


def _crowded(first: sparse.csr_matrix, second: sparse.csr_matrix) -> np.ndarray:
    """Whether a unit has one bin per side and shares both with 30 units or more."""
    single = (np.diff(first.indptr) == 1) & (np.diff(second.indptr) == 1)
    cell = np.full(len(single), _BINS * _BINS)
    at = [side.indices[side.indptr[:-1][single]] for side in (first, second)]
    cell[single] = _BINS * at[0] + at[1]
    return np.bincount(cell)[cell] >= _CROWDED


def _drawn_sums(change: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Sum the rows of change over random halves, shape (n_resamples, 10)."""
    units = len(change)
    sums = np.zeros((n_resamples, _BINS))
    step = max(1, _CHUNK // max(units, 1))
    for start in range(0, n_resamples if units else 0, step):
        b = min(step, n_resamples - start)
        bits = np.frombuffer(rng.bytes((b * units + 7) // 8), dtype=np.uint8)
        swap = np.unpackbits(bits, count=b * units).reshape(b, units).astype(float)
        sums[start : start + b] = swap @ change
    return sums


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return a matrix root r with r r^T = covariance, which may be singular."""
    value, vector = np.linalg.eigh(covariance)
    return vector * np.sqrt(np.maximum(value, 0))


def _multiplier_noise(
    both: sparse.csr_matrix, n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Sampling noise of the gain, mean zero, from Gaussian noise in the twenty bin sums."""
    sums = np.asarray(both.sum(axis=0)).ravel()
    covariance = (both.T @ both).toarray() - np.outer(sums, sums) / both.shape[0]
    drawn = np.abs(sums + rng.standard_normal((n_resamples, len(sums))) @ _root(covariance).T)
    gains = drawn[:, :_BINS].sum(axis=1) - drawn[:, _BINS:].sum(axis=1)
    return gains - gains.mean()
