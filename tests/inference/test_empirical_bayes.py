"""Penalties learned from the rows: against dense arithmetic, closed forms, limits and laws."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from fairuse_router.inference import empirical_bayes as eb
from fairuse_router.inference import evidence_shares, multilevel_bayes, multilevel_fit
from fairuse_router.inference.arrow_newton import ArrowProblem
from fairuse_router.inference.arrow_newton import minimize as newton


def draw(n=300, m=4, d=3, seed=0, differ=0.7):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    groups = rng.integers(m, size=n)
    slopes = rng.normal(size=d) + differ * rng.normal(size=(m, d))
    margin = np.einsum("ij,ij->i", x, slopes[groups]) + rng.normal(size=m)[groups]
    y = (margin + rng.logistic(size=n) > 0).astype(int)
    return x, groups, y, np.eye(m)


def by_hand(x, groups, y, main, offset=0.0):
    """The same estimate from dense fits, loops, and inverses."""
    m, d = len(main), x.shape[1]
    x1 = np.column_stack([x, np.ones(len(x))])
    fits, evidence = [], []
    for b, s in itertools.product((8.0, 2.0), (300.0, 100.0, 30.0, 10.0, 3.0)):
        ridge = np.append(np.full(d, s), b)
        fit, own = fit_and_evidence(x, x1, groups, y, main, np.tile(ridge, (m, 1)), offset)
        fits.append(np.column_stack([fit.coef, fit.intercept]))
        evidence.append([e for e, _ in own])
    evidence = np.array(evidence)
    common = np.full(10, 0.1)
    for _ in range(50):
        shares = common[:, None] * np.exp(evidence - evidence.max(axis=0))
        shares /= shares.sum(axis=0)
        common = (shares.sum(axis=1) + 0.1) / (m + 1)
    normal = np.einsum("kg,kgj->gj", shares, fits)
    ridge = np.tile(np.append(np.full(d, 10.0), 3.0), (m, 1))
    for _ in range(eb._TAIL_STEPS):
        fit, own = fit_and_evidence(x, x1, groups, y, main, ridge, offset)
        variance = np.array([v for _, v in own])
        ridge[:, :d] = 2 / (0.01 + fit.own[:, :d] ** 2 + variance[:, :d])
    fit, _ = fit_and_evidence(x, x1, groups, y, main, ridge, offset)
    return (normal + np.column_stack([fit.coef, fit.intercept])) / 2


def fit_and_evidence(x, x1, groups, y, main, ridge, offset):
    """One fit, and the evidence and the posterior variances of each group."""
    fit = multilevel_fit(
        x, groups, y, main, ridge, offset=offset + np.zeros(len(y)), tol=1e-13, max_iter=60
    )
    found = []
    for g in range(len(main)):
        rows = groups == g
        margin = (offset + np.zeros(len(y)))[rows] + x[rows] @ fit.coef[g] + fit.intercept[g]
        p = 1 / (1 + np.exp(-margin))
        curvature = (x1[rows] * (p * (1 - p))[:, None]).T @ x1[rows] + np.diag(ridge[g])
        log_lik = (y[rows] * margin - np.logaddexp(0, margin)).sum()
        value = log_lik - ridge[g] @ fit.own[g] ** 2 / 2 + np.log(ridge[g]).sum() / 2
        value -= np.linalg.slogdet(curvature)[1] / 2
        found.append((value, np.diag(np.linalg.inv(curvature))))
    return fit, found


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_mean_of_two_empirical_bayes_fits(seed):
    x, groups, y, main = draw(seed=seed)
    offset = 0.3 * np.random.default_rng(seed).normal(size=len(y))
    found = multilevel_bayes(x, groups, y, main, offset=offset)
    # one Newton step for each of the EM's, dense fits to the end
    np.testing.assert_allclose(found, by_hand(x, groups, y, main, offset), atol=0.03)


def test_with_endless_patience_it_is_that_to_many_digits(monkeypatch):
    monkeypatch.setattr(eb, "_ROUGH", 1e-13)
    monkeypatch.setattr(eb, "_FINE", 1e-13)
    monkeypatch.setattr(eb, "minimize", lambda *a, **k: newton(*a[:3], tol=1e-13, max_iter=60))
    x, groups, y, main = draw(seed=7)
    found = multilevel_bayes(x, groups, y, main)
    np.testing.assert_allclose(found, by_hand(x, groups, y, main), atol=1e-6)


def test_evidence_of_a_regression_is_the_normal_density_given_the_shared_part():
    x, groups, _, main = draw(120, m=3, d=2, seed=1)
    rng = np.random.default_rng(0)
    y = x @ [1.0, -1.0] + groups + 0.8 * rng.normal(size=len(x))
    problem = ArrowProblem(x, groups, y, main, None, None, True)
    ridge, noise = np.tile([5.0, 5.0, 2.0], (1, 3, 1)), 0.64
    found = newton(problem, ridge)
    posterior = eb._Posterior(found, ridge)
    for g in range(3):
        rows = groups == g
        x1 = np.column_stack([x[rows], np.ones(rows.sum())])
        mean = x1 @ problem.spread(found.shared)[0, g]
        covariance = noise * (np.eye(rows.sum()) + x1 @ np.diag(1 / ridge[0, g]) @ x1.T)
        density = multivariate_normal(mean, covariance).logpdf(y[rows])
        constant = -rows.sum() * np.log(2 * np.pi * noise) / 2
        np.testing.assert_allclose(posterior.evidence(noise)[0, g] + constant, density)


def test_the_last_of_several_steps_leaves_hardly_a_promise():
    x, groups, y, main = draw(2000, m=6)
    problem = ArrowProblem(x, groups, y, main, None, None, False)
    ridge = np.stack([np.tile([s, s, s, b], (6, 1)) for s, b in ((300, 8), (3, 2))])
    quick, exact = newton(problem, ridge, tol=0.1), newton(problem, ridge, tol=1e-14)
    np.testing.assert_allclose(quick.own, exact.own, atol=5e-3)
    for k in range(2):
        alone = newton(problem, ridge[k : k + 1], tol=1e-14)
        np.testing.assert_allclose(exact.own[k], alone.own[0], atol=1e-8)

        def objective(beta, r=ridge[k], p=problem):
            shared, own = beta[: len(p.shared_ridge)], beta[len(p.shared_ridge) :].reshape(6, 4)
            loss = p.loss(p.joint(shared[None], own[None]))[0].sum()
            return loss + (p.shared_ridge @ shared**2 + (r * own**2).sum()) / 2

        best = np.concatenate([exact.shared[k], exact.own[k].ravel()])
        found = minimize(objective, best, method="BFGS", options={"maxiter": 3})
        assert found.fun > objective(best) - 1e-9


def test_wide_features_take_another_path_to_the_same_numbers(monkeypatch):
    x, groups, y, main = draw(200)
    kept = multilevel_bayes(x, groups, y, main)
    monkeypatch.setattr("fairuse_router.inference.arrow_newton._PRODUCTS", 0)
    np.testing.assert_allclose(multilevel_bayes(x, groups, y, main), kept, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(1e-6, 1e6), seed=st.integers(0, 10**6), squared=st.booleans())
def test_the_scale_of_weights_moves_nothing(factor, seed, squared):
    x, groups, y, main = draw(120, seed=seed)
    weight = np.random.default_rng(seed).uniform(0, 3, size=len(y))
    weight[::5] = 0
    once = multilevel_bayes(x, groups, y, main, weight=weight, squared=squared)
    again = multilevel_bayes(x, groups, y, main, weight=factor * weight, squared=squared)
    np.testing.assert_allclose(again, once, atol=1e-7)


@pytest.mark.parametrize("squared", [False, True])
def test_weights_of_zero_are_absent_rows_and_equal_weights_none(squared):
    x, groups, y, main = draw(200)
    weight = np.where(np.arange(200) % 4, 7.0, 0.0)
    some = weight > 0
    np.testing.assert_allclose(
        multilevel_bayes(x, groups, y, main, weight=weight, squared=squared),
        multilevel_bayes(x[some], groups[some], y[some], main, squared=squared),
        atol=1e-9,
    )


def test_a_row_twice_is_a_weight_of_two_but_for_how_many_rows_there_are():
    # one fit: exactly (see multilevel_fit); here weights say what counts more, not how much counts
    x, groups, y, main = draw(200)
    twice = np.repeat(np.arange(200), 2)
    doubled = multilevel_bayes(x[twice], groups[twice], y[twice], main)
    weighted = multilevel_bayes(x, groups, y, main, weight=np.full(200, 2.0))
    plain = multilevel_bayes(x, groups, y, main)
    np.testing.assert_allclose(weighted, plain, atol=1e-12)
    assert np.ptp(doubled[:, 0]) > np.ptp(plain[:, 0])  # more rows, less shrinkage


@pytest.mark.parametrize("squared", [False, True])
def test_groups_in_another_order_and_rows_shuffled_change_nothing(squared):
    x, groups, y, main = draw(250)
    order, names = np.random.default_rng(0).permutation(250), np.array([2, 0, 3, 1])
    found = multilevel_bayes(
        x[order], names[groups[order]], y[order], main[np.argsort(names)], squared=squared
    )
    kept = multilevel_bayes(x, groups, y, main, squared=squared)
    np.testing.assert_allclose(found[names], kept, atol=1e-6)


def test_units_of_a_regression_are_its_own():
    x, groups, _, main = draw(200)
    y = np.einsum("ij,ij->i", x, np.array([[1, 0, 0]] * 3 + [[-1, 0, 0]])[groups])
    y = y + np.random.default_rng(0).normal(size=200)
    once, thousand = (multilevel_bayes(x, groups, k * y, main, squared=True) for k in (1, 1000))
    np.testing.assert_allclose(thousand, 1000 * once, rtol=1e-6, atol=1e-6)
    assert np.abs(once[:3, 0] - 1).max() < 0.3
    assert once[3, 0] < -0.6


@pytest.mark.parametrize("squared", [False, True])
def test_groups_that_differ_in_nothing_share_and_those_that_do_keep_their_own(squared):
    spread = []
    for differ in (0.0, 2.0):
        x, groups, y, main = draw(2000, differ=differ, seed=5)
        joint = multilevel_bayes(x, groups, y, main, squared=squared)
        alone = [
            multilevel_fit(x[groups == g], np.zeros((groups == g).sum(), int), y[groups == g],
                           np.ones((1, 1)), 1e9, squared=squared).coef[0]
            for g in range(4)
        ]  # fmt: skip
        spread.append(np.std(joint[:, :-1], axis=0).mean() / np.std(alone, axis=0).mean())
    assert spread[0] < 0.5
    assert spread[1] > 0.9


def test_a_noiseless_regression_and_groups_without_rows_stay_finite():
    x, groups, _, main = draw(100)
    y = x @ [1.0, 2.0, 3.0]
    joint = multilevel_bayes(x, np.minimum(groups, 2), y, main, squared=True)
    assert np.isfinite(joint).all()
    np.testing.assert_allclose(joint[0, :3], [1, 2, 3], atol=0.2)
    nobody = multilevel_bayes(x, np.full(100, -1), (y > 0).astype(int), main)
    np.testing.assert_allclose(nobody[:, 0], nobody[0, 0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-300, 300), min_size=3, max_size=3), min_size=1, max_size=6))
def test_shares_are_probabilities_and_follow_the_evidence(rows):
    evidence = np.array(rows).T
    shares = evidence_shares(evidence)
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    assert (shares >= 0).all()
    np.testing.assert_allclose(evidence_shares(evidence + 5.0), shares, atol=1e-9)
    best = evidence.argmax(axis=0)
    if (best == best[0]).all():
        assert (shares.argmax(axis=0) == best[0]).all() or np.ptp(np.sort(evidence, 0)[1:]) < 1e-9
