"""Populations against their own law: closed forms, moments, Monte-Carlo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from fairuse_router.datasets import make_population

EFFECTS = [
    *("none", "linear", "intercept", "interaction", "slopes", "curves", "mixed", "label_shift"),
]


def logit(law, ids, x):
    p = law.probability(x, law.grid[ids])
    return np.log(p / (1 - p))


def standardized_residual(y, p):
    return (y - p).sum() / np.sqrt((p * (1 - p)).sum())


@pytest.mark.parametrize("effect", EFFECTS)
def test_labels_follow_the_stated_probability(effect):
    fresh = make_population(100, effect=effect, random_state=3).sample(120_000, random_state=4)
    p = fresh.probability(fresh.features, fresh.groups)
    ids = fresh.law.group_ids(fresh.groups)
    slices = [ids == g for g in range(6)]
    slices += [np.digitize(p, np.linspace(0, 1, 11)[1:-1]) == b for b in range(10)]
    for rows in slices:
        assert abs(standardized_residual(fresh.y[rows], p[rows])) < 4


def test_probability_is_the_stated_formula():
    population = make_population(200, n_groups=4, effect="mixed", random_state=5)
    law, x = population.law, population.features
    ids = law.group_ids(population.groups)
    for i in range(len(population)):
        w, b = law.coefs[ids[i]], law.intercepts[ids[i]]
        a = b + w @ x[i] + 0.35 * (x[i, 2] ** 2 - 1) + 0.35 * x[i, 0] * x[i, 3]
        expected = 1 / (1 + np.exp(-a))
        got = population.probability(x[i : i + 1], population.groups[i : i + 1])
        assert got == pytest.approx([expected], rel=1e-12)


def test_no_effect_means_the_same_probability_in_every_group():
    population = make_population(500, n_groups=12, effect="none", random_state=0)
    law, x = population.law, population.features
    answers = [law.probability(x, np.repeat(cell[None], 500, axis=0)) for cell in law.grid]
    assert np.ptp(answers, axis=0).max() == 0
    assert law.intercepts == pytest.approx(np.full(12, -0.4))


def test_intercept_effect_adds_one_number_per_attribute_level():
    law = make_population(10, n_groups=(2, 3), effect="intercept", random_state=1).law
    table = law.intercepts.reshape(2, 3)
    interaction = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    assert np.abs(interaction).max() < 1e-12
    assert np.ptp(table) > 0.1
    assert np.ptp(law.coefs, axis=0).max() == 0


def test_intercept_numbers_have_standard_deviation_point_8():
    numbers = []
    for seed in range(400):
        table = make_population(1, n_groups=4, effect="intercept", random_state=seed).law.intercepts
        numbers.append((table[0] - table[2], table[0] - table[1]))  # two levels of one attribute
    assert np.std(numbers) == pytest.approx(0.8 * np.sqrt(2), rel=0.08)


def test_interaction_effect_is_a_chessboard():
    law = make_population(10, n_groups=12, effect="interaction", random_state=1).law
    board = law.intercepts.reshape(2, 2, 3) + 0.4
    assert np.abs(np.abs(board) - 1).max() < 1e-12
    for axis in range(3):
        assert np.abs(np.abs(np.diff(board, axis=axis)) - 2).max() < 1e-12


@pytest.mark.parametrize(("n_groups", "changed"), [(4, 1), (6, 2), (12, 4)])
def test_slopes_flip_three_of_the_six_largest_in_a_third_of_the_groups(n_groups, changed):
    plain = make_population(10, n_groups=n_groups, random_state=2).law.coefs
    flipped = make_population(10, n_groups=n_groups, effect="slopes", random_state=2).law.coefs
    differs = flipped != plain
    assert sorted(differs.sum(axis=1)) == [0] * (n_groups - changed) + [3] * changed
    np.testing.assert_array_equal(np.abs(flipped), np.abs(plain))
    largest = set(np.argsort(-np.abs(plain[0]))[:6])
    assert all(set(np.flatnonzero(row)) <= largest for row in differs)


def test_without_bends_the_logit_is_linear_and_curves_bend_a_third_of_the_groups():
    laws = {e: make_population(10, effect=e, random_state=2).law for e in ("linear", "curves")}
    x = np.random.default_rng(0).standard_normal((6, 10))
    second = {}  # a second difference along x3 is 0 of a linear logit, 2 * 0.35 of an unbent one
    for effect, law in laws.items():
        steps = [x + np.outer(np.ones(6), np.eye(10)[2] * k) for k in (-1, 0, 1)]
        low, mid, high = (logit(law, np.arange(6), step) for step in steps)
        second[effect] = high - 2 * mid + low
    assert second["linear"] == pytest.approx(np.zeros(6), abs=1e-9)
    assert sorted(second["curves"]) == pytest.approx([-1.4, -1.4, 0.7, 0.7, 0.7, 0.7])


def test_mixed_is_the_three_effects_together():
    laws = {effect: make_population(10, effect=effect, random_state=8).law for effect in EFFECTS}
    x = np.random.default_rng(0).standard_normal((6, 10))
    shift = {e: logit(law, np.arange(6), x) - logit(laws["none"], np.arange(6), x)
             for e, law in laws.items()}  # fmt: skip
    parts = shift["intercept"] + shift["interaction"] + shift["slopes"]
    assert shift["mixed"] == pytest.approx(parts, abs=1e-9)
    assert shift["label_shift"] == pytest.approx(np.zeros(6))


def test_label_shift_loses_positives_in_training_only():
    training = make_population(200_000, effect="label_shift", random_state=6)
    law = training.law
    hit = law.kept_positives < 1
    assert hit.sum() == 2
    assert law.kept_positives[hit] == pytest.approx(0.35)
    fresh = training.sample(200_000, random_state=7)
    p_training = training.probability(training.features, training.groups)
    p_fresh = fresh.probability(fresh.features, fresh.groups)
    ids, fresh_ids = law.group_ids(training.groups), law.group_ids(fresh.groups)
    for g in range(6):
        rows = fresh_ids == g
        assert abs(standardized_residual(fresh.y[rows], p_fresh[rows])) < 4
        rows = ids == g
        kept = 0.35 if hit[g] else 1.0
        odds = kept * p_training[rows] / (1 - p_training[rows])  # Bayes' rule, positives thinned
        assert abs(standardized_residual(training.y[rows], odds / (1 + odds))) < 4
        rates = [np.mean(training.y[rows]), np.mean(fresh.y[fresh_ids == g])]
        ratio = (rates[0] / (1 - rates[0])) / (rates[1] / (1 - rates[1]))
        assert ratio == pytest.approx(kept, rel=0.25 if law.shares[g] < 0.02 else 0.1)
    assert chisquare(np.bincount(ids, minlength=6), law.shares * len(ids)).pvalue > 1e-3


@pytest.mark.parametrize("n_groups", [4, 6, 12])
def test_group_shares(n_groups):
    population = make_population(100_000, n_groups=n_groups, random_state=9)
    law = population.law
    ids = law.group_ids(population.groups)
    assert len(law.shares) == len(law.grid) == n_groups
    assert chisquare(np.bincount(ids, minlength=n_groups), law.shares * len(ids)).pvalue > 1e-3
    np.testing.assert_array_equal(law.grid[ids], population.groups)
    np.testing.assert_array_equal(law.group_ids(law.grid), np.arange(n_groups))


shapes = st.lists(st.integers(2, 6), min_size=1, max_size=4).filter(lambda s: np.prod(s) <= 100)


def test_more_groups_than_a_hundred_need_a_smaller_smallest():
    law = make_population(1, n_groups=(2, 3, 2, 4, 3), random_state=0, smallest_share=5e-4).law
    assert law.shares.shape == (144,)
    assert law.shares.min() == pytest.approx(5e-4)


@given(shapes)
@settings(max_examples=40, deadline=None)
def test_shares_are_a_skewed_product_whose_smallest_cell_has_one_percent(shape):
    shares = make_population(1, n_groups=shape, random_state=0).law.shares.reshape(shape)
    assert shares.sum() == pytest.approx(1)
    assert shares.min() == shares.ravel()[-1] == pytest.approx(0.01)
    product = np.ones(1)
    for axis in range(len(shape)):
        marginal = shares.sum(axis=tuple(a for a in range(len(shape)) if a != axis))
        assert (np.diff(marginal) <= 1e-12).all()
        product = np.outer(product, marginal).ravel()
    assert product == pytest.approx(shares.ravel())


def test_covariates_have_the_stated_moments():
    fresh = make_population(10, n_groups=4, random_state=11).sample(100_000, random_state=12)
    law = fresh.law
    ids = law.group_ids(fresh.groups)
    centred = fresh.features - law.mean_shifts[ids]
    assert np.cov(centred.T) == pytest.approx(np.eye(10), abs=0.03)
    assert centred.mean(axis=0) == pytest.approx(np.zeros(10), abs=0.02)
    assert np.std(centred @ law.coefs[0]) == pytest.approx(1.5, rel=0.02)
    shifts = np.stack([make_population(1, random_state=s).law.mean_shifts for s in range(60)])
    assert shifts.std() == pytest.approx(0.25, rel=0.05)


def test_base_covariates_are_standardized_resampled_and_jittered():
    rng = np.random.default_rng(0)
    base = np.exp(rng.standard_normal((50, 7))) * 100 + 3
    coef = np.arange(1.0, 8.0)
    population = make_population(20_000, covariates=base, coef=coef, random_state=1)
    law = population.law
    assert law.coefs[0] / law.coefs[0, 0] == pytest.approx(coef)
    ids = law.group_ids(population.groups)
    centred = population.features - law.mean_shifts[ids]
    assert np.std(centred @ law.coefs[0]) == pytest.approx(1.5, rel=0.03)
    z = (base - base.mean(0)) / base.std(0)
    distance = np.sqrt(((centred[:500, None] - z[None]) ** 2).sum(axis=2)).min(axis=1)
    assert distance.mean() == pytest.approx(0.3 * np.sqrt(7), rel=0.2)
    rescaled = make_population(50, covariates=5 * base - 1, coef=9 * coef, random_state=1)
    same = make_population(50, covariates=base, coef=coef, random_state=1)
    assert rescaled.features == pytest.approx(same.features)
    np.testing.assert_array_equal(rescaled.y, same.y)


def test_a_seed_determines_law_and_rows():
    one, two = (make_population(300, effect="mixed", random_state=7) for _ in range(2))
    np.testing.assert_array_equal(one.to_array(), two.to_array())
    np.testing.assert_array_equal(one.y, two.y)
    np.testing.assert_array_equal(one.sample(50, 3).features, two.sample(50, 3).features)
    other = make_population(300, effect="mixed", random_state=8)
    assert not np.array_equal(one.features, other.features)
    assert not np.array_equal(one.sample(50, 3).features, one.sample(50, 4).features)


def test_sizes_share_a_law_and_effects_share_their_rows():
    small, large = (make_population(n, effect="slopes", random_state=7) for n in (50, 5000))
    np.testing.assert_array_equal(small.law.coefs, large.law.coefs)
    np.testing.assert_array_equal(small.law.mean_shifts, large.law.mean_shifts)
    plain = make_population(50, random_state=7)
    np.testing.assert_array_equal(small.features, plain.features)
    np.testing.assert_array_equal(small.groups, plain.groups)


def test_true_risk_is_the_mean_over_labels():
    fresh = make_population(10, effect="mixed", random_state=1).sample(400, random_state=2)
    p = fresh.probability(fresh.features, fresh.groups)
    guess = np.clip(p + 0.1 * np.sin(np.arange(400)), 0.01, 0.99)
    rng = np.random.default_rng(3)
    draws = {"error": [], "brier": [], "log_loss": []}
    for _ in range(400):
        y = (rng.random(400) < p).astype(int)
        draws["error"].append(1 - accuracy_score(y, guess > 0.5))
        draws["brier"].append(brier_score_loss(y, guess))
        draws["log_loss"].append(log_loss(y, guess))
    for metric, values in draws.items():
        truth = fresh.true_risk(guess > 0.5 if metric == "error" else guess, metric)
        z = (np.mean(values) - truth) / (np.std(values) / np.sqrt(len(values)))
        assert abs(z) < 4, metric
        assert np.std(values) / np.sqrt(len(values)) < 0.02 * truth


def test_true_risk_in_closed_form():
    fresh = make_population(10, random_state=1).sample(1000, random_state=2)
    p = fresh.probability(fresh.features, fresh.groups)
    assert fresh.true_risk(np.ones(1000)) == pytest.approx(np.mean(1 - p))
    assert fresh.true_risk(p, "brier") == pytest.approx(np.mean(p * (1 - p)))
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert fresh.true_losses(p, "log_loss") == pytest.approx(entropy)
    both = np.column_stack([1 - p, p])
    assert fresh.true_risk(both, "brier") == pytest.approx(fresh.true_risk(p, "brier"))
    assert fresh.true_risk(np.zeros(1000), "log_loss") == np.inf


def test_group_risks_average_to_the_risk_and_are_nan_without_rows():
    fresh = make_population(10, n_groups=12, random_state=1).sample(3000, random_state=2)
    ids = fresh.law.group_ids(fresh.groups)
    risks = fresh.true_group_risks(fresh.features[:, 0] > 0)
    weights = np.bincount(ids, minlength=12)
    assert risks @ weights / 3000 == pytest.approx(fresh.true_risk(fresh.features[:, 0] > 0))
    alone = fresh.sample(1, random_state=0).true_group_risks([1])
    assert np.isnan(alone).sum() == 11


def test_array_and_frame_forms():
    population = make_population(40, n_groups=12, random_state=0)
    X, frame = population.to_array(), population.to_frame()
    assert X.dtype == object
    assert X.shape == (40, 13)
    assert population.group_columns == [10, 11, 12]
    assert population.column_names[9:] == ["x10", "group_a", "group_b", "group_c"]
    assert {type(v) for v in X[0, :10]} == {float}
    assert {type(v) for v in X[0, 10:]} == {str}
    assert frame.columns.tolist() == population.column_names
    np.testing.assert_array_equal(frame[population.group_attributes].to_numpy(), X[:, 10:])
    np.testing.assert_array_equal(frame.iloc[:, :10].to_numpy(float), population.features)
    assert frame["x1"].dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effect": "slope"}, "effect='slope' is not known. Allowed: none"),
        ({"n_groups": 5}, "n_groups=5 has no grid"),
        ({"n_groups": (3, 1)}, r"n_groups=\(3, 1\) is no grid"),
        ({"n_groups": (11, 10)}, "makes 110 groups; at most 100"),
        ({"smallest_share": 0.0}, "smallest_share=0.0 is no share"),
        ({"n_samples": 0}, "n_samples=0 is not allowed"),
        ({"covariates": np.ones((9, 3))}, r"covariates has shape \(9, 3\)"),
        ({"covariates": np.full((9, 8), np.nan)}, "covariates holds NaN"),
        ({"covariates": np.ones((9, 8))}, "column 0 is constant"),
        ({"coef": [1, 2]}, r"coef has shape \(2,\); give 10"),
        ({"coef": np.zeros(10)}, "not all zero"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_population(**arguments)


def test_bad_predictions_and_reports_are_named():
    population = make_population(20, random_state=0)
    half = np.full(20, 0.5)
    with pytest.raises(ValueError, match="other than the labels 0 and 1"):
        population.true_risk(half)
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        population.true_risk(3 * half, "brier")
    with pytest.raises(ValueError, match="no mean over rows"):
        population.true_risk(half, "auc")
    with pytest.raises(ValueError, match="shape"):
        population.true_risk(half[:5], "brier")
    with pytest.raises(ValueError, match=r"group_a has the level '\?'. Allowed: a0, a1"):
        population.probability(population.features, np.full((20, 2), "?"))
    with pytest.raises(ValueError, match="groups has shape"):
        population.probability(population.features, population.groups[:, 0])
    with pytest.raises(ValueError, match=r"features has shape \(20, 9\)"):
        population.probability(population.features[:, :9], population.groups)
