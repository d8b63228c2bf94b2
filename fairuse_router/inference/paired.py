"""Paired t-test on per-row gains, with weights and clusters, from sums that add up over parts."""

from __future__ import annotations

import numpy as np
from scipy import special

from fairuse_router.inference.result import PairedTest, rows_needed

__all__ = ["paired_t", "paired_t_from_sums", "row_sums"]

_POWERS = ((0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (0, 3), (1, 2), (2, 1), (3, 0))


def row_sums(
    gain_rows: np.ndarray,
    group: np.ndarray,
    m: int,
    weight: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
) -> np.ndarray:
    """Return the sums over rows, per group, that a paired t-test needs.

    A unit is a row, or a cluster within a group: ``u`` is its sum of weight x gain, ``v`` its sum
    of weights.

    Parameters
    ----------
    gain_rows : ndarray of shape (n,)
        Loss of the reference minus loss of the model.
    group : ndarray of int of shape (n,)
        Group of each row in 0..m-1; -1 belongs to none.
    m : int
        Number of groups.
    weight : ndarray of shape (n,), default=None
        Row weights; rows of weight 0 do not exist.
    clusters : ndarray of shape (n,), default=None
        Rows of one cluster are not independent.

    Returns
    -------
    ndarray of shape (10, m)
        Rows, then the sums over units of ``v, u, v^2, uv, u^2, v^3, uv^2, u^2 v, u^3``. Sums of
        parts that share no cluster add up.

    Examples
    --------
    >>> row_sums(np.array([0.5, -0.5, 1.0]), np.array([0, 0, 1]), 2)[:3]
    array([[2., 1.],
           [2., 1.],
           [0., 1.]])
    """
    used = group >= 0 if weight is None else (group >= 0) & (weight > 0)
    if not used.all():
        gain_rows, group = gain_rows[used], group[used]
        weight = None if weight is None else weight[used]
        clusters = None if clusters is None else clusters[used]

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, weights=values, minlength=m)

    rows = np.bincount(group, minlength=m).astype(float)
    with np.errstate(invalid="ignore"):  # infinite losses: the test will say so
        if weight is None and clusters is None:
            squares = gain_rows * gain_rows  # numpy's powers are 10 times slower
            g1, g2, g3 = (total(x) for x in (gain_rows, squares, squares * gain_rows))
            return np.stack([rows, rows, g1, rows, g1, g2, rows, g1, g2, g3])
        v = np.ones(len(gain_rows)) if weight is None else weight
        u = v * gain_rows
        if clusters is not None:
            label = np.unique(clusters, return_inverse=True)[1].reshape(-1)
            key, unit = np.unique(group * (len(label) + 1) + label, return_inverse=True)
            u, v = (np.bincount(unit, weights=x, minlength=len(key)) for x in (u, v))
            group = key // (len(label) + 1)
        return np.vstack([rows, powers(u, v, group, m)])


def powers(u: np.ndarray, v: np.ndarray, group: np.ndarray, m: int) -> np.ndarray:
    """Sums of units with ``u`` and ``v`` of shape (k,), as those of `row_sums` after the rows."""
    return np.stack([np.bincount(group, weights=u**i * v**j, minlength=m) for i, j in _POWERS])


def paired_t_from_sums(
    sums: np.ndarray, alpha: float = 0.1, *, span: float | None = None
) -> PairedTest:
    """Test mean gains given their `row_sums`.

    Two tests are made and the larger p-value, the wider bound, is returned: Student's t, and t
    after Hall's (1992) cubic transformation that removes its skewness. Per-row gains of a proper
    score are often skewed; t alone then rejects at 0.14 instead of 0.10 with 25 rows.

    Parameters
    ----------
    sums : ndarray of shape (10, ...)
        As `row_sums` returns, or added up from several.
    alpha : float, default=0.1
        The interval has level ``1 - alpha``.
    span : float, default=None
        Largest gain that a row can have, 1 for error. Where no row differs the interval is then
        Bonett and Price's for k rows, as without weights in `mcnemar`: that none of k rows differs
        does not show that none would. None, for a loss without bound: the interval is [0, 0].

    Returns
    -------
    PairedTest
        The variance of the mean is cluster-robust (linearization of a ratio mean). With k effective
        units, ``k = (sum v)^2 / sum v^2``, there are ``k (k - 1) / (2k - 1)`` degrees of freedom,
        half of the usual: a variance is known only half as well where the excess kurtosis is 2
        (O'Neill 2014), as it is about for gains in a score; few rows would reject too often. nan
        where there are fewer than two units, losses are infinite, or every unit gains the same.

    Examples
    --------
    >>> gains = np.array([0.3, -0.1, 0.4, 0.2, 0.1])
    >>> test = paired_t_from_sums(row_sums(gains, np.zeros(5, int), 1))
    >>> test.gain.round(2), test.p_gain.round(3)
    (array([0.18]), array([0.099]))
    """
    n, v, u, vv, uv, uu, vvv, uvv, uuv, uuu = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = u / v
        units = v**2 / vv
        s2 = uu - 2 * gain * uv + gain**2 * vv
        s3 = uuu - 3 * gain * uuv + 3 * gain**2 * uvv - gain**3 * vvv
        same = s2 <= 1e-12 * uu
        reason = _reasons(n, units, gain, same)
        good = (reason == "") & ~same
        df = np.where(good, units * (units - 1) / (2 * units - 1), 1.0)
        se = np.sqrt(np.where(good, s2 * units / (units - 1), np.nan)) / v
        q = np.where(good, s3 / np.where(good, s2, 1.0) ** 1.5, np.nan)
        t = gain / se
        hall = t + q * t**2 / 3 + q**2 * t**3 / 27 + q / 6
    p_gain = np.maximum(special.stdtr(df, -t), special.stdtr(df, -hall))
    p_violation = np.maximum(special.stdtr(df, t), special.stdtr(df, hall))
    reach = special.stdtrit(df, 1 - alpha / 2)
    down, up = (
        np.minimum(-reach, _hall_inverse(-reach, q)),
        np.maximum(reach, _hall_inverse(reach, q)),
    )
    still = (reason == "") & same
    unseen = _unseen(units, alpha, span)
    return PairedTest(
        gain=gain,
        low=np.where(still, -unseen, gain - up * se),
        high=np.where(still, unseen, gain - down * se),
        p_gain=np.where(still, 1.0, p_gain),
        p_violation=np.where(still, 1.0, p_violation),
        n=n.astype(int),
        test="paired t",
        se=np.where(still, 0.0, se),
        se_null=np.where(still, 0.0, se),
        rows_needed=rows_needed(gain, se, n, alpha / 2),
        reason=reason,
    )


def _unseen(units: np.ndarray, alpha: float, span: float | None) -> np.ndarray:
    """Half the width of Bonett and Price's interval when no row differs; 0 without a span."""
    if span is None:
        return np.zeros(np.shape(units))
    return span * np.minimum(-special.ndtri(alpha / 2) * np.sqrt(2) / (units + 2), 1)


def _hall_inverse(x: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Solve ``t + q t^2 / 3 + q^2 t^3 / 27 + q / 6 = x`` for t."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(q) < 1e-9, x, 3 * (np.cbrt(1 + q * (x - q / 6)) - 1) / q)


def _reasons(n: np.ndarray, units: np.ndarray, gain: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Why each comparison cannot be tested; '' if it can."""
    return np.select(
        [n == 0, ~np.isfinite(gain), ~(units >= 2 - 1e-9), same & (gain != 0)],
        [
            "no rows",
            "infinite loss",
            "fewer than two independent rows",
            "every row gains the same: no variance to judge by",
        ],
        "",
    )


def paired_t(
    gain_rows: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    alpha: float = 0.1,
    span: float | None = None,
) -> PairedTest:
    """Test the mean of per-row gains; see `paired_t_from_sums`.

    Parameters
    ----------
    gain_rows : ndarray of shape (n,)
        Loss of the reference minus loss of the model.
    weight, clusters : ndarray of shape (n,), default=None
        As in `row_sums`.
    alpha : float, default=0.1
        The interval has level ``1 - alpha``.
    span : float, default=None
        As in `paired_t_from_sums`.

    Returns
    -------
    PairedTest

    Examples
    --------
    >>> paired_t(np.array([0.3, -0.1, 0.4, 0.2, 0.1])).p_gain.round(3)
    np.float64(0.099)
    """
    group = np.zeros(len(gain_rows), dtype=int)
    sums = row_sums(gain_rows, group, 1, weight, clusters)
    return paired_t_from_sums(sums, alpha, span=span).at(0)
