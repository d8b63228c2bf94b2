"""The multilevel regression: against dense Newton, scikit-learn, closed forms and limits."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, Ridge

from fairuse_router.inference import multilevel_fit


def draw(n=300, m=5, d=3, seed=0, absent=0):
    """Features, groups (the last `absent` ones without rows), labels, main effects of a grid."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    groups = rng.integers(m - absent, size=n)
    slopes = rng.normal(size=d) + 0.7 * rng.normal(size=(m, d))
    margin = np.einsum("ij,ij->i", x, slopes[groups]) + rng.normal(size=m)[groups]
    y = (margin + rng.logistic(size=n) > 0).astype(int)
    main = np.column_stack([np.arange(m) % 2 == 0, np.arange(m) % 2 == 1]).astype(float)
    return x, groups, y, main


def expanded(x, groups, main):
    """The design over all parameters, and which ridge each has (nan for S)."""
    m, (n, d) = len(main), x.shape
    own = np.zeros((n, m, d + 1))
    rows = np.flatnonzero(groups >= 0)
    own[rows, groups[rows], :d] = x[rows]
    own[rows, groups[rows], d] = 1
    effects = np.where(groups[:, None] >= 0, main[groups], 0.0)
    shared = [x, np.ones((n, 1)), effects]
    k = main.shape[1]
    ridge = np.concatenate(
        [
            np.ones(d),
            [0.0],
            np.ones(k),
            np.tile([*[np.nan] * d, 4.0], m),
        ]
    )
    return np.hstack([*shared, own.reshape(n, -1)]), ridge


def dense(design, ridge, y, offset, weight):
    """Minimize the same objective without any structure, by Newton with a dense Hessian."""
    beta = np.zeros(design.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-(offset + design @ beta)))
        gradient = design.T @ (weight * (y - p)) - ridge * beta
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-13:
            break
    return beta


@pytest.mark.parametrize("with_offset", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_block_newton_equals_dense_newton_on_the_expanded_design(with_offset, weighted):
    x, groups, y, main = draw()
    groups[:20] = -1  # rows that withhold something
    rng = np.random.default_rng(1)
    offset = rng.normal(size=len(y)) if with_offset else None
    weight = rng.uniform(0.2, 3, size=len(y)) if weighted else None
    more = {"offset": offset, "weight": weight, "tol": 1e-14, "max_iter": 50}
    design, ridge = expanded(x, groups, main)
    own = rng.uniform(1, 30, size=(5, 4))  # of every slope and intercept of every group
    for given in (30.0, 3.0, own):
        fit = multilevel_fit(x, groups, y, main, given, **more)
        each = np.where(np.isnan(ridge), given, ridge) if np.ndim(given) == 0 else ridge.copy()
        if np.ndim(given):
            each[-20:] = own.ravel()
        beta = dense(
            design,
            each,
            y,
            0 if offset is None else offset,
            np.ones(len(y)) if weight is None else weight,
        )
        found = np.concatenate([fit.shared, fit.own.ravel()])
        np.testing.assert_allclose(found, beta, atol=1e-9)


def test_it_equals_scikit_learn_on_rescaled_columns():
    # a ridge of r on a coefficient is a ridge of 1 on the column divided by sqrt(r); u0 is free
    x, groups, y, main = draw()
    fit = multilevel_fit(x, groups, y, main, 10.0, tol=1e-14, max_iter=50)
    design, ridge = expanded(x, groups, main)
    ridge = np.where(np.isnan(ridge), 10.0, ridge)
    keep = ridge > 0
    scaled = design[:, keep] / np.sqrt(ridge[keep])
    model = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(scaled, y)
    margin = np.einsum("ij,ij->i", x, fit.coef[groups]) + fit.intercept[groups]
    np.testing.assert_allclose(model.decision_function(scaled), margin, atol=1e-5)


def test_squared_loss_is_ridge_regression_in_closed_form():
    x, groups, _, main = draw(seed=3)
    y = x @ [1.0, -2.0, 0.5] + groups + np.random.default_rng(0).normal(size=len(x))
    fit = multilevel_fit(x, groups, y, main, 10.0, squared=True)
    design, ridge = expanded(x, groups, main)
    ridge = np.where(np.isnan(ridge), 10.0, ridge)
    keep = ridge > 0
    model = Ridge(alpha=1.0).fit(design[:, keep] / np.sqrt(ridge[keep]), y)
    margin = np.einsum("ij,ij->i", x, fit.coef[groups]) + fit.intercept[groups]
    np.testing.assert_allclose(model.predict(design[:, keep] / np.sqrt(ridge[keep])), margin)


def test_an_endless_penalty_leaves_shared_slopes_only():
    x, groups, y, main = draw()
    fit = multilevel_fit(x, groups, y, main, 1e12, tol=1e-14, max_iter=50)
    np.testing.assert_allclose(fit.coef, np.tile(fit.coef[0], (5, 1)), atol=1e-8)

    def objective(beta):
        u, u0, a, b = beta[:3], beta[3], beta[4:6], beta[6:]
        margin = x @ u + u0 + (main @ a)[groups] + b[groups]
        loss = np.logaddexp(0, margin).sum() - y @ margin
        return loss + (u @ u + a @ a + 4 * b @ b) / 2

    best = minimize(objective, np.zeros(11), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(fit.coef[0], best.x[:3], atol=1e-5)
    np.testing.assert_allclose(fit.own[:, -1], best.x[6:], atol=1e-5)


def test_with_an_offset_an_endless_penalty_leaves_what_groups_share():
    x, groups, y, main = draw()
    offset = x @ [1.0, 0.0, -1.0]
    fit = multilevel_fit(x, groups, y, main, 1e12, offset=offset, tol=1e-14)
    np.testing.assert_allclose(fit.coef, np.tile(fit.coef[0], (5, 1)), atol=1e-8)
    assert np.ptp(fit.intercept) > 0.1


def test_a_group_without_rows_has_the_shared_part_and_nothing_of_its_own():
    x, groups, y, main = draw(absent=1)
    fit = multilevel_fit(x, groups, y, main, 10.0)
    np.testing.assert_array_equal(fit.own[-1], 0)
    np.testing.assert_allclose(fit.coef[-1], fit.shared[:3])


def test_a_weight_of_two_is_a_row_twice():
    x, groups, y, main = draw()
    twice = np.r_[0 : len(y), 0:50]
    weight = np.ones(len(y))
    weight[:50] = 2
    a = multilevel_fit(x, groups, y, main, 10.0, weight=weight, tol=1e-14)
    b = multilevel_fit(x[twice], groups[twice], y[twice], main, 10.0, tol=1e-14)
    np.testing.assert_allclose(a.own, b.own, atol=1e-9)


def test_separable_rows_and_far_offsets_do_not_diverge():
    x = np.linspace(-3, 3, 40)[:, None]
    groups, y = np.repeat([0, 1], 20), (x[:, 0] > 0).astype(int)
    offset = np.where(np.arange(40) % 2, 30.0, -30.0)  # sure and wrong half the time
    fit = multilevel_fit(x, groups, y, np.eye(2), 3.0, offset=offset)
    assert np.isfinite(fit.own).all()
    assert (fit.coef > 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": np.array([0, 1, 5])}, "groups lie in 0..5; allowed is -1..1"),
        ({"y": np.zeros(4)}, "give one row of x"),
        ({"x": np.array([[np.nan], [0.0], [1.0]])}, "not finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message):
    given = {"x": np.zeros((3, 1)), "groups": np.array([0, 1, 1]), "y": np.zeros(3)}
    with pytest.raises(ValueError, match=message):
        multilevel_fit(**{**given, **change}, main=np.eye(2), ridge=10.0)
