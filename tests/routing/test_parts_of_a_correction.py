"""Parts of a correction: how much the rival slope rule and routers use, serve, show and draw."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from evidence import gather
from scipy.special import expit
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

from benchmarks.rivals import slope
from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population
from fairuse_router.inference import STRENGTHS, slope_evidence, slope_posterior
from fairuse_router.metrics import Predictions, get_metric
from fairuse_router.routing.policies.evidence import Choice, served_scores
from fairuse_router.routing.policies.rules import choose_certified

# small tables keep tests quick; that they are small is said in test_parts_of_a_correction
pytestmark = pytest.mark.filterwarnings("ignore:policy='certified' on")

LOGISTIC = LogisticRegression(solver="newton-cholesky")


def make_evidence(slopes, sizes, *, seed=0, size=1.0, regression=False, **more):
    """Groups whose corrections of sd `size` are real by `slopes`."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    n = len(groups)
    base, delta = rng.normal(size=n), size * rng.normal(size=n)
    truth = base + np.asarray(slopes)[groups] * delta
    if regression:
        target = truth + rng.normal(size=n)
        predictions = {"generic": Predictions(base), "multilevel": Predictions(base + delta)}
    else:
        target = (truth + rng.logistic(size=n) > 0).astype(int)
        predictions = {
            name: Predictions.from_proba(expit(margin))
            for name, margin in (("generic", base), ("multilevel", base + delta))
        }
    return gather(
        target,
        groups,
        len(sizes),
        predictions,
        {name: np.ones(n, dtype=bool) for name in predictions},
        {},
        get_metric("squared_error" if regression else "error"),
        20,
        margins={"multilevel": np.column_stack([base, base + delta])},
        **more,
    )


@pytest.mark.parametrize("regression", [False, True])
def test_strength_follows_how_much_of_the_correction_is_real(regression):
    sizes = [4000] * 4
    given = make_evidence([1.0, 0.5, 0.0, -1.0], sizes, size=1.5, regression=regression)
    choices = slope(given)
    assert [c.candidate for c in choices] == ["multilevel", "multilevel", "generic", "generic"]
    assert [c.strength for c in choices][:2] == [1.0, 0.5]


def test_the_choice_is_the_rule_of_the_two_posteriors():
    given = make_evidence([1.0, 0.6, 0.4, 0.1], [120, 60, 300, 40], seed=3)
    rows = slope_evidence(given.rows.y, *given.scores["multilevel"].margins.T, given.rows.groups, 4)
    pool = slope_posterior(rows.log_lik)
    sceptic = slope_posterior(rows.log_lik, highest_mean=0.2)
    margins = given.scores["multilevel"].margins
    base, delta = margins[:, 0], np.diff(margins)[:, 0]
    wrong = np.array([
        np.bincount(given.rows.groups, (base + lam * delta > 0) != given.rows.y)
        for lam in (0.0, *STRENGTHS)
    ])  # fmt: skip
    for max_harmed in (0.1, 0.5, 2.0):
        choices = slope(given, max_harmed)
        for g, choice in enumerate(choices):
            best, strength = 0.0, None
            for j, lam in enumerate(STRENGTHS):
                harms = rows.gain[g, j] < 0
                if wrong[j + 1, g] >= wrong[0, g]:
                    continue
                if pool[g][harms].sum() <= 0.005 and sceptic[g][harms].sum() <= max_harmed / 4:
                    expected = pool[g] @ rows.gain[g, j]
                    if expected > best:
                        best, strength = expected, lam
            assert (choice.candidate == "multilevel") == (strength is not None)
            assert strength is None or choice.strength == strength


def test_a_strength_that_looks_no_better_in_the_metric_is_not_deployed():
    given = make_evidence([1.0, 1.0], [2000, 400], size=1.5)
    assert slope(given)[1].strength == 1.0
    second = np.flatnonzero(given.rows.groups == 1)
    base, full = given.scores["multilevel"].margins[second].T
    flipped = (base > 0) != (full > 0)
    target, margins = given.rows.y.copy(), given.scores["multilevel"].margins.copy()
    target[second] = np.where(flipped, base > 0, full > 0)
    margins[second[flipped], 1] = np.sign(full[flipped]) * 1e-3  # only all of it changes labels
    multilevel = Predictions.from_proba(expit(margins[:, 1]))
    own = replace(given.scores["multilevel"], predictions=multilevel, margins=margins)
    changed = replace(
        given,
        rows=replace(given.rows, y=target),
        scores={**given.scores, "multilevel": own},
    )
    assert changed.gains(get_metric("error"), "multilevel")[1] < 0
    refused = slope(changed)[1]  # less of it changes no label, which gains nothing
    assert refused.candidate == "generic"


def test_a_group_that_shows_nothing_borrows_no_gain():
    given = make_evidence([1.0, 1.0, 1.0, 0.0], [3000, 3000, 3000, 25], size=0.8, seed=1)
    last = slope(given)[3]
    assert last.candidate == "generic"


def test_a_smaller_knob_deploys_no_more_groups():
    for seed in range(10):
        served = [
            sum(
                c.candidate == "multilevel"
                for c in slope(make_evidence([1.0, 0.8, 0.4, 0.0], [80] * 4, seed=seed), k)
            )
            for k in (0.05, 0.3, 0.5, 4.0)
        ]
        assert served == sorted(served)


def test_weights_and_clusters_count():
    plain = make_evidence([1.0], [100], seed=2, size=0.7)
    thrice = plain.take(np.repeat(np.arange(100), 3))
    clusters = np.repeat(np.arange(100), 3)
    clustered = slope(replace(thrice, rows=replace(thrice.rows, clusters=clusters)))[0]
    assert clustered == slope(plain)[0]


def test_predictions_of_a_part_are_blended_margins():
    given = make_evidence([1.0, 0.5], [50, 50])
    choices = [Choice("multilevel", "", 0.25), Choice("generic", "")]
    served = served_scores(choices, given).predictions
    base, full = given.scores["multilevel"].margins.T
    p = expit(np.where(given.rows.groups == 0, base + 0.25 * (full - base), base))
    np.testing.assert_allclose(served.proba[:, 1], p)
    np.testing.assert_array_equal(served.label, p > 0.5)
    gain = given.served(choices).gains(get_metric("error"), "nominee")
    wrong = [(label != given.rows.y)[:50].mean() for label in (base > 0, served.label)]
    np.testing.assert_allclose(gain, [wrong[0] - wrong[1], 0.0])


def test_a_router_chooses_shows_audits_and_corrects_parts_of_a_correction():
    population = make_population(500, n_groups=4, effect="slopes", random_state=8)
    router = FairUseRouter(
        LOGISTIC,
        population.group_columns,
        candidates=("generic", "multilevel"),
        policy="priced",
        partial="generic",
        n_resamples=20,
        random_state=0,
    ).fit(population.to_array(), population.y)
    table = router.routing_table_
    strengths = [r.strength for r in table.groups if r.candidate == "multilevel"]
    assert any(s < 1 for s in strengths), "the seed should show a part"
    text = str(table)
    assert max(map(len, text.splitlines())) <= 80
    fresh = population.sample(400, random_state=1)
    X = fresh.to_array()
    proba, ids = router.predict_proba(X)[:, 1], router.schema_.group_ids(router.schema_.encode(X))
    model = router.candidates_["multilevel"].models[0]
    prepared = model.prepare(fresh.features)
    lam = np.array([r.strength * (r.candidate == "multilevel") for r in table.groups])
    full = model.margin(prepared, ids)
    blended = prepared.margin + lam[ids] * (full - prepared.margin)
    np.testing.assert_allclose(proba, expit(blended), atol=1e-9)
    audit = router.audit(X, fresh.y)
    risk = {r.candidate: r.risk for r in audit.risks if r.group is None}
    assert risk["routed"] == pytest.approx(np.mean((blended > 0) != fresh.y))
    assert audit.truthfulness
    assert router.honest_gains_.n_resamples == 20


def test_certified_tests_a_part_on_rows_opened_once():
    slopes, sizes = [1.0, 1.0, 0.0], [1500, 1500, 1500]
    inner = make_evidence(slopes, sizes, size=1.5)
    choices = choose_certified(inner, make_evidence(slopes, sizes, size=1.5, seed=1))
    assert [c.candidate for c in choices] == ["multilevel", "multilevel", "generic"]
    shown = "shown on rows opened once"
    assert all(c.reason.startswith("gain of") and shown in c.reason for c in choices[:2])
    # rows that speak against it overrule what the inner rows said
    against = choose_certified(inner, make_evidence([-1.0, 1.0, 0.0], sizes, size=1.5, seed=1))
    assert [c.candidate for c in against] == ["generic", "multilevel", "generic"]


def test_certified_warns_where_rows_are_few():
    population = make_population(500, n_groups=4, effect="interaction", random_state=0)
    router = FairUseRouter(
        LOGISTIC,
        population.group_columns,
        candidates=("generic", "multilevel"),
        policy="certified",
        random_state=0,
    )
    with pytest.warns(UserWarning, match="on 500 rows: every group is compared with the generic"):
        router.fit(population.to_array(), population.y)
    larger = make_population(1200, n_groups=4, effect="interaction", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        router.fit(larger.to_array(), larger.y)


def test_where_multilevel_cannot_be_had_the_table_says_why(rows):
    y = np.arange(len(rows.y)) % 3
    tree = DecisionTreeClassifier(max_depth=2, random_state=0)
    router = FairUseRouter(tree, rows.groups, candidates=("generic",), policy="priced")
    table = router.fit(rows.frame, y).routing_table_
    assert {r.candidate for r in table.groups} == {"generic"}
    assert all("3 classes needs a linear model" in r.reason for r in table.groups)


def test_a_regression_routes_parts(rows):
    y = np.where(rows.cells == "M/old", -1, 1) * np.array(rows.columns["x"])
    y = y + np.random.default_rng(0).normal(size=len(y))
    router = FairUseRouter(
        Ridge(), rows.groups, policy="priced", metric="squared_error", random_state=0
    ).fit(rows.frame, y)
    served = {", ".join(r.report): r for r in router.routing_table_.groups}
    assert served["M, old"].candidate == "multilevel"
    assert served["M, old"].gain > 0.5
    assert router.score(rows.frame, y) > 0.3


@pytest.mark.slow
def test_without_an_effect_hardly_a_group_is_harmed():
    harmed = []
    for seed in range(40):
        population = make_population(500, n_groups=4, effect="linear", random_state=seed)
        router = FairUseRouter(
            LOGISTIC, population.group_columns, candidates=("generic",), policy="priced",
            random_state=seed,
        ).fit(population.to_array(), population.y)  # fmt: skip
        fresh = population.sample(60_000, random_state=seed + 1000)
        base = router.candidates_["generic"].models[0].predict(fresh.features)
        routed = router.predict(fresh.to_array())
        gain = fresh.true_group_risks(base) - fresh.true_group_risks(routed)
        harmed.append(gain.min() < -0.002)
    assert np.mean(harmed) <= 0.05  # SE 0.03 at a rate of 0.02


@pytest.mark.slow
def test_a_forest_is_corrected_where_it_should_be():
    population = make_population(2000, n_groups=4, effect="interaction", random_state=0)
    forest = RandomForestClassifier(30, min_samples_leaf=5, random_state=0)
    router = FairUseRouter(
        forest, population.group_columns, candidates=("generic",), policy="priced", random_state=0
    ).fit(population.to_array(), population.y)
    fresh = population.sample(20_000, random_state=1)
    base = router.candidates_["generic"].models[0].predict(fresh.features)
    assert fresh.true_risk(router.predict(fresh.to_array())) < fresh.true_risk(base) - 0.02


def test_where_the_correction_cannot_be_had_the_table_says_why():
    population = make_population(500, n_groups=4, random_state=0)
    X, y = population.to_array(), population.y + (population.features[:, 0] > 1)
    tree = DecisionTreeClassifier(max_depth=2, random_state=0)
    router = FairUseRouter(tree, population.group_columns, policy="priced")
    for record in router.fit(X, y).routing_table_.groups:
        assert "3 classes needs a linear model" in record.unavailable["multilevel"]


def test_a_better_generic_is_not_given_to_those_alone_who_report():
    # groups differ in nothing; a shallow tree leaves much that a common correction could mend
    for seed in range(3):
        population = make_population(2000, n_groups=4, effect="none", random_state=seed)
        router = FairUseRouter(
            DecisionTreeClassifier(max_depth=3, random_state=0),
            population.group_columns,
            policy="priced",
            candidates=("generic", "multilevel"),
            random_state=0,
        ).fit(population.to_array(), population.y)
        assert router.routing_table_.disclosure_plan().asked_per_person == 0


def test_what_is_real_and_what_is_used_is_drawn():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from fairuse_router.card import plot_corrections

    population = make_population(2000, n_groups=4, effect="mixed", random_state=1)
    router = FairUseRouter(LogisticRegression(), population.group_columns, random_state=0)
    X, y = population.to_array(), population.y
    table = router.set_params(policy="priced").fit(X, y).routing_table_
    assert table == type(table).from_json(table.to_json())
    weighed = [r for r in table.groups if r.real is not None]
    assert any(r.candidate == "multilevel" for r in weighed)
    for record in weighed:
        mean, low, high = record.real
        assert low <= mean <= high
    ax = plot_corrections(table)
    widths = [bar.get_width() for bar in ax.patches][::-1]
    used = [r.strength if r.candidate == "multilevel" else 0 for r in weighed]
    assert widths == used
    plain = router.set_params(policy="best").fit(X, y).routing_table_
    with pytest.raises(ValueError, match="weighs no correction"):
        plot_corrections(plain)
    matplotlib.pyplot.close("all")
