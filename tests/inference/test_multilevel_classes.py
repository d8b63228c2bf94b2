"""Multilevel regression of several classes: what it is the optimum of, and what it may not see."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.linear_model import LogisticRegression

from fairuse_router.inference import multilevel_classes, multilevel_fit


def draw(n=600, m=4, seed=0):
    """Features, groups (the first has other slopes), three classes, and true probabilities."""
    rng = np.random.default_rng(seed)
    x, groups = rng.normal(size=(n, 2)), rng.integers(m, size=n)
    shared, own = rng.normal(size=(3, 2)), rng.normal(size=(m, 3, 3))
    own[1:] = 0
    z = x @ shared.T + np.einsum("nd,nkd->nk", x, own[groups, :, :-1]) + own[groups, :, -1]
    return x, groups, (z + rng.gumbel(size=z.shape)).argmax(axis=1), softmax(z, axis=1)


def probabilities(joint, x, groups):
    own = joint[groups]
    return softmax(np.einsum("nd,nkd->nk", x, own[:, :, :-1]) + own[:, :, -1], axis=1)


def divergence(truth, p):
    return float((truth * (np.log(truth) - np.log(p))).sum(axis=1).mean())


def test_fits_of_one_class_after_the_other_reach_the_optimum_of_all_classes():
    x, groups, y, _ = draw(200, 2)
    main, ridge, classes = np.eye(2), 5.0, 3
    joint, margins = np.zeros((2, classes, 3)), np.zeros((200, classes))
    for _ in range(60):
        for k in range(classes):
            others = logsumexp(np.delete(margins, k, axis=1), axis=1)
            fit = multilevel_fit(x, groups, y == k, main, ridge, offset=-others, tol=1e-12)
            joint[:, k] = np.column_stack([fit.coef, fit.intercept])
            margins[:, k] = (x * joint[groups, k, :-1]).sum(axis=1) + joint[groups, k, -1]

    told = np.eye(2)[groups]
    x1 = np.column_stack([x, np.ones(200)])
    design = np.column_stack([x1, told, *(x1 * told[:, [g]] for g in range(2))])
    penalty = np.array([1, 1, 0, 1, 1, *[ridge, ridge, 4] * 2])  # u, u0, a, and v, b of each group

    def objective(flat):
        beta = flat.reshape(classes, -1)
        z = design @ beta.T
        loss = (logsumexp(z, axis=1) - z[np.arange(200), y]).sum() + (penalty * beta**2).sum() / 2
        return loss, ((softmax(z, axis=1) - np.eye(3)[y]).T @ design + penalty * beta).ravel()

    start = np.zeros(classes * design.shape[1])
    found = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-8}).x
    expected = softmax(design @ found.reshape(classes, -1).T, axis=1)
    np.testing.assert_allclose(probabilities(joint, x, groups), expected, atol=1e-4)


def test_it_is_nearer_to_the_truth_than_what_it_starts_from_and_than_one_model_a_group():
    lost = np.zeros(3)
    for seed in range(6):
        x, groups, y, truth = draw(seed=seed)
        generic = LogisticRegression().fit(x, y)
        joint = multilevel_classes(x, groups, y, np.eye(4), generic.decision_function(x))
        own = np.empty((len(y), 3))
        for g in range(4):
            rows = groups == g
            own[rows] = LogisticRegression().fit(x[rows], y[rows]).predict_proba(x[rows])
        told = probabilities(joint, x, groups), generic.predict_proba(x), own
        lost += [divergence(truth, p) for p in told]
    assert lost[0] < 0.9 * lost[2] < lost[1]


def test_the_order_of_classes_hardly_matters():
    x, groups, y, truth = draw(2000)
    start = LogisticRegression().fit(x, y).decision_function(x)
    first = probabilities(multilevel_classes(x, groups, y, np.eye(4), start), x, groups)
    turned = multilevel_classes(x, groups, 2 - y, np.eye(4), start[:, ::-1])
    second = probabilities(turned, x, groups)[:, ::-1]
    assert divergence(first, second) < 0.2 * divergence(truth, first)


@pytest.mark.parametrize("factor", [2.0, 1e-3])
def test_the_scale_of_weights_says_nothing(factor):
    x, groups, y, _ = draw()
    weight = np.random.default_rng(1).uniform(0.5, 2, size=len(y))
    once, again = (
        multilevel_classes(x, groups, y, np.eye(4), np.zeros((len(y), 3)), weight=w)
        for w in (weight, factor * weight)
    )
    np.testing.assert_allclose(once, again, atol=1e-8)


def test_rows_of_no_group_and_of_no_weight_leave_no_group_without_coefficients():
    x, groups, y, _ = draw()
    some = np.where(np.arange(len(y)) < 100, -1, groups)
    joint = multilevel_classes(x, some, y, np.eye(4), np.zeros((len(y), 3)))
    assert np.isfinite(joint).all()
    kept = np.arange(len(y)) >= 100
    weight = kept.astype(float)
    without = multilevel_classes(x[kept], groups[kept], y[kept], np.eye(4), np.zeros((500, 3)))
    weighted = multilevel_classes(x, groups, y, np.eye(4), np.zeros((600, 3)), weight=weight)
    np.testing.assert_allclose(without, weighted, atol=1e-8)


def test_a_group_without_rows_of_a_class_has_the_others_word_for_it():
    x, groups, y, _ = draw(1000)
    kept = (groups != 2) | (y != 1)
    joint = multilevel_classes(x[kept], groups[kept], y[kept], np.eye(4), np.zeros((kept.sum(), 3)))
    p = probabilities(joint, x, np.full(len(x), 2))[:, 1]
    assert 0 < p.mean() < 0.2
