"""McNemar and paired t: closed forms, scipy, statsmodels, laws, and the level under the null."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar

from fairuse_router.inference import (
    hoeffding_rows,
    mcnemar,
    mcnemar_power,
    mcnemar_rows,
    paired_t,
    paired_t_from_sums,
    row_sums,
    rows_needed,
    sample_size,
    vc_rows,
    verdict,
)
from fairuse_router.inference.mcnemar import _critical
from fairuse_router.inference.samplesize import _least

counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200))


@given(counts)
def test_exact_mcnemar_is_the_binomial_test(bc):
    b, c, rest = bc
    test = mcnemar(b, c, b + c + rest + 1)
    if b + c:
        assert test.p_gain == pytest.approx(stats.binomtest(b, b + c, alternative="greater").pvalue)
        assert test.p_violation == pytest.approx(
            stats.binomtest(b, b + c, alternative="less").pvalue
        )
        two_sided = sm_mcnemar(np.array([[0, b], [c, rest]]), exact=True).pvalue
        assert min(1, 2 * min(test.p_gain, test.p_violation)) == pytest.approx(two_sided)
    else:
        assert test.p_gain == test.p_violation == 1


@given(counts)
def test_mid_p_counts_the_observed_table_half(bc):
    b, c, rest = bc
    exact = mcnemar(b, c, b + c + rest + 1)
    mid = mcnemar(b, c, b + c + rest + 1, mid_p=True)
    assert mid.p_gain == pytest.approx(exact.p_gain - stats.binom.pmf(b, b + c, 0.5) / 2)
    assert mid.p_gain + mid.p_violation == pytest.approx(1)


@given(counts, st.booleans())
def test_swapping_the_models_flips_the_sign(bc, mid_p):
    b, c, rest = bc
    n = b + c + rest + 1
    one, two = mcnemar(b, c, n, mid_p=mid_p), mcnemar(c, b, n, mid_p=mid_p)
    assert one.gain == -two.gain
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low))
    assert (one.p_gain, one.p_violation) == (two.p_violation, two.p_gain)
    assert one.low <= one.gain <= one.high


def test_bonett_price_interval_by_hand_and_coverage():
    # 12 and 4 of 100: centre 8/102, spread 18/102
    test = mcnemar(12, 4, 100, alpha=0.05)
    half = stats.norm.isf(0.025) * np.sqrt((18 / 102 - (8 / 102) ** 2) / 102)
    assert (test.low, test.high) == pytest.approx((8 / 102 - half, 8 / 102 + half))
    for n, p10, p01 in ((25, 0.1, 0.1), (25, 0.2, 0.05), (100, 0.06, 0.02), (400, 0.05, 0.05)):
        b, c = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        ok = b + c <= n
        b, c = b[ok], c[ok]
        mass = stats.multinomial.pmf(
            np.column_stack([b, c, n - b - c]), n, [p10, p01, 1 - p10 - p01]
        )
        test = mcnemar(b, c, n, alpha=0.1)
        cover = mass @ ((test.low <= p10 - p01) & (p10 - p01 <= test.high))
        assert cover > 0.895


@pytest.mark.parametrize("mid_p", [False, True])
def test_level_of_mcnemar_computed_exactly(mid_p):
    # at most alpha for the exact test; mid-p may pass it by a hair (Fagerland et al. 2013)
    for n in (25, 100, 400):
        for discordant in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
            for alpha in (0.05, 0.1):
                level = mcnemar_power(n, 0.0, discordant, alpha, mid_p=mid_p)
                assert level <= alpha * (1.05 if mid_p else 1) + 1e-12


def test_mcnemar_takes_arrays_and_says_why_not():
    test = mcnemar([3, 0, 0], [1, 0, 0], [10, 5, 0], mid_p=True)
    assert test.gain[:2] == pytest.approx([0.2, 0])
    assert np.isnan(test.p_gain[2])
    assert list(test.reason) == ["", "", "no rows"]
    assert verdict(test.p_gain[2], test.p_violation[2]) == "undetermined"
    with pytest.raises(ValueError, match="b \\+ c <= n"):
        mcnemar(3, 3, 5)


def test_power_and_rows_against_brute_force():
    rng = np.random.default_rng(1)
    n, gain, discordant = 120, 0.08, 0.2
    b = rng.multinomial(
        n, [(discordant + gain) / 2, (discordant - gain) / 2, 1 - discordant], 40000
    )
    for mid_p in (False, True):
        seen = (mcnemar(b[:, 0], b[:, 1], n, mid_p=mid_p).p_gain <= 0.1).mean()
        assert mcnemar_power(n, gain, discordant, 0.1, mid_p=mid_p) == pytest.approx(seen, abs=0.01)
    rows = mcnemar_rows(gain, discordant)
    assert mcnemar_power(rows, gain, discordant) >= 0.8
    assert mcnemar_power(rows - 3, gain, discordant) < 0.8
    for alpha in (0.1, 0.01):
        s = np.arange(60)
        crit = _critical(s, alpha, False)
        assert (mcnemar(crit[s >= crit], (s - crit)[s >= crit], 100).p_gain <= alpha).all()
        below = (crit >= 1) & (crit <= s + 1)
        assert (mcnemar(crit[below] - 1, (s - crit + 1)[below], 100).p_gain > alpha).all()
    with pytest.raises(ValueError, match="no number of rows"):
        mcnemar_rows(0.0, 0.1)
    with pytest.raises(ValueError, match="must lie between"):
        mcnemar_power(10, 0.3, 0.2)


def test_rows_needed_brings_the_power_asked_for():
    test = mcnemar(33, 23, 400, alpha=0.1)
    more = rows_needed(test.gain, test.se, 400, 0.05, se_null=test.se_null)
    assert mcnemar_power(int(400 + more), 0.025, 0.14, 0.05, mid_p=True) == pytest.approx(
        0.8, abs=0.02
    )
    assert np.isnan(rows_needed(0.0, 0.1, 10))
    assert rows_needed(0.5, 0.01, 100) == 0


def test_paired_t_is_scipys_statistic_with_halved_freedom_and_halls_correction():
    rng = np.random.default_rng(0)
    symmetric = rng.normal(0.1, 1, 20)
    symmetric = np.r_[symmetric, 0.2 - symmetric]
    test = paired_t(symmetric)
    scipys = stats.ttest_1samp(symmetric, 0, alternative="greater")
    df = 40 * 39 / 79
    assert test.gain / test.se == pytest.approx(scipys.statistic)
    assert test.p_gain == pytest.approx(stats.t.sf(scipys.statistic, df))
    assert scipys.pvalue < test.p_gain < scipys.pvalue + 0.01
    reach = stats.t.isf(0.05, df) * symmetric.std(ddof=1) / np.sqrt(40)
    assert (test.low, test.high) == pytest.approx((0.1 - reach, 0.1 + reach))
    skewed = rng.exponential(1, 30) - 0.9
    t = stats.ttest_1samp(skewed, 0)
    q = stats.skew(skewed) / np.sqrt(30)
    hall = t.statistic + q * t.statistic**2 / 3 + q**2 * t.statistic**3 / 27 + q / 6
    both = stats.t.sf([t.statistic, hall], 30 * 29 / 59)
    assert paired_t(skewed).p_gain == pytest.approx(both.max())
    assert both.max() > both.min() + 0.005


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_t_laws(seed, weighted, clustered):
    rng = np.random.default_rng(seed)
    x = rng.gamma(0.7, 1, 40) - 0.5
    kw = {
        "weight": rng.uniform(0.5, 2, 40) if weighted else None,
        "clusters": rng.integers(0, 15, 40) if clustered else None,
    }
    one, two = paired_t(x, **kw), paired_t(-x, **kw)
    assert one.gain == pytest.approx(-two.gain)
    assert (one.p_gain, one.p_violation) == pytest.approx((two.p_violation, two.p_gain))
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low))
    scaled = paired_t(7 * x, **{**kw, "weight": None if kw["weight"] is None else 3 * kw["weight"]})
    assert scaled.p_gain == pytest.approx(one.p_gain)
    for alpha in (0.2, 0.02):  # the interval excludes 0 exactly when a one-sided test rejects
        test = paired_t(x, **kw, alpha=alpha)
        assert (test.low > 0) == (test.p_gain < alpha / 2)
        assert (test.high < 0) == (test.p_violation < alpha / 2)


def test_clusters_repeat_no_evidence_and_parts_add_up():
    rng = np.random.default_rng(3)
    x = rng.normal(0.2, 1, 30)
    tripled = paired_t(np.repeat(x, 3), clusters=np.repeat(np.arange(30), 3))
    once = paired_t(x)
    assert tripled.p_gain == pytest.approx(once.p_gain)
    assert tripled.se == pytest.approx(once.se)
    assert tripled.n == 90
    w, g, k = rng.uniform(0, 2, 30), rng.integers(-1, 3, 30), np.repeat(np.arange(15), 2)
    parts = sum(row_sums(x[h], g[h], 3, w[h], k[h]) for h in (slice(0, 10), slice(10, 30)))
    whole = row_sums(x, g, 3, w, k)
    assert parts == pytest.approx(whole)
    assert row_sums(x, g, 3) == pytest.approx(row_sums(x, g, 3, np.ones(30), np.arange(30)))
    for j in range(3):
        alone = paired_t(x[g == j], weight=w[g == j], clusters=k[g == j])
        assert paired_t_from_sums(whole).p_gain[j] == pytest.approx(alone.p_gain)


def test_what_t_cannot_tell():
    x = np.array([0.3, np.inf, 0.2, 0.2, 0.0, 0.0, 0.4])
    g = np.array([0, 1, 2, 2, 3, 3, -1])
    test = paired_t_from_sums(row_sums(x, g, 5))
    assert [str(r) for r in test.reason] == [
        "fewer than two independent rows",
        "infinite loss",
        "every row gains the same: no variance to judge by",
        "",
        "no rows",
    ]
    assert np.isnan(test.p_gain[[0, 1, 2, 4]]).all()
    assert (test.p_gain[3], test.p_violation[3], test.low[3], test.high[3]) == (1, 1, 0, 0)


def test_no_row_differs_is_no_proof_of_equality():
    nothing = np.zeros(40)
    counted = mcnemar(0, 0, 40)
    plain = paired_t(nothing, span=1)
    assert (plain.low, plain.high) == pytest.approx((counted.low, counted.high))
    assert plain.high == pytest.approx(0.0554, abs=1e-4)
    # Kish: twenty rows of weight 1 and twenty of 3 are (80)^2 / 200 = 32 rows; clusters are one
    weighted = paired_t(nothing, weight=np.repeat([1.0, 3.0], 20), span=1)
    assert weighted.high == pytest.approx(mcnemar(0, 0, 32).high)
    pairs = paired_t(nothing, clusters=np.repeat(np.arange(20), 2), span=1)
    assert pairs.high == pytest.approx(mcnemar(0, 0, 20).high)
    assert (pairs.low, pairs.gain, pairs.p_gain, pairs.se) == (-pairs.high, 0, 1, 0)
    assert paired_t(nothing[:2], span=0.5, alpha=1e-9).high == 0.5
    moved = np.r_[nothing[:-3], 1.0, -1.0, 1.0]
    assert paired_t(moved, span=1) == paired_t(moved)


def test_t_keeps_its_level_where_students_does_not():
    rng = np.random.default_rng(5)
    x = 1 - rng.exponential(1, (8000, 25))
    sums = np.stack([row_sums(row, np.zeros(25, int), 1)[:, 0] for row in x], axis=1)
    test = paired_t_from_sums(sums)
    student = stats.t.cdf(test.gain / test.se, 24)
    slack = 3 * np.sqrt(0.1 * 0.9 / 8000)
    assert (test.p_gain <= 0.1).mean() <= 0.1 + slack + 0.02  # skewness -2 is worse than any score
    assert (1 - student <= 0.1).mean() > 0.14


def test_verdicts():
    assert verdict(0.1, 0.95) == "gain"
    assert verdict(0.95, 0.1) == "violation"
    assert verdict(0.11, 0.11) == "undetermined"
    assert verdict(1.0, 1.0) == "undetermined"


def test_sample_sizes_of_proposition_4():
    assert vc_rows(0.05, 11) == pytest.approx(211_500, abs=50)
    # the two printed forms, through the same solver: the 4 misses the last term of both, and
    # Prop. 4 has the + 1 inside the logarithm
    tail, d = np.log(8 / 0.05), 11
    prop4 = _least(lambda n: (4 * d * np.log(2 * n / d + 1) + tail) / 0.05**2, d / 2)
    lemma6 = _least(lambda n: (4 * d * (np.log(2 * n / d) + 1) + tail) / 0.05**2, d / 2)
    assert prop4 == pytest.approx(185_500, abs=50)
    assert lemma6 == pytest.approx(204_900, abs=50)
    assert hoeffding_rows(0.05) == 2397
    assert hoeffding_rows(0.05, n_tests=6) == 3830
    n = vc_rows(0.05, 11)

    def bound(rows):
        return np.sqrt((d * (np.log(2 * rows / d) + 1) + tail) / rows)

    assert 2 * bound(n) <= 0.05 < 2 * bound(n - 2)
    assert vc_rows(0.05, 11, n_groups=6) > n
    size = sample_size(0.02, discordant=0.1, n_groups=4)
    assert size.training is None
    assert "training" not in str(size)
    assert size.test == mcnemar_rows(0.02, 0.1, 0.05 / 4)
    for bad in ({"gain": 0}, {"delta": 1}, {"n_tests": 0}):
        with pytest.raises(ValueError, match="give"):
            hoeffding_rows(**{"gain": 0.1, **bad})
    with pytest.raises(ValueError, match="VC dimension is positive"):
        vc_rows(0.1, 0)
