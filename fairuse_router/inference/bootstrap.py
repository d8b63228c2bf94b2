"""Paired bootstrap for any metric, and its exact form for 0-1 losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from fairuse_router.inference.mcnemar import mcnemar
from fairuse_router.inference.result import PairedTest, rows_needed

__all__ = ["area_replicates", "exact_bootstrap", "mean_replicates", "paired_bootstrap"]

Replicates = Callable[[np.ndarray], np.ndarray]
_CHUNK = 4_000_000


def paired_bootstrap(
    replicates: Replicates,
    n: int,
    *,
    strata: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    n_resamples: int = 1000,
    seed: int | np.random.Generator = 0,
    alpha: float = 0.1,
) -> PairedTest:
    """Test a gain by resampling rows, both models on the same resample.

    Parameters
    ----------
    replicates : callable
        Given counts of shape (B, n), how often each row is drawn, returns the B gains; nan where
        undefined. See `mean_replicates` and `area_replicates`.
    n : int
        Rows.
    strata : ndarray of shape (n,), default=None
        Resample within these (the classes, for AUC).
    clusters : ndarray of shape (n,), default=None
        Resample whole clusters instead of rows; not together with strata.
    n_resamples : int, default=1000
        B.
    seed : int or Generator, default=0
        Source of randomness.
    alpha : float, default=0.1
        The percentile interval has level ``1 - alpha``.

    Returns
    -------
    PairedTest
        ``p_gain`` is the share of resamples without a gain, a tie being none, one resample added
        to both counts; nan if more than a tenth of the resamples are undefined.

    Raises
    ------
    ValueError
        If strata and clusters are both given.

    Examples
    --------
    >>> gains = np.array([0.3, -0.1, 0.4, 0.2, 0.1] * 8)
    >>> test = paired_bootstrap(mean_replicates(gains), 40)
    >>> bool(test.low > 0), bool(test.p_gain < 0.01)
    (True, True)
    """
    if strata is not None and clusters is not None:
        raise ValueError("paired_bootstrap: give strata or clusters, not both.")
    gain = float(replicates(np.ones((1, n)))[0]) if n else math.nan
    if not math.isfinite(gain):
        return _undetermined(gain, n, "no rows" if n == 0 else "the metric is undefined here")
    rng = np.random.default_rng(seed)
    chunks = _counts(n, strata, clusters, n_resamples, rng)
    drawn = np.concatenate([replicates(chunk) for chunk in chunks])
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 0.9 * n_resamples:
        return _undetermined(gain, n, "undefined in most resamples")
    tolerance = 1e-12 * max(1.0, abs(gain))
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    se = float(drawn.std(ddof=1))
    return PairedTest(
        gain=gain,
        low=float(low),
        high=float(high),
        p_gain=float((1 + (drawn <= tolerance).sum()) / (1 + len(drawn))),
        p_violation=float((1 + (drawn >= -tolerance).sum()) / (1 + len(drawn))),
        n=n,
        test="paired bootstrap",
        se=se,
        se_null=se,
        rows_needed=float(rows_needed(gain, se, n, alpha / 2)),
    )


def _undetermined(gain: float, n: int, reason: str) -> PairedTest:
    """Return a comparison that could not be made."""
    nan = math.nan
    return PairedTest(gain, nan, nan, nan, nan, n, "paired bootstrap", nan, nan, nan, reason)


def _counts(
    n: int,
    strata: np.ndarray | None,
    clusters: np.ndarray | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Draw counts of shape (b, n) in chunks that fit the cache of a modest machine."""
    labels = np.zeros(n, dtype=int) if strata is None else np.asarray(strata)
    parts = [np.flatnonzero(labels == s) for s in np.unique(labels)]
    unit = np.arange(n)
    if clusters is not None:
        unit = np.unique(clusters, return_inverse=True)[1].reshape(-1)
        parts = [np.arange(unit.max() + 1)]
    size = sum(map(len, parts))
    step = max(1, _CHUNK // n)
    for start in range(0, n_resamples, step):
        b = min(step, n_resamples - start)
        counts = np.zeros((b, size))
        for part in parts:
            drawn = part[rng.integers(0, len(part), (b, len(part)))]
            flat = (drawn + size * np.arange(b)[:, None]).ravel()
            counts += np.bincount(flat, minlength=b * size).reshape(b, size)
        yield counts if clusters is None else counts[:, unit]


def mean_replicates(gain_rows: np.ndarray, weight: np.ndarray | None = None) -> Replicates:
    """Return replicates of a mean gain.

    Parameters
    ----------
    gain_rows : ndarray of shape (n,)
        Loss of the reference minus loss of the model.
    weight : ndarray of shape (n,), default=None
        Row weights.

    Returns
    -------
    callable
        For `paired_bootstrap`.

    Examples
    --------
    >>> mean_replicates(np.array([1.0, 0.0]))(np.array([[2.0, 0.0], [1.0, 1.0]]))
    array([1. , 0.5])
    """
    w = np.ones(len(gain_rows)) if weight is None else weight
    both = np.column_stack([w * gain_rows, w])

    def replicates(counts: np.ndarray) -> np.ndarray:
        total = counts @ both
        with np.errstate(invalid="ignore", divide="ignore"):
            return total[:, 0] / total[:, 1]

    return replicates


def area_replicates(
    y: np.ndarray, reference: np.ndarray, model: np.ndarray, weight: np.ndarray | None = None
) -> Replicates:
    """Return replicates of a gain in AUC (two classes).

    Parameters
    ----------
    y : ndarray of int of shape (n,)
        1 for the positive class.
    reference, model : ndarray of shape (n,)
        Scores of the positive class.
    weight : ndarray of shape (n,), default=None
        Row weights.

    Returns
    -------
    callable
        For `paired_bootstrap`, with ``strata=y``.

    Examples
    --------
    >>> y = np.array([0, 1])
    >>> area_replicates(y, np.array([0.5, 0.5]), np.array([0.1, 0.9]))(np.ones((1, 2)))
    array([0.5])
    """
    w = np.ones(len(y)) if weight is None else weight
    positive = y == 1

    def areas(score: np.ndarray) -> Replicates:
        order = np.argsort(score)
        starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])

        def area(counts: np.ndarray) -> np.ndarray:
            mass = (counts * w)[:, order]
            up = np.add.reduceat(mass * positive[order], starts, axis=1)
            down = np.add.reduceat(mass * ~positive[order], starts, axis=1)
            won = (up * (np.cumsum(down, axis=1) - down / 2)).sum(axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                return won / (up.sum(axis=1) * down.sum(axis=1))

        return area

    first, second = areas(reference), areas(model)
    return lambda counts: second(counts) - first(counts)


def exact_bootstrap(b: int, c: int, n: int, alpha: float = 0.1) -> PairedTest:
    """Test a gain in error rate by the bootstrap with infinitely many resamples.

    The discordant rows of a resample number ``s ~ Bin(n, (b + c) / n)``, those in favour of the
    model ``Bin(s, b / (b + c))``, and there is no gain when the latter is at most ``s / 2``.

    Parameters
    ----------
    b, c, n : int
        As in `mcnemar`.
    alpha : float, default=0.1
        The interval, Bonett and Price's, has level ``1 - alpha``.

    Returns
    -------
    PairedTest
        Both p-values are 1 where ``b + c = 0``.

    Raises
    ------
    ValueError
        If counts are negative or ``b + c > n``.

    Examples
    --------
    >>> round(exact_bootstrap(9, 1, 40).p_gain, 5)
    0.00326
    """
    base = mcnemar(b, c, n, alpha=alpha)
    values = {name: getattr(base, name) for name in base.__dataclass_fields__}
    values["test"] = "exact bootstrap"
    if n > 0:
        values["p_gain"] = _no_gain(b, c, n)
        values["p_violation"] = _no_gain(c, b, n)
    return PairedTest(**values)


def _no_gain(b: int, c: int, n: int) -> float:
    """P(gain <= 0) over resamples."""
    if b + c == 0:
        return 1.0
    share = (b + c) / n
    spread = 8.5 * math.sqrt(n * share * (1 - share)) + 20
    s = np.arange(max(0, int(b + c - spread)), min(n, int(b + c + spread)) + 1)
    return float(stats.binom.pmf(s, n, share) @ stats.binom.cdf(s // 2, s, b / (b + c)))
