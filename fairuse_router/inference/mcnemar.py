"""McNemar's test for 0-1 losses: only the rows on which one of two models errs bear evidence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special, stats

from fairuse_router.inference.result import PairedTest, rows_needed

__all__ = ["mcnemar", "mcnemar_power", "mcnemar_rows"]


def mcnemar(b: Any, c: Any, n: Any, *, mid_p: bool = False, alpha: float = 0.1) -> PairedTest:
    """Compare two error rates on the same rows.

    Parameters
    ----------
    b : int or array_like of int
        Rows that only the reference gets wrong: evidence of a gain.
    c : int or array_like of int
        Rows that only the model gets wrong: evidence of a violation.
    n : int or array_like of int
        All rows compared.
    mid_p : bool, default=False
        False: the exact conditional test, whose level never exceeds its nominal one. True: half of
        the probability of the observed table counts, which is nearer to nominal and more powerful
        (Fagerland, Lydersen, Laake 2013).
    alpha : float, default=0.1
        The interval has level ``1 - alpha``.

    Returns
    -------
    PairedTest
        ``gain = (b - c) / n``; the interval is Bonett and Price's (2012), an adjusted Wald interval
        with one row added to each discordant cell.

    Raises
    ------
    ValueError
        If counts are negative or ``b + c > n``.

    Examples
    --------
    >>> test = mcnemar(9, 1, 40)
    >>> round(float(test.p_gain), 5), float(test.gain)  # 11 / 1024
    (0.01074, 0.2)
    """
    b, c, n = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (b, c, n)))
    if (np.minimum(b, c) < 0).any() or (b + c > n).any():
        raise ValueError("mcnemar: need counts b >= 0, c >= 0 and b + c <= n in every comparison.")
    some = n > 0
    p_gain, p_violation = _binomial_tail(b, b + c, mid_p), _binomial_tail(c, b + c, mid_p)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain, share = (b - c) / n, (b + c) / n
        se = np.sqrt(np.maximum(share - gain**2, 0) / n)
        se_null = np.sqrt(share / n)
    z = -special.ndtri(alpha / 2)
    centre, spread = (b - c) / (n + 2), (b + c + 2) / (n + 2)
    half = z * np.sqrt((spread - centre**2) / (n + 2))
    return PairedTest(
        gain=gain[()],
        low=np.where(some, np.maximum(centre - half, -1), np.nan)[()],
        high=np.where(some, np.minimum(centre + half, 1), np.nan)[()],
        p_gain=np.where(some, p_gain, np.nan)[()],
        p_violation=np.where(some, p_violation, np.nan)[()],
        n=n.astype(int)[()],
        test="mid-p McNemar" if mid_p else "exact McNemar",
        se=se[()],
        se_null=se_null[()],
        rows_needed=rows_needed(gain, se, n, alpha / 2, se_null=se_null),
        reason=np.where(some, "", "no rows")[()],
    )


def _binomial_tail(k: np.ndarray, s: np.ndarray, mid_p: bool) -> np.ndarray:
    """P(X >= k) for X ~ Bin(s, 1/2), the observed k counting half under mid-p."""
    at_least = _at_least(k, s)
    return (at_least + _at_least(k + 1, s)) / 2 if mid_p else at_least


def _at_least(k: np.ndarray, s: np.ndarray) -> np.ndarray:
    """P(X >= k) for X ~ Bin(s, 1/2), any whole k >= 0, by the incomplete beta function."""
    inside = (k > 0) & (k <= s)
    tail = special.betainc(np.where(inside, k, 1), np.where(inside, s - k + 1, 1), 0.5)
    return np.where(k <= 0, 1.0, np.where(k > s, 0.0, tail))


def mcnemar_power(
    n: int, gain: float, discordant: float, alpha: float = 0.1, *, mid_p: bool = False
) -> float:
    """Return the exact chance that McNemar's one-sided test finds a gain.

    Parameters
    ----------
    n : int
        Rows.
    gain : float
        The true gain, between 0 and ``discordant``.
    discordant : float
        The share of rows on which exactly one of the two models errs, in (0, 1].
    alpha : float, default=0.1
        One-sided level.
    mid_p : bool, default=False
        Which of the two tests, as in `mcnemar`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If gain and discordant cannot go together.

    Examples
    --------
    >>> round(mcnemar_power(500, gain=0.05, discordant=0.15), 3)
    0.937
    """
    _check_effect(gain, discordant)
    s = _likely(n, discordant)
    crit = _critical(s, alpha, mid_p)
    reject = stats.binom.sf(crit - 1, s, (1 + gain / discordant) / 2)
    return float(stats.binom.pmf(s, n, discordant) @ reject)


def _likely(n: int, share: float) -> np.ndarray:
    """Values of Bin(n, share) that together miss less than 1e-15 of its mass."""
    spread = 8.5 * math.sqrt(n * share * (1 - share)) + 20
    return np.arange(max(0, int(n * share - spread)), min(n, int(n * share + spread)) + 1)


def _critical(s: np.ndarray, alpha: float, mid_p: bool) -> np.ndarray:
    """Smallest b of s discordant rows that the test rejects at; s + 1 if there is none."""
    crit = stats.binom.isf(alpha, s, 0.5).astype(int) - 1
    for _ in range(3):
        crit = np.where(_binomial_tail(np.maximum(crit, 0), s, mid_p) > alpha, crit + 1, crit)
    return np.clip(crit, 0, s + 1)


def mcnemar_rows(
    gain: float,
    discordant: float,
    alpha: float = 0.1,
    power: float = 0.8,
    *,
    mid_p: bool = False,
) -> int:
    """Return the rows at which McNemar's one-sided test finds a gain with the wanted power.

    Parameters
    ----------
    gain, discordant : float
        As in `mcnemar_power`.
    alpha : float, default=0.1
        Level of the test.
    power : float, default=0.8
        Wanted chance of finding the gain.
    mid_p : bool, default=False
        As in `mcnemar_power`.

    Returns
    -------
    int
        Found by bisection on the exact power, which is a little saw-toothed in the rows.

    Raises
    ------
    ValueError
        If gain and discordant cannot go together or gain is 0.

    Examples
    --------
    >>> mcnemar_rows(gain=0.02, discordant=0.1)
    1211
    """
    _check_effect(gain, discordant)
    if gain <= 0:
        raise ValueError(f"gain={gain}: no number of rows finds a gain of 0; give one above 0.")
    low, high = 0, 8
    while mcnemar_power(high, gain, discordant, alpha, mid_p=mid_p) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = mcnemar_power(middle, gain, discordant, alpha, mid_p=mid_p) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _check_effect(gain: float, discordant: float) -> None:
    """Refuse effects that no pair of models can have."""
    if not 0 <= gain <= discordant or not 0 < discordant <= 1:
        raise ValueError(
            f"gain={gain}, discordant={discordant}: the gain must lie between 0 and the share of "
            "rows on which exactly one model errs, and that share in (0, 1]."
        )
