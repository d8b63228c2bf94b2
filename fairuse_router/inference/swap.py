"""Test a gain in calibration error by swapping the models' predictions, and by a bootstrap."""

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
_TIE = 1e-12


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

    Four tests are made and the largest p-value, in each direction, is returned.

    - Swaps: if the two models were exchangeable, giving each row's two predictions to the other
      model would change nothing in law. The p-value is the share of such random swaps, the
      observed assignment among them, whose gain is at least as extreme.
    - A Gaussian bootstrap under the null: the sums in the bins of both models are scaled to the
      mean of their two calibration errors, noise with the sampling covariance of the sums is added,
      and the gains so drawn, bias by noise included, are compared with the observed one.
    - The same, but the bias of each model is spread evenly over its bins: where sums are as small
      as their noise, those that were seen hide how much gains vary if two models err in opposite
      directions.
    - The same noise about the observed sums, centred: what the interval is made of.

    Parameters
    ----------
    reference, model : tuple of (confidence, hit), each ndarray of shape (n,)
        Confidence in [0, 1], and whether what it spoke of came true.
    weight : ndarray of shape (n,), default=None
        Row weights.
    clusters : ndarray of shape (n,), default=None
        Rows of one cluster are swapped together.
    n_resamples : int, default=999
        Random swaps, and draws of noise; the smallest p-value is ``1 / (n_resamples + 1)``.
    seed : int or Generator, default=0
        Source of randomness.
    alpha : float, default=0.1
        The interval has level ``1 - alpha``: centred noise about the observed gain.

    Returns
    -------
    PairedTest

    Notes
    -----
    Exchangeable models: the swaps alone are valid, whatever the rows, so the level is at most
    alpha; it is 5-6% at a one-sided 10%. Other models with the same true calibration error: all
    tests are approximate, as the absolute value has its kink where the bias of a bin is near its
    standard error, and no bootstrap is consistent there. At 10%, ``python -m benchmarks.validity``
    with 2,500 repetitions found (the worse direction; 25, 100, 400 rows):

    - a noisy and a biased model: 6, 5, 7;
    - two models biased by 2 points, up and down: 5, 7, 9;
    - the same by 5 points: 7, 12, 9; the limit of that simulation is 12.

    The calibration error is biased upwards by noise, more so for few rows and many bins in use. A
    calibrated model with ten noisy bins against a calibrated constant: swaps alone reject in 67%.
    The gain and its interval are not corrected for that bias.

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
    both = sparse.hstack(sides, format="csr")
    sums = np.asarray(both.sum(axis=0)).ravel()
    gain = float(_gains(sums))
    rng = np.random.default_rng(seed)
    swapped = _swapped_gains(sides[0], sides[1], n_resamples, rng)
    noise = np.zeros((n_resamples, len(sums)))
    if (sides[0] != sides[1]).nnz:
        noise = _sampling_noise(both, n_resamples, rng)
    centred = _gains(sums + noise)
    centred -= centred.mean()
    held = np.concatenate([_held(side[0], w / mass) for side in (reference, model)])
    even = _without_gain(held * np.repeat(sums.reshape(2, _BINS).sum(axis=1), _BINS), sums)
    nulls = swapped, _gains(_without_gain(sums, sums) + noise), _gains(even + noise), centred
    low, high = np.quantile(gain + centred, [alpha / 2, 1 - alpha / 2])
    se = float(centred.std(ddof=1))
    se_null = max(se, float(swapped.std(ddof=1)))
    return PairedTest(
        gain=gain,
        low=float(low),
        high=float(high),
        p_gain=max(_share(null >= gain - _TIE) for null in nulls),
        p_violation=max(_share(null <= gain + _TIE) for null in nulls),
        n=int((w > 0).sum()),
        test="swap permutation",
        se=se,
        se_null=se_null,
        rows_needed=float(rows_needed(gain, se, n, alpha / 2, se_null=se_null)),
    )


def _share(extreme: np.ndarray) -> float:
    """Share of draws, the observed one among them, that are as extreme."""
    return float((1 + extreme.sum()) / (1 + len(extreme)))


def _gains(sums: np.ndarray) -> np.ndarray:
    """Calibration error of the reference, ten bins, minus that of the model, the next ten."""
    size = np.abs(sums)
    return size[..., :_BINS].sum(axis=-1) - size[..., _BINS:].sum(axis=-1)


def _without_gain(sums: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Scale sums of both models to the mean of the errors seen; to 0 if one errs nowhere."""
    size, mean = (np.abs(part.reshape(2, _BINS)).sum(axis=1) for part in (sums, seen))
    if size.min() <= 0:
        return np.zeros_like(sums)
    return sums * np.repeat(mean.mean() / size, _BINS)


def _held(confidence: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Share of the rows in every bin, shape (10,)."""
    return np.bincount(np.searchsorted(_EDGES, confidence, side="left"), w, minlength=_BINS)


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


def _sampling_noise(
    both: sparse.csr_matrix, n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Gaussian noise with the covariance of the twenty bin sums, shape (n_resamples, 20)."""
    sums = np.asarray(both.sum(axis=0)).ravel()
    units = both.shape[0]
    covariance = (both.T @ both).toarray() - np.outer(sums, sums) / units
    covariance *= units / max(units - 1, 1)
    return rng.standard_normal((n_resamples, len(sums))) @ _root(covariance).T
