"""The test of gains in steps: closed forms, McNemar's as a special case, level under the null."""

import numpy as np
import pytest
from scipy import stats

from fairuse_router.inference import mcnemar
from fairuse_router.inference.lattice import lattice_counts, lattice_test


def counts(n, up1=0, down1=0, up0=0, down0=0):
    return np.array([[n], [up1], [down1], [up0], [down0]], dtype=float)


@pytest.mark.parametrize(("found", "alarms"), [(0, 6), (2, 30), (1, 9)])
def test_where_no_other_cell_is_likelier_it_is_the_binomial_test(found, alarms):
    w = 0.25
    test = lattice_test(counts(200, up1=found, down0=alarms), (1.0, w))
    k, p = found + alarms, w / (1 + w)  # under the null found : alarms = w : 1
    assert test.p_gain[0] == pytest.approx(stats.binom.sf(found - 1, k, p))
    assert test.p_violation[0] == pytest.approx(stats.binom.cdf(found, k, p))


def test_equal_steps_are_mcnemars():
    exact = mcnemar(9, 3, 80, mid_p=False)
    test = lattice_test(counts(80, up1=9, down1=3), (1.0, 1.0))
    assert test.p_gain[0] == pytest.approx(exact.p_gain)
    assert test.p_violation[0] == pytest.approx(exact.p_violation)


def test_many_rows_are_the_paired_t_test():
    test = lattice_test(counts(2000, up1=80, down1=60, up0=120, down0=90), (1.0, 0.5))
    values = np.repeat([1, -1, 0.5, -0.5, 0], [80, 60, 120, 90, 1650])
    t = stats.ttest_1samp(values, 0, alternative="greater")
    assert test.p_gain[0] == pytest.approx(t.pvalue, rel=0.03)
    low, high = values.mean() + np.array([-1, 1]) * 1.645 * values.std() / np.sqrt(2000)
    assert (test.low[0], test.high[0]) == pytest.approx((low, high), abs=5e-4)


def test_the_interval_is_that_of_the_likelihood_of_a_proportion():
    # none of 40 rows differs: -2 log likelihood of a share p that does is -80 log(1 - p)
    test = lattice_test(counts(40), (1.0, 0.25))
    share = -np.expm1(-stats.chi2.isf(0.1, 1) / 80)
    assert (test.low[0], test.high[0]) == pytest.approx((-share, share), rel=1e-6)


def test_nothing_differs_and_nobody_there():
    test = lattice_test(np.hstack([counts(30), counts(0)]), (1.0, 0.25))
    assert (test.p_gain[0], test.gain[0]) == (1, 0)
    assert test.low[0] < 0 < test.high[0]
    assert test.reason[1] == "no rows"
    assert np.isnan(test.p_gain[1])


def test_counts_of_parts_add_up():
    rng = np.random.default_rng(0)
    gain, y = rng.choice([1, -1, 0.25, -0.25, 0], 100), rng.random(100) < 0.5
    groups = rng.integers(-1, 3, 100)
    whole = lattice_counts(gain, y, groups, 3)
    parts = [lattice_counts(gain[s], y[s], groups[s], 3) for s in (slice(40), slice(40, None))]
    assert (whole == parts[0] + parts[1]).all()


@pytest.mark.parametrize("n", [25, 100, 400])
@pytest.mark.parametrize("shape", [(0, 0.02, 0.3, 0.0), (0.05, 0.05, 0.1, 0.1)])
def test_it_keeps_its_level(n, shape):
    w, rng = 0.25, np.random.default_rng(n)
    up1, down1, up0, _ = shape
    down0 = (up1 - down1 + w * up0) / w  # mean 0
    p = np.array([up1, down1, up0, down0])
    drawn = rng.multinomial(n, [*p, 1 - p.sum()], 400).T.astype(float)
    test = lattice_test(np.vstack([np.full(400, n), drawn[:4]]), (1.0, w))
    limit = 0.1 + 3 * np.sqrt(0.09 / 400)
    assert np.mean(test.p_gain <= 0.1) <= limit
    assert np.mean(test.p_violation <= 0.1) <= limit
    assert np.mean((test.low <= 0) & (test.high >= 0)) >= 0.9 - 3 * np.sqrt(0.09 / 400)


def test_a_group_whose_only_row_differs_is_told_little_by_it():
    test = lattice_test(counts(1, up1=1), (1.0, 0.25))
    assert (test.gain[0], test.high[0]) == pytest.approx((1.0, 1.0))
    assert test.low[0] < 0
    assert test.p_gain[0] == pytest.approx(0.5)  # it is as likely to differ the other way
