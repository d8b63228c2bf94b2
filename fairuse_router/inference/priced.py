"""What an option is worth to everybody, and what to the one group that it may harm.

In every group the option with the largest ``E - price H`` is chosen: E the points of everybody's
mean gain that it should bring, H the probability that it harms the group, `price` the points that
one harmed group is worth. E is believed from what all groups say, H from a sceptic who lets no
group borrow a gain. Over many populations this is the Lagrangian of the largest sum of gains
subject to the expected number of harmed groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from fairuse_router.inference.calibration_slope import SLOPES, slope_posterior
from fairuse_router.inference.directions import Direction, GroupRows
from fairuse_router.inference.expected_gain import Measure

__all__ = ["HARM", "LEAST", "DirectionEvidence", "Worth", "direction_evidence", "worth"]

HARM = 0.002  # a loss of less is none, in units in which a toss-up costs one half
LEAST = 0.001  # an expected gain of less is none: not worth asking anybody for
_SCEPTIC_MEAN = 0.2
_BLUR, _BLUR_OF_FEW = 0.02, 0.3


@dataclass(frozen=True)
class DirectionEvidence:
    """What the rows of each group say of a direction, and what its L options would gain.

    Parameters
    ----------
    log_lik : ndarray of shape (m, 33)
        Log-likelihood of every slope in `SLOPES`; 0 in groups without rows.
    gain : ndarray of shape (m, L, 33)
        Gain of every option if the slope were that.
    reach : ndarray of shape (m, L)
        How much the gain moves if probabilities do.
    size : ndarray of shape (m,)
        Effective number of rows.
    share : ndarray of shape (m,)
        Share of each group among all people.
    """

    log_lik: np.ndarray
    gain: np.ndarray
    reach: np.ndarray
    size: np.ndarray
    share: np.ndarray

    def times(self, factor: float) -> DirectionEvidence:
        """Evidence of more rows of the same kind."""
        return DirectionEvidence(
            self.log_lik * factor, self.gain, self.reach, self.size * factor, self.share
        )

    def together(self, into: np.ndarray, size: np.ndarray) -> DirectionEvidence:
        """Evidence of larger groups of independent rows, for a measure that adds.

        Parameters
        ----------
        into : ndarray of int, shape (m,)
            The larger group of each group, -1 for none.
        size : ndarray of shape (c,)
            Effective number of rows of the larger groups.
        """
        member = np.flatnonzero(into >= 0)
        share = np.bincount(into[member], self.share[member], len(size))
        part = self.share[member] / np.maximum(share, np.finfo(float).tiny)[into[member]]
        each = np.maximum(self.size, np.finfo(float).tiny)
        log_lik = np.zeros((len(size), self.log_lik.shape[1]))
        gain = np.zeros((len(size), *self.gain.shape[1:]))
        reach = np.zeros((len(size), self.reach.shape[1]))
        mean = (self.log_lik / each[:, None])[member]
        np.add.at(log_lik, into[member], part[:, None] * mean)
        np.add.at(gain, into[member], part[:, None, None] * self.gain[member])
        np.add.at(reach, into[member], part[:, None] * self.reach[member])
        return DirectionEvidence(size[:, None] * log_lik, gain, reach, size, share)


@dataclass(frozen=True)
class Worth:
    """Every option of a direction in every group.

    Parameters
    ----------
    gain : ndarray of shape (m, L)
        Expected gain in the group.
    harm : ndarray of shape (m, L)
        Probability, to a sceptic, that the group loses more than 0.2 points.
    value : ndarray of shape (m, L)
        Points of everybody's gain, less the price of harm; gains of less than 0.1 points in the
        group count as none.
    posterior : ndarray of shape (m, 33)
        Of the slope, given the rows of all groups.
    """

    gain: np.ndarray
    harm: np.ndarray
    value: np.ndarray
    posterior: np.ndarray


def direction_evidence(
    direction: Direction,
    groups: np.ndarray,
    m: int,
    measure: Measure,
    *,
    weight: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
) -> DirectionEvidence:
    """Reduce rows to the likelihood of the slope and the gains of every option, per group.

    Parameters
    ----------
    direction : Direction
    groups : ndarray of int, shape (n,)
        Group of each row in 0..m-1; rows of -1 are left out, but count as people.
    m : int
        Number of groups.
    measure : Measure
        Of L options.
    weight : ndarray of shape (n,), default=None
        Weights; a group counts as its effective number of rows.
    clusters : ndarray of shape (n,), default=None
        Rows of one cluster are not independent, see `slope_evidence`.
    """
    mass = np.ones(len(groups)) if weight is None else weight
    everybody = max(float(mass.sum()), np.finfo(float).tiny)
    parts = []
    for g in range(m):
        rows = GroupRows.of(groups, g, weight)
        log_lik, gain, reach = _look(direction, rows, measure)
        size = direction.count(rows, log_lik, clusters) if len(rows.index) else 0.0
        share = float(mass[groups == g].sum()) / everybody
        parts.append((size * log_lik, gain, reach, size, share))
    return DirectionEvidence(*(np.array(part) for part in zip(*parts, strict=True)))


def _look(
    direction: Direction, rows: GroupRows, measure: Measure
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean log-likelihood (33,), gains (L, 33) and reach (L,) of a group."""
    log_lik = np.zeros(len(SLOPES))
    gain: np.ndarray = np.zeros((measure.size, len(SLOPES)))
    reach: np.ndarray = np.zeros(measure.size)
    for index, share in rows.blocks(whole=not measure.adds):
        part, expected = direction.look(index, share)
        more, further = measure.gains(direction, index, share, expected)
        log_lik, gain, reach = log_lik + part, gain + more, reach + further
    return log_lik, gain, reach


def worth(evidence: DirectionEvidence, price: np.ndarray | float, unit: float = 1.0) -> Worth:
    """Weigh every option in every group.

    Gains are blurred by ``(0.02 + 0.3 / sqrt(n_g)) reach``, as one slope cannot say what is true
    along the very rows that change, and models are refitted.

    Parameters
    ----------
    evidence : DirectionEvidence
    price : float, or ndarray of shape (m, 1)
        Points (hundredths) of everybody's mean gain that one harmed group is worth.
    unit : float, default=1.0
        Of the metric, such that a label that is a toss-up costs about one half (its square a
        quarter).

    Examples
    --------
    Two groups show a gain of 4 points at slope 1 and a loss at 0; a third has hardly any rows:

    >>> log_lik = np.stack([-40 * (SLOPES - 1) ** 2] * 2 + [-0.1 * (SLOPES - 1) ** 2])
    >>> gain = np.tile(0.08 * (SLOPES - 0.5), (3, 1, 1))
    >>> seen = DirectionEvidence(log_lik, gain, np.full((3, 1), 0.16), np.array([400, 400, 10]),
    ...                          np.array([0.49, 0.49, 0.02]))
    >>> found = worth(seen, price=2.0)
    >>> found.harm.round(2).ravel().tolist(), (found.value > 0).ravel().tolist()
    ([0.0, 0.0, 0.68], [True, True, False])
    """
    pool = slope_posterior(evidence.log_lik)
    sceptic = slope_posterior(evidence.log_lik, highest_mean=_SCEPTIC_MEAN)
    few = np.sqrt(np.maximum(evidence.size, np.finfo(float).tiny))
    blur = (_BLUR + _BLUR_OF_FEW / few)[:, None] * evidence.reach
    blur = np.maximum(blur, np.finfo(float).tiny)
    gain = np.einsum("mlr,mr->ml", evidence.gain, pool)
    with np.errstate(over="ignore"):
        harms = ndtr((-HARM * unit - evidence.gain) / blur[:, :, None])
    harm = np.einsum("mlr,mr->ml", harms, sceptic)
    points = np.where(gain < LEAST * unit, np.minimum(gain, 0.0), gain) * (100 / unit)
    value = evidence.share[:, None] * points - price * harm
    return Worth(gain, harm, value, pool)
