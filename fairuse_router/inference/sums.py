"""Tests that need of the rows no more than their `row_sums`, which add up over parts."""

from __future__ import annotations

import numpy as np

from fairuse_router.inference.bootstrap import exact_bootstrap
from fairuse_router.inference.lattice import lattice_test
from fairuse_router.inference.mcnemar import mcnemar
from fairuse_router.inference.paired import paired_t_from_sums
from fairuse_router.inference.result import PairedTest, stack_tests
from fairuse_router.metrics import named_metric

__all__ = ["COUNT_TESTS", "PLAIN_TESTS", "error_sums", "judge_sums"]

COUNT_TESTS = ("mid-p McNemar", "exact McNemar", "exact bootstrap")
PLAIN_TESTS = (*COUNT_TESTS, "lattice")  # of rows that count once and independently


def span_of(metric: str) -> float | None:
    """Largest difference of two row losses, where intervals may rest on it."""
    return 1.0 if named_metric(metric).zero_one else None


def error_sums(gain: np.ndarray, groups: np.ndarray, m: int) -> np.ndarray:
    """As `row_sums` for gains of -1, 0, 1, by one count.

    Parameters
    ----------
    gain : ndarray of shape (n,)
    groups : ndarray of int of shape (n,)
        -1 belongs to none.
    m : int

    Returns
    -------
    ndarray of shape (10, m)

    Examples
    --------
    >>> error_sums(np.array([1, 0, -1, 1]), np.array([0, 0, 0, 1]), 2)[[0, 2, 5]]
    array([[3., 1.],
           [0., 1.],
           [2., 1.]])
    """
    member = groups >= 0
    if not member.all():
        groups, gain = groups[member], gain[member]
    key = 3 * groups + gain.astype(np.int64) + 1
    worse, same, better = np.bincount(key, minlength=3 * m).reshape(m, 3).T.astype(float)
    n, u, uu = worse + same + better, better - worse, better + worse
    return np.stack([n, n, u, n, u, uu, n, u, uu, u])


def judge_sums(metric: str, sums: np.ndarray, test: str, alpha: float) -> PairedTest:
    """Test mean gains given their `row_sums`.

    Parameters
    ----------
    metric : str
        One that is a mean over rows.
    sums : ndarray of shape (10, ...)
        As `row_sums` returns, or added up from several parts; for ``"lattice"`` `lattice_counts`.
    test : str
        ``"paired t"``; of rows that count once each, for error and rates one of `COUNT_TESTS`, for
        net benefit and costs ``"lattice"``.
    alpha : float
        Intervals have level ``1 - alpha``.

    Returns
    -------
    PairedTest
        Arrays of the shape of the sums without their first axis.

    Examples
    --------
    >>> gain, groups = np.array([1, 1, 0, -1, 0, 0]), np.zeros(6, int)
    >>> judge_sums("error", error_sums(gain, groups, 1), "mid-p McNemar", 0.1).p_gain
    array([0.3125])
    """
    if test == "lattice":
        return lattice_test(sums, named_metric(metric).steps or (1.0, 1.0), alpha)
    if test == "paired t":
        return paired_t_from_sums(sums, alpha, span=span_of(metric))
    n, better_minus_worse, either = sums[0], sums[2], sums[5]
    b, c = (either + better_minus_worse) / 2, (either - better_minus_worse) / 2
    if test == "exact bootstrap":
        return _exact_bootstraps(b, c, n, alpha)
    return mcnemar(b, c, n, mid_p=test == "mid-p McNemar", alpha=alpha)


def _exact_bootstraps(b: np.ndarray, c: np.ndarray, n: np.ndarray, alpha: float) -> PairedTest:
    """`exact_bootstrap` of every comparison."""
    counts = np.stack([b, c, n], axis=-1).reshape(-1, 3).astype(int).tolist()
    flat = stack_tests([exact_bootstrap(i, j, k, alpha) for i, j, k in counts])
    shaped = {
        name: np.reshape(getattr(flat, name), b.shape)
        for name in flat.__dataclass_fields__
        if name != "test"
    }
    return PairedTest(test=flat.test, **shaped)
