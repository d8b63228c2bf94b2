"""Whether one gain is the same at several sites: Cochran's Q and I2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

__all__ = ["Heterogeneity", "cochran_q"]


@dataclass(frozen=True)
class Heterogeneity:
    """How far estimates differ beyond what their standard errors explain.

    Every number is a float, or an array when arrays were given; nan where fewer than two sites have
    a standard error.

    Parameters
    ----------
    sites : int or ndarray
        Sites that bear evidence.
    q : float or ndarray
        Cochran's Q.
    p : float or ndarray
        Of H0: all sites share one gain; chi-squared with ``sites - 1`` degrees of freedom.
    i2 : float or ndarray
        Share of the variance between the estimates that is not sampling, in [0, 1].
    """

    sites: Any
    q: Any
    p: Any
    i2: Any


def cochran_q(gain: Any, se: Any) -> Heterogeneity:
    """Return Cochran's Q (1954) and I2 (Higgins and Thompson 2002) over the first axis.

    Parameters
    ----------
    gain, se : array_like of shape (sites, ...)
        Estimates and their standard errors; sites of which one is nan, or the standard error is 0,
        do not count.

    Returns
    -------
    Heterogeneity

    Examples
    --------
    >>> found = cochran_q([0.1, 0.02, -0.06], [0.02, 0.02, 0.02])
    >>> round(float(found.q), 1), round(float(found.i2), 2), bool(found.p < 0.001)
    (32.0, 0.94, True)
    """
    gain, se = np.asarray(gain, dtype=float), np.asarray(se, dtype=float)
    known = np.isfinite(gain) & np.isfinite(se) & (se > 0)
    weight = np.where(known, 1 / np.where(known, se, 1.0) ** 2, 0.0)
    gain, sites = np.where(known, gain, 0.0), known.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weight * gain).sum(axis=0) / weight.sum(axis=0)
        q = np.where(sites >= 2, (weight * (gain - mean) ** 2).sum(axis=0), np.nan)
        i2 = np.where(q > 0, np.maximum(1 - (sites - 1) / q, 0), q * 0)
    return Heterogeneity(sites[()], q[()], special.chdtrc(np.maximum(sites - 1, 1), q)[()], i2[()])
