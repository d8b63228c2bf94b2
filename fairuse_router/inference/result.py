"""What a paired test answers, and the verdict that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import special

__all__ = ["PairedTest", "rows_needed", "stack_tests", "verdict"]


@dataclass(frozen=True)
class PairedTest:
    """The gain of a model over a reference, with an interval and both p-values.

    Every number is a float, or an array when the test was given arrays: one entry per comparison.
    nan means that it cannot be said; ``reason`` then says why.

    Parameters
    ----------
    gain : float or ndarray
        Risk of the reference minus risk of the model, on these rows.
    low, high : float or ndarray
        Two-sided confidence interval of the gain at level ``1 - alpha``.
    p_gain : float or ndarray
        One-sided p-value of H0: gain <= 0; small is evidence of a gain.
    p_violation : float or ndarray
        One-sided p-value of H0: gain >= 0; small is evidence of a violation.
    n : int or ndarray
        Rows compared.
    test : str
        Name of the test.
    se : float or ndarray
        Standard error of the gain.
    se_null : float or ndarray
        Standard error of the gain if there were none.
    rows_needed : float or ndarray
        Rows still needed to tell the observed gain from none with 80% power, see `rows_needed`.
    reason : str or ndarray
        Why nothing could be tested; empty otherwise.

    Examples
    --------
    >>> from fairuse_router.inference import mcnemar
    >>> test = mcnemar([9, 0], [1, 0], [40, 0])
    >>> print(test.at(1).reason)
    no rows
    """

    gain: Any
    low: Any
    high: Any
    p_gain: Any
    p_violation: Any
    n: Any
    test: str
    se: Any
    se_null: Any
    rows_needed: Any
    reason: Any = ""

    def at(self, index: Any) -> PairedTest:
        """Return one comparison, or some, out of many."""

        def pick(value: Any) -> Any:
            return value if isinstance(value, str) else np.asarray(value)[index]

        changed = {
            name: pick(getattr(self, name))
            for name in self.__dataclass_fields__
            if np.ndim(getattr(self, name))
        }
        return replace(self, **changed)


def stack_tests(tests: Sequence[PairedTest]) -> PairedTest:
    """Put comparisons made one by one, by one test, into arrays.

    Examples
    --------
    >>> from fairuse_router.inference import mcnemar
    >>> stack_tests([mcnemar(3, 1, 10), mcnemar(1, 2, 10)]).gain
    array([ 0.2, -0.1])
    """
    values = {
        name: np.array([getattr(test, name) for test in tests])
        for name in PairedTest.__dataclass_fields__
        if name != "test"
    }
    return PairedTest(test=tests[0].test, **values)


def rows_needed(
    gain: Any, se: Any, n: Any, alpha: float = 0.05, power: float = 0.8, se_null: Any = None
) -> Any:
    """Return how many more rows would tell the observed gain from none.

    Parameters
    ----------
    gain, se : float or ndarray
        The observed gain and its standard error on ``n`` rows.
    n : int or ndarray
        Rows so far.
    alpha : float, default=0.05
        One-sided level of the test that is to tell.
    power : float, default=0.8
        Chance that it does, were the observed gain the true one.
    se_null : float or ndarray, default=None
        Standard error if there were no gain; None means the same as ``se``.

    Returns
    -------
    float or ndarray
        Whole rows, 0 if there are enough; nan where the gain is 0 or unknown.

    Notes
    -----
    ``n ((z_alpha se_null + z_power se) / gain)**2 - n``: Connor (1987) for McNemar's test.

    Examples
    --------
    >>> float(rows_needed(0.02, 0.015, 1000))
    2478.0
    """
    gain, n = np.asarray(gain, float), np.asarray(n, float)
    null = np.asarray(se if se_null is None else se_null, float)
    reach = -special.ndtri(alpha) * null + special.ndtri(power) * np.asarray(se, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = n * (reach / gain) ** 2
        more = np.maximum(np.ceil(total - n), 0)
    return np.where(np.isfinite(more) & (gain != 0), more, np.nan)[()]


def verdict(
    p_gain: float, p_violation: float, alpha: float = 0.1
) -> Literal["gain", "violation", "undetermined"]:
    """Return what the two p-values allow to say at level ``alpha``.

    Parameters
    ----------
    p_gain, p_violation : float
        As in `PairedTest`, corrected for multiplicity or not; nan if nothing could be tested.
    alpha : float, default=0.1
        Level of each of the two one-sided tests.

    Returns
    -------
    {"gain", "violation", "undetermined"}

    Examples
    --------
    >>> verdict(0.01, 0.99), verdict(0.98, 0.02), verdict(0.4, 0.6), verdict(np.nan, np.nan)
    ('gain', 'violation', 'undetermined', 'undetermined')
    """
    if p_gain <= alpha and p_gain <= p_violation:
        return "gain"
    return "violation" if p_violation <= alpha else "undetermined"
