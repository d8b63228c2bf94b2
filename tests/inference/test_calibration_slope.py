"""The posterior of the calibration slope: against brute force, closed forms, and simulation."""

import itertools

import numpy as np
import pytest
from scipy.special import expit

from fairuse_router.inference import SLOPES, STRENGTHS, slope_evidence, slope_posterior


def draw(slope, n=400, seed=0):
    """Labels whose correction is real by `slope`, margins without and with it, one group."""
    rng = np.random.default_rng(seed)
    base, delta = rng.normal(size=n), rng.normal(size=n)
    y = (base + slope * delta + rng.logistic(size=n) > 0).astype(float)
    return y, base, base + delta, np.zeros(n, dtype=int)


def test_likelihood_and_gain_are_the_sums_that_define_them():
    y, base, corrected, _ = draw(0.5, 60)
    groups = np.random.default_rng(1).integers(-1, 2, size=60)
    found = slope_evidence(y, base, corrected, groups, 2)
    for g, (i, r) in itertools.product(range(2), enumerate(SLOPES)):
        rows = groups == g
        z, delta = base[rows], (corrected - base)[rows]
        p = expit(z + r * delta)
        log_lik = np.log(np.where(y[rows] == 1, p, 1 - p)).sum()
        np.testing.assert_allclose(found.log_lik[g, i], log_lik)
        for j, strength in enumerate(STRENGTHS):
            q, q0 = expit(z + strength * delta), expit(z)
            gain = p * ((1 - q0) ** 2 - (1 - q) ** 2) + (1 - p) * (q0**2 - q**2)
            np.testing.assert_allclose(found.gain[g, j, i], gain.mean(), atol=1e-12)


def brute_force(log_lik, highest=np.inf, stray=0.0):
    """The posterior by loops over everything, in plain probabilities."""
    m = len(log_lik)
    lik = np.exp(log_lik - log_lik.max(axis=1, keepdims=True))
    total, out = 0.0, np.zeros_like(lik)
    loose = np.exp(-(SLOPES**2) / 2)
    for k in range(21):
        mu = -0.5 + 0.1 * k
        if mu > highest + 1e-9:
            continue
        for tau in (0.05, 0.15, 0.3, 0.5, 0.8, 1.2):
            prior = np.exp(-(((SLOPES - mu) / tau) ** 2) / 2)
            prior = (1 - stray) * prior / prior.sum() + stray * loose / loose.sum()
            own = [(prior * lik[g]).sum() for g in range(m)]
            weight = np.exp(-2 * tau**2) * np.prod(own)
            total += weight
            for g in range(m):
                out[g] += weight * prior * lik[g] / own[g]
    return out / total


@pytest.mark.parametrize(("highest", "stray"), [(np.inf, 0.0), (0.2, 0.0), (np.inf, 0.2)])
def test_posterior_equals_brute_force(highest, stray):
    log_lik = np.stack(
        [slope_evidence(*draw(s, 40, i), 1).log_lik[0] for i, s in enumerate((0, 0.5, 1))]
    )
    found = slope_posterior(log_lik, highest_mean=highest, stray=stray)
    np.testing.assert_allclose(found, brute_force(log_lik, highest, stray), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_sceptic_lends_nothing_and_a_pool_does():
    real = slope_evidence(*draw(1.0, 3000), 1).log_lik[0]
    log_lik = np.stack([real, real, np.zeros(len(SLOPES))])
    pool = slope_posterior(log_lik) @ SLOPES
    sceptic = slope_posterior(log_lik, highest_mean=0.2) @ SLOPES
    assert pool[2] > 0.6
    assert sceptic[2] < 0.3
    assert abs(pool[0] - 1) < 0.1


def test_far_margins_neither_overflow_nor_lose_mass():
    y = np.array([0.0, 1.0, 1.0, 0.0])
    base = np.array([-800.0, 800.0, -800.0, 3.0])
    found = slope_evidence(y, base, base + 700.0, np.zeros(4, dtype=int), 1)
    assert np.isfinite(found.log_lik).all()
    assert np.isfinite(found.gain).all()
    np.testing.assert_allclose(slope_posterior(found.log_lik).sum(), 1)


def test_a_correction_of_nothing_gains_nothing():
    y, base, _, groups = draw(0.0)
    found = slope_evidence(y, base, base, groups, 1)
    np.testing.assert_allclose(np.ptp(found.log_lik), 0, atol=1e-9)
    np.testing.assert_array_equal(found.gain, 0)


def test_squared_errors_have_a_closed_form():
    rng = np.random.default_rng(0)
    base, delta = rng.normal(size=(2, 200))
    y = base + 0.5 * delta + rng.normal(size=200)
    found = slope_evidence(y, base, base + delta, np.zeros(200, dtype=int), 1, squared=True)
    variance = np.mean((y - base) ** 2)
    best = delta @ (y - base) / (delta @ delta)  # least squares: the likelihood is normal about it
    gap = (delta @ delta) / variance * (SLOPES - best) ** 2 / 2
    np.testing.assert_allclose(np.diff(found.log_lik[0]), -np.diff(gap), atol=1e-9)
    full = np.mean(delta**2) * (2 * SLOPES - 1)
    np.testing.assert_allclose(found.gain[0, 3], full, atol=1e-12)


def test_weights_of_zero_leave_out_and_equal_weights_change_nothing():
    given = draw(0.5)
    weight = np.ones(400)
    weight[::3] = 0
    a = slope_evidence(*given, 1, weight=5 * weight)
    b = slope_evidence(*(part[weight > 0] for part in given), 1)
    np.testing.assert_allclose(a.log_lik, b.log_lik)
    np.testing.assert_allclose(a.gain, b.gain)


def test_a_row_given_three_times_in_one_cluster_counts_once():
    given = draw(0.5)
    thrice = tuple(np.repeat(part, 3) for part in given)
    clustered = slope_evidence(*thrice, 1, clusters=np.repeat(np.arange(400), 3))
    alone = slope_evidence(*given, 1)
    np.testing.assert_allclose(clustered.log_lik, alone.log_lik)
    assert np.ptp(slope_evidence(*thrice, 1).log_lik) > 2.9 * np.ptp(alone.log_lik)


@pytest.mark.slow
def test_ninety_percent_intervals_cover_slopes_drawn_from_the_prior():
    # exact Bayes: over slopes drawn from the prior, an interval of 90% covers 90%
    rng = np.random.default_rng(0)
    covered = []
    for trial in range(150):
        mu, tau = rng.uniform(0, 1), 0.5
        slopes = SLOPES[np.abs(SLOPES[:, None] - rng.normal(mu, tau, size=4)).argmin(axis=0)]
        log_lik = [
            slope_evidence(*draw(s, 150, 10 * trial + i), 1).log_lik[0]
            for i, s in enumerate(slopes)
        ]
        mass = slope_posterior(np.array(log_lik)).cumsum(axis=1)
        low, high = SLOPES[(mass < 0.05).sum(axis=1)], SLOPES[(mass < 0.95).sum(axis=1)]
        covered += list((low <= slopes) & (slopes <= high))
    assert 0.86 < np.mean(covered) < 0.97
