"""Calibration: statsmodels' logistic fit, closed forms, level under the null."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from statsmodels.stats.proportion import proportion_confint

from benchmarks.validity import shifted_both_ways
from fairuse_router.inference.calibration import (
    calibration_curve,
    logistic,
    observed_over_expected,
    recalibrate,
)


def told(n=300, seed=0, factor=1.4):
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.3, n)
    return expit(factor * z + 0.3), (rng.random(n) < expit(z)).astype(int)


@pytest.mark.parametrize("weighted", [False, True])
def test_slope_and_intercept_are_those_of_statsmodels(weighted):
    p, y = told()
    w = np.random.default_rng(1).integers(0, 4, len(y)).astype(float) if weighted else None
    ours = recalibrate(p, y, w)
    more = {"freq_weights": w, "family": sm.families.Binomial()}
    slope = sm.GLM(y, sm.add_constant(logit(p)), **more).fit()
    large = sm.GLM(y, np.ones(len(y)), offset=logit(p), **more).fit()
    assert ours.slope == pytest.approx(slope.params[1], abs=1e-8)
    assert ours.intercept == pytest.approx(large.params[0], abs=1e-8)
    beta, covariance = logistic(
        sm.add_constant(logit(p)), y.astype(float), np.ones(len(y)) if w is None else w
    )
    assert beta == pytest.approx(slope.params, abs=1e-8)
    assert covariance == pytest.approx(slope.cov_params(), rel=1e-5)


def test_the_interval_of_the_slope_is_where_the_likelihood_ratio_rejects():
    p, y = told()
    found = recalibrate(p, y, alpha=0.1)
    free = sm.GLM(y, sm.add_constant(logit(p)), family=sm.families.Binomial()).fit().llf
    for end in (found.slope_low, found.slope_high):
        held = sm.GLM(
            y, np.ones(len(y)), offset=end * logit(p), family=sm.families.Binomial()
        ).fit()
        assert 2 * (free - held.llf) * (1 - 2 / len(y)) == pytest.approx(2.7055, abs=1e-3)


def test_observed_over_expected_has_wilsons_interval():
    p, y = told(100)
    ratio, low, high = observed_over_expected(p, y, alpha=0.1)
    ends = proportion_confint(y.sum(), len(y), 0.1, method="wilson")
    assert (ratio, low, high) == pytest.approx(np.array([y.mean(), *ends]) / p.mean())


def test_what_rows_cannot_tell_is_nan():
    assert np.isnan(recalibrate(np.full(20, 0.3), np.zeros(20, int)).intercept)
    apart = np.r_[np.full(10, 0.2), np.full(10, 0.8)]
    assert np.isnan(recalibrate(apart, (apart > 0.5).astype(int)).slope)
    flat = recalibrate(np.full(20, 0.3), np.arange(20) % 2)
    assert np.isnan(flat.slope)
    assert flat.intercept == pytest.approx(logit(0.5) - logit(0.3), abs=1e-6)
    assert not len(calibration_curve(np.zeros(0), np.zeros(0, int)).told)


def test_curves_bend_where_the_truth_does():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 8000)
    curve = calibration_curve(p, (rng.random(8000) < 4 * p * (1 - p)).astype(int))
    assert np.abs(curve.observed - 4 * curve.told * (1 - curve.told)).max() < 0.15
    assert ((curve.low <= curve.observed) & (curve.observed <= curve.high)).all()
    few = calibration_curve(*told(20))
    assert len(few.told) == 60


@pytest.mark.slow
@pytest.mark.parametrize("n", [25, 100])
def test_slope_keeps_its_level(n):
    rng, count = np.random.default_rng(n), 250
    found = []
    while len(found) < count:
        z = rng.normal(0, 1.5, n)
        y = (rng.random(n) < expit(z)).astype(int)
        if 10 <= y.sum() <= n - 10:
            found.append(recalibrate(expit(z), y))
    limit = 0.1 + 3 * np.sqrt(0.09 / count)
    assert np.mean([f.p_slope <= 0.1 for f in found]) <= limit
    assert np.mean([f.p_intercept <= 0.1 for f in found]) <= limit


@pytest.mark.slow
def test_calibration_errors_in_opposite_directions_are_tested_at_level():
    found = shifted_both_ways(0.05, 400, 300, seed=1)
    assert max(found.gain, found.violation) <= found.limit
