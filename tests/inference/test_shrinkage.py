"""Multiplicity against statsmodels; the two-prior rule against the formulas, one loop at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from fairuse_router.inference import CORRECTIONS, adjust, group_moments, two_prior


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("bonferroni", "bonferroni"), ("holm", "holm"), ("benjamini-hochberg", "fdr_bh")],
)
def test_adjusted_p_values_are_statsmodels(ours, theirs, p):
    assert adjust(p, ours) == pytest.approx(multipletests(p, method=theirs)[1])
    with_gaps = adjust([np.nan, *p, np.nan], ours)
    assert np.isnan(with_gaps[[0, -1]]).all()
    assert with_gaps[1:-1] == pytest.approx(adjust(p, ours))


def test_weights_divide_alpha():
    p, w = np.array([0.02, 0.03, 0.5]), np.array([3.0, 1.0, 1.0])
    assert adjust(p, "bonferroni", w) == pytest.approx([0.02 * 5 / 3, 0.15, 1])
    # p / w = .0067, .03, .5: first against 3/5, then 1/2, then 1
    assert adjust(p, "holm", w) == pytest.approx([0.02 * 5 / 3, 0.06, 0.5])
    assert adjust(p, "holm", 7 * np.ones(3)) == pytest.approx(adjust(p, "holm"))
    assert adjust(p, "none") == pytest.approx(p)
    assert adjust(np.full(2, np.nan)).shape == (2,)
    with pytest.raises(ValueError, match=f"Allowed: {', '.join(CORRECTIONS)}"):
        adjust(p, "sidak")
    with pytest.raises(ValueError, match="takes none"):
        adjust(p, "benjamini-hochberg", w)
    with pytest.raises(ValueError, match="positive"):
        adjust(p, "holm", [1, 0, 1])


def test_holm_bounds_the_family_wise_error():
    rng = np.random.default_rng(0)
    p = rng.random((2000, 20))
    p[:, :5] /= 1000
    wrong = np.mean([(adjust(row, "holm")[5:] <= 0.1).any() for row in p])
    assert wrong <= 0.1 + 3 * np.sqrt(0.09 / 2000)


def test_group_moments():
    rng = np.random.default_rng(0)
    x, g = rng.normal(0, 1, 50), rng.integers(-1, 3, 50)
    mean, ss, n = group_moments(x, g, 4)
    for j in range(3):
        rows = x[g == j]
        assert (mean[j], ss[j], n[j]) == pytest.approx(
            (rows.mean(), ((rows - rows.mean()) ** 2).sum(), len(rows))
        )
    assert np.isnan(mean[3])
    assert (ss[3], n[3]) == (0, 0)
    w = rng.uniform(0, 3, 50)
    mean, ss, n = group_moments(x, g, 4, weight=w)
    v = w[g == 1]
    assert mean[1] == pytest.approx(np.average(x[g == 1], weights=v))
    assert n[1] == pytest.approx(v.sum() ** 2 / (v**2).sum())
    expected = (v**2 * (x[g == 1] - mean[1]) ** 2).sum() / v.sum() ** 2
    assert ss[1] / n[1] ** 2 == pytest.approx(expected)
    # copies in one cluster are one row
    pairs = group_moments(np.repeat(x, 2), np.repeat(g, 2), 4, clusters=np.repeat(np.arange(50), 2))
    np.testing.assert_allclose(pairs, group_moments(x, g, 4))


def two_prior_by_hand(d, ss, n):
    """One candidate, as the formulas are written."""
    m = len(d)
    v = ss.sum() / n.sum()
    s2 = (ss + 10 * v) / ((n + 10) * n)
    w = 1 / s2
    mu0 = (w * d).sum() / w.sum()
    q = (w * (d - mu0) ** 2).sum()
    tau2 = max(0, (q - (m - 1)) / (w.sum() - (w**2).sum() / w.sum())) if m > 1 else 0.0
    mu = (d / (s2 + tau2)).sum() / (1 / (s2 + tau2)).sum()
    vmu = 1 / (1 / (s2 + tau2)).sum()

    def posterior(mu, vmu, tau2):
        b = s2 / (s2 + tau2)
        return (1 - b) * d + b * mu, np.sqrt((1 - b) * s2 + b**2 * vmu)

    pool = posterior(mu, vmu, tau2)
    skep = pool
    if mu > 0:
        skep = posterior(0, 0, max(0, (w * (d**2 - s2)).sum() / w.sum()))
    return *pool, *skep


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_two_prior_is_the_formula_candidate_by_candidate(seed, m):
    rng = np.random.default_rng(seed)
    c = 3
    d = rng.normal(rng.normal(0, 0.05), 0.05, (m, c))
    n = rng.integers(1, 400, m).astype(float)
    ss = rng.gamma(1, 0.2, (m, c)) * n[:, None]
    known = rng.random((m, c)) < 0.8
    post = two_prior(np.where(known, d, np.nan), ss, n)
    for j in range(c):
        k = known[:, j]
        got = [getattr(post, name)[:, j] for name in ("m1", "sd1", "m2", "sd2")]
        assert all(np.isnan(x[~k]).all() for x in got)
        if k.any():
            expected = two_prior_by_hand(d[k, j], ss[k, j], n[k])
            for x, e in zip(got, expected, strict=True):
                np.testing.assert_allclose(x[k], e, rtol=1e-8, atol=1e-12)


def test_units_of_the_loss_do_not_matter():
    rng = np.random.default_rng(1)
    d, n = rng.normal(0.02, 0.05, (5, 2)), np.array([20.0, 50, 100, 300, 30])
    ss = rng.gamma(2, 0.1, (5, 2)) * n[:, None]
    small, large = two_prior(d, ss, n), two_prior(1e6 * d, 1e12 * ss, n)
    for name in ("m1", "sd1", "m2", "sd2"):
        np.testing.assert_allclose(1e6 * getattr(small, name), getattr(large, name), rtol=1e-9)


def test_two_prior_at_its_edges_is_finite():
    cases = [
        (np.array([[0.1]]), np.array([[2.0]]), np.array([20.0])),
        (np.zeros((3, 1)), np.zeros((3, 1)), np.array([5.0, 1, 9])),
        (np.full((3, 1), 0.1), np.zeros((3, 1)), np.array([5.0, 1, 9])),
        (np.array([[0.5], [0.01]]), np.array([[0.0], [3.0]]), np.array([1.0, 50])),
        (np.array([[0.05], [0.05]]), np.array([[4.0], [4.0]]), np.array([50.0, 50])),
    ]
    for d, ss, n in cases:
        post = two_prior(d, ss, n)
        for x in (post.m1, post.sd1, post.m2, post.sd2):
            assert np.isfinite(x).all()
    zero = two_prior(*cases[1])
    assert not (zero.m1 > 1.645 * zero.sd1).any()
    one = two_prior(*cases[0])
    assert one.m1[0, 0] == pytest.approx(0.1)
    nothing = two_prior(np.full((2, 1), np.nan), np.zeros((2, 1)), np.zeros(2))
    assert np.isnan(nothing.m1).all()
    with pytest.raises(ValueError, match="groups, candidates"):
        two_prior(np.zeros(3), np.zeros(3), np.zeros(3))


def test_sceptic_lends_no_gain():
    # three groups gain alike, the fourth has no evidence of its own
    d, n = np.array([[0.1], [0.1], [0.1], [0.0]]), np.array([200.0, 200, 200, 3])
    post = two_prior(d, 0.05 * n[:, None], n)
    assert post.m1[3, 0] > 0.05
    assert post.m2[3, 0] < 0.01
