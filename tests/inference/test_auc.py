"""DeLong's test: brute-force Mann-Whitney variance, closed forms, laws, level."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from fairuse_router.inference import auc_parts, delong, delong_from_moments, delong_moments

# albumin, total protein, K-G score, benefit
# S100b in 0.01 ug/l of patients with a good and with a poor outcome, by WFNS grade 1 to 5
GOOD = (
    "4 4 4 4 5 5 6 6 7 7 7 7 8 8 8 8 9 9 9 9 10 10 10 10 11 11 13 13 14 14 14 15 16 18 19 48 50",
    "4 7 8 8 9 9 10 10 10 11 11 13 14 15 15 15 16 17 19 43",
    "5 7 33",
    "16 17 28 32 34 38 45 47",
    "24 46 47 50",
)
POOR = (
    "7 8",
    "7 7 9 9 10 10 11 14 25 30 41 58",
    "13",
    "13 16 23 26 27 48 71 96",
    "3 12 22 32 33 35 44 44 49 52 56 70 71 74 77 82 86 207",
)


def sample(seed, n=40, ties=False):
    rng = np.random.default_rng(seed)
    y = np.r_[0, 0, 1, 1, rng.integers(0, 2, n - 4)]
    a, b = y + rng.normal(0, 1.5, n), y + rng.normal(0, 1, n)
    return (y, np.round(a), np.round(b)) if ties else (y, a, b)


def brute(y, a, b):
    """DeLong et al. 1988, by the kernel psi on all pairs."""

    def psi(s):
        x, z = s[y == 1][:, None], s[y == 0][None, :]
        return (x > z) + 0.5 * (x == z)

    d = psi(b) - psi(a)
    variance = d.mean(1).var(ddof=1) / (y == 1).sum() + d.mean(0).var(ddof=1) / (y == 0).sum()
    return d.mean(), np.sqrt(variance)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_gain_and_error_by_brute_force(seed, ties):
    y, a, b = sample(seed, ties=ties)
    gain, se = delong_moments(y, a, b, np.zeros(len(y), int), 1)
    assert (gain[0], se[0]) == pytest.approx(brute(y, a, b))
    parts = auc_parts(y, a, np.zeros(len(y), int), 1)
    assert parts.area[0] == pytest.approx(roc_auc_score(y, a))


def test_hanley_mcneil_pairs_by_hand():
    # positives 3 5, negatives 1 4: the first model wins (1, 0 / 1, 1), the second all four pairs
    y = np.array([1, 1, 0, 0])
    a, b = np.array([3.0, 5, 1, 4]), np.array([6.0, 5, 1, 4])
    test = delong(*(auc_parts(y, s, np.zeros(4, int), 1) for s in (a, b)), np.zeros(4, int))
    assert test.gain[0] == pytest.approx(0.25)
    # differences per positive (.5, 0), per negative (0, .5): variance .125 / 2 each
    assert test.se[0] == pytest.approx(np.sqrt(0.125))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_laws(seed):
    y, a, b = sample(seed, n=120)
    rng = np.random.default_rng(seed)
    g, w, k = rng.integers(-1, 2, len(y)), rng.uniform(0.5, 2, len(y)), rng.integers(0, 40, len(y))
    one, two = (
        delong(auc_parts(y, s, g, 2, w), auc_parts(y, t, g, 2, w), g, k)
        for s, t in ((a, b), (b, a))
    )
    np.testing.assert_allclose(one.gain, -two.gain)
    np.testing.assert_allclose(one.p_gain, two.p_violation)
    np.testing.assert_allclose(one.low, -two.high)
    # monotone transformations change nothing
    gain, se = delong_moments(y, np.exp(a / 3), 2 * b - 5, g, 2, w, k)
    np.testing.assert_allclose(gain, one.gain)
    np.testing.assert_allclose(se, one.se)
    # groups do not see each other
    for j in range(2):
        r = g == j
        alone = delong_moments(y[r], a[r], b[r], np.zeros(r.sum(), int), 1, w[r], k[r])
        np.testing.assert_allclose(alone, [[gain[j]], [se[j]]])


def test_clusters_of_copies_are_one_row():
    # triples shrink the nominal error by sqrt(3); clustering must give it back, up to n / (n - 1)
    y, a, b = sample(7, n=400)
    _, once = delong_moments(y, a, b, np.zeros(400, int), 1)
    r = np.repeat(np.arange(400), 3)
    zero = np.zeros(1200, int)
    _, naive = delong_moments(y[r], a[r], b[r], zero, 1)
    _, robust = delong_moments(y[r], a[r], b[r], zero, 1, clusters=r)
    assert naive[0] == pytest.approx(once[0] / np.sqrt(3), rel=0.01)
    assert robust[0] == pytest.approx(once[0], rel=0.01)


def test_weights_of_one_and_zero():
    y, a, b = sample(11, n=60)
    zero = np.zeros(60, int)
    w = np.r_[np.ones(50), np.zeros(10)]
    weighted = delong_moments(y, a, b, zero, 1, w)
    kept = delong_moments(y[:50], a[:50], b[:50], zero[:50], 1)
    np.testing.assert_allclose(weighted, kept)


def test_multiclass_is_the_mean_of_one_vs_rest_with_bootstrap_error():
    rng = np.random.default_rng(0)
    n = 300
    y = rng.integers(0, 3, n)
    a, b = (np.eye(3)[y] * s + rng.normal(0, 1, (n, 3)) for s in (0.8, 1.0))
    zero = np.zeros(n, int)
    gain, se = delong_moments(y, a, b, zero, 1)

    def area(s, rows):
        return np.mean([roc_auc_score(y[rows] == k, s[rows, k]) for k in range(3)])

    assert gain[0] == pytest.approx(area(b, slice(None)) - area(a, slice(None)))
    drawn = [area(b, r) - area(a, r) for r in rng.integers(0, n, (150, n))]
    assert se[0] == pytest.approx(np.std(drawn), rel=0.2)


def test_undetermined():
    y = np.array([0, 0, 0, 1, 1, 0, 0, 1, 1])
    a = np.array([1.0, 2, 3, 1, 2, 1, 1, 2, 2])
    b = np.array([1.0, 2, 3, 1, 3, 1, 1, 1, 1])
    g = np.array([0, 0, 0, 0, 1, 2, 2, 2, 2])
    test = delong(auc_parts(y, a, g, 4), auc_parts(y, b, g, 4), g)
    assert [str(r) for r in test.reason] == [
        "fewer than two rows of a class",
        "fewer than two rows of a class",
        "areas differ without any variance",
        "no rows",
    ]
    assert np.isnan(test.p_gain).all()
    assert np.isnan(test.p_violation).all()
    same = delong(auc_parts(y, a, g * 0, 1), auc_parts(y, 2 * a, g * 0, 1), g * 0)
    assert (same.gain[0], same.p_gain[0], same.p_violation[0]) == (0, 1, 1)
    assert np.isnan([same.low[0], same.high[0]]).all()  # no variance to make an interval of
    # all positives in one cluster are one unit
    y, k = np.repeat([0, 1], 20), np.r_[np.arange(20), np.full(20, 99)]
    scores = np.random.default_rng(0).normal(y, 1, (2, 40))
    one = delong(*(auc_parts(y, s, y * 0, 1) for s in scores), y * 0, k)
    assert one.reason[0] == "fewer than two rows of a class"
    assert np.isnan([one.p_gain[0], one.low[0]]).all()


def test_published_example_of_proc():
    """113 patients with a haemorrhage: data set aSAH of the R package pROC, and its test's numbers.

    Data of Turck et al. (2010), Intensive Care Medicine 36, 107-115; roc.test(wfns, s100b) as in
    tests/testthat/test-roc.test.R of github.com/xrobin/pROC (Robin et al. 2011).
    """
    rows = [
        (outcome, grade, int(value))
        for outcome, side in enumerate((GOOD, POOR))
        for grade, values in enumerate(side, start=1)
        for value in values.split()
    ]
    y, wfns, s100b = np.array(rows).T
    zero = np.zeros(113, int)
    parts = [auc_parts(y, score, zero, 1) for score in (s100b, wfns)]
    gain, se = delong_moments(y, s100b, wfns, zero, 1)
    assert gain / se == pytest.approx(2.20898359144091)
    published = delong_from_moments(gain, se, np.array([113]), alpha=0.05)
    assert 2 * published.p_gain[0] == pytest.approx(0.0271757822291882)
    interval = [published.low[0], published.high[0]]
    assert interval == pytest.approx([0.0104061769564846, 0.174214419249478])
    # ours is a little more careful: 41 patients had a poor outcome
    test = delong(*parts, zero, alpha=0.05)
    assert test.p_gain[0] == pytest.approx(stats.t.sf(2.20898359144091, 40))
    assert test.low[0] < interval[0]


def test_reference_is_students_with_the_rarest_class():
    y, a, b = sample(3, n=30)
    zero = np.zeros(30, int)
    test = delong(auc_parts(y, a, zero, 1), auc_parts(y, b, zero, 1), zero, alpha=0.1)
    df = min(y.sum(), (1 - y).sum()) - 1
    assert test.p_gain[0] == pytest.approx(stats.t.sf(test.gain[0] / test.se[0], df))
    reach = stats.t.isf(0.05, df) * test.se[0]
    assert test.high[0] - test.gain[0] == pytest.approx(reach)
    k = np.where(y == 1, np.arange(30) % 4, np.arange(30) + 4)  # the positives are in four clusters
    clustered = delong(auc_parts(y, a, zero, 1), auc_parts(y, b, zero, 1), zero, k)
    t = clustered.gain[0] / clustered.se[0]
    assert clustered.p_gain[0] == pytest.approx(stats.t.sf(t, len(np.unique(k[y == 1])) - 1))


def test_level_under_exchangeable_scores():
    rng = np.random.default_rng(4)
    reps, n = 1500, 60
    y = np.tile(np.r_[np.zeros(n // 2, int), np.ones(n // 2, int)], reps)
    signal = y + rng.normal(0, 1, len(y))
    a, b = (signal + rng.normal(0, 1, len(y)) for _ in range(2))
    g = np.repeat(np.arange(reps), n)
    test = delong(auc_parts(y, a, g, reps), auc_parts(y, b, g, reps), g)
    slack = 3 * np.sqrt(0.1 * 0.9 / reps)
    for p in (test.p_gain, test.p_violation):
        assert 0.1 - slack <= (p <= 0.1).mean() <= 0.1 + slack
    assert 0.9 - slack <= ((test.low <= 0) & (test.high >= 0)).mean()
