"""How many rows a group needs before a gain can be told, by three routes.

The bound of Proposition 4 (Suriyakumar, Ghassemi, Ustun 2023) is for gains measured in training
and pays for the richness of the model class. A held-out sample pays nothing for it: Hoeffding's
inequality holds for any two models, and the test in use needs fewer rows still, if one knows on
what share of rows the two models disagree in correctness.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fairuse_router.inference.mcnemar import mcnemar_rows

__all__ = ["SampleSize", "hoeffding_rows", "sample_size", "vc_rows"]


@dataclass(frozen=True)
class SampleSize:
    """Rows per group needed to tell a gain in error rate.

    Parameters
    ----------
    training : int or None
        By the VC bound, for gains measured on training rows; None without a VC dimension.
    held_out : int
        By Hoeffding's inequality, for gains measured on held-out rows, whatever the models.
    test : int
        By the exact McNemar test at 80% power, given the share of discordant rows.

    Examples
    --------
    >>> need = sample_size(0.05, n_groups=6)
    >>> need.training, need.held_out, need.test
    (None, 3830, 863)
    """

    training: int | None
    held_out: int
    test: int

    def __str__(self) -> str:
        training = "" if self.training is None else f"training rows (VC bound): {self.training:,}\n"
        return (
            f"{training}held-out rows (any models): {self.held_out:,}\n"
            f"held-out rows (McNemar, 80% power): {self.test:,}"
        )


def vc_rows(gain: float, vc_dim: float, delta: float = 0.05, n_groups: int = 1) -> int:
    """Return the training rows after which an observed gain is a true one, by the VC bound.

    Corrects Prop. 4 of Suriyakumar et al. 2023: the factor 4 covers the whole numerator and the
    bracket is ``log(2n/D) + 1``, so that ``n >= 4 (D (log(2n/D) + 1) + log(8 m/delta)) / gain^2``.
    Holds for the 0-1 loss only.

    Parameters
    ----------
    gain : float
        Gain in error rate on the training rows of the group, in (0, 1].
    vc_dim : float
        VC dimension D of the model class; d + 1 for a linear classifier on d features.
    delta : float, default=0.05
        Allowed chance of being wrong.
    n_groups : int, default=1
        1 for rationality; the number of groups m for envy-freeness.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> vc_rows(0.05, vc_dim=11)
    211531
    """
    _check(gain, delta, n_groups)
    if vc_dim <= 0:
        raise ValueError(f"vc_dim={vc_dim}: a VC dimension is positive.")
    tail = math.log(8 * n_groups / delta)
    return _least(
        lambda n: 4 * (vc_dim * (math.log(2 * n / vc_dim) + 1) + tail) / gain**2, start=vc_dim / 2
    )


def _least(bound: Callable[[float], float], start: float) -> int:
    """Largest fixed point of a slowly growing bound, rounded up: above it n >= bound(n)."""
    n = max(bound(start + 1), start + 1)
    while bound(n) > n:
        n *= 2
    for _ in range(200):
        n = bound(n)
    return math.ceil(n)


def hoeffding_rows(gain: float, delta: float = 0.05, n_tests: int = 1) -> int:
    """Return the held-out rows that bound the error of a gain by itself, whatever the models.

    ``2 log(n_tests / delta) / gain^2``: Hoeffding (1963) for differences of two losses in [0, 1].

    Parameters
    ----------
    gain : float
        Gain to tell from none, in (0, 1].
    delta : float, default=0.05
        Allowed chance of being wrong.
    n_tests : int, default=1
        Gains to be told at once (union bound).

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> hoeffding_rows(0.05), hoeffding_rows(0.05, n_tests=6)
    (2397, 3830)
    """
    _check(gain, delta, n_tests)
    return math.ceil(2 * math.log(n_tests / delta) / gain**2)


def sample_size(
    gain: float,
    *,
    discordant: float = 0.2,
    vc_dim: float | None = None,
    n_groups: int = 1,
    delta: float = 0.05,
) -> SampleSize:
    """Return the rows each group needs before a gain of this size can be told.

    Parameters
    ----------
    gain : float
        Gain in error rate, for example 0.02 for two points.
    discordant : float, default=0.2
        Share of rows on which exactly one of the two models errs; at least ``gain``.
    vc_dim : float, default=None
        VC dimension of the model class, for the training bound.
    n_groups : int, default=1
        Groups told at once: ``delta`` is divided among them.
    delta : float, default=0.05
        Allowed chance of being wrong.

    Returns
    -------
    SampleSize

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> print(sample_size(0.05, vc_dim=11, n_groups=6))
    training rows (VC bound): 214,655
    held-out rows (any models): 3,830
    held-out rows (McNemar, 80% power): 863
    """
    _check(gain, delta, n_groups)
    return SampleSize(
        training=None if vc_dim is None else vc_rows(gain, vc_dim, delta, n_groups),
        held_out=hoeffding_rows(gain, delta, n_groups),
        test=mcnemar_rows(gain, discordant, delta / n_groups),
    )


def _check(gain: float, delta: float, count: int) -> None:
    """Refuse numbers out of range."""
    if not 0 < gain <= 1:
        raise ValueError(f"gain={gain}: give a gain in error rate in (0, 1], e.g. 0.02.")
    if not 0 < delta < 1:
        raise ValueError(f"delta={delta}: give a probability in (0, 1), e.g. 0.05.")
    if count < 1:
        raise ValueError(f"the number of groups or tests is {count}; give at least 1.")
