"""The priced policy: its rule, its reasons, and that labels have the last word."""

import re
import time
from dataclasses import replace

import numpy as np
import pytest
from evidence import change, gather, predictions_of
from evidence import make_evidence as plain_evidence
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population
from fairuse_router.inference import SLOPES, STRENGTHS
from fairuse_router.inference.directions import Direction
from fairuse_router.inference.expected_gain import Costs
from fairuse_router.inference.priced import direction_evidence, worth
from fairuse_router.metrics import Metric, Predictions, get_metric
from fairuse_router.routing.policies import measures
from fairuse_router.routing.policies.rules import POLICIES, choose
from fairuse_router.routing.policies.ways import is_linear, ways

METRICS = ("error", "brier", "log_loss", "auc", "ece")


def corrected(slopes, sizes, metric="error", *, seed=0, size=1.0, scale=None, **more):
    """Evidence on a multilevel correction that is real by a slope of each group's own.

    With a `scale` generic is not linear: it claims so many times the log-odds that are there.
    """
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    base, delta = rng.normal(size=len(groups)), size * rng.normal(size=len(groups))
    truth = base + np.asarray(slopes)[groups] * delta
    kind = get_metric(metric)
    if kind.regression:
        target = truth + rng.normal(size=len(groups))
        predictions = {"generic": Predictions(base), "multilevel": Predictions(base + delta)}
    else:
        target = (truth + rng.logistic(size=len(groups)) > 0).astype(int)
        predictions = {
            "generic": Predictions.from_proba(expit((scale or 1.0) * base)),
            "multilevel": Predictions.from_proba(expit(base + delta)),
        }
    scored = {name: np.ones(len(groups), dtype=bool) for name in predictions}
    margins = {"multilevel": np.column_stack([base, base + delta])}
    given = gather(
        target, groups, len(sizes), predictions, scored, {}, kind, 20, margins=margins, **more
    )
    if scale is None:
        return given
    own = replace(given.scores["multilevel"], scale=np.full(len(groups), 1 / scale))
    return replace(given, scores={**given.scores, "multilevel": own})


def misses(y, predictions, weight):
    """Share of all rows that are positive and missed: a risk of one's own."""
    return float(np.average((y == 1) & (predictions.label != 1), weights=weight))


def f1_loss(y, predictions, weight):
    w = np.ones(len(y)) if weight is None else weight
    hit = w @ ((y == 1) & (predictions.label == 1))
    total = w @ (y == 1) + w @ (predictions.label == 1)
    return float(1 - 2 * hit / total) if total > 0 else float("nan")


def test_the_choice_is_the_rule_by_hand():
    given = corrected([1.0, 0.7, 0.4, 0.0], [150, 80, 300, 60], seed=3, price=0.5)
    base, full = given.scores["multilevel"].margins.T
    models = [base, *(base + s * (full - base) for s in STRENGTHS)]
    told = [np.column_stack([z > 0, z <= 0]).astype(float) for z in models]
    seen = direction_evidence(
        Direction(given.rows.y, base, full),
        given.rows.groups,
        4,
        Costs(told[0], np.array(told[1:])),
    )
    found = worth(seen, 0.5)
    for g, choice in enumerate(choose("priced", given)):
        rows, value = given.rows.groups == g, found.value[g].copy()
        for i, z in enumerate(models[1:]):  # labels have the last word
            gain = ((base > 0) != given.rows.y)[rows] * 1.0 - ((z > 0) != given.rows.y)[rows]
            if gain.mean() < -0.5 * gain.std() / np.sqrt(rows.sum()):
                value[i] = -np.inf
        if value.max() > 0:
            best = int(value.argmax())
            assert (choice.candidate, choice.strength) == ("multilevel", STRENGTHS[best])
            assert choice.reason.startswith(f"expected gain {100 * found.gain[g, best]:+.1f}%")
            assert choice.real[0] == pytest.approx(found.posterior[g] @ SLOPES)
        else:
            assert choice.candidate == "generic"


@pytest.mark.parametrize("metric", [*METRICS, "squared_error", "absolute_error", misses, f1_loss])
def test_what_is_real_is_used_in_every_metric(metric):
    given = corrected([1.0, 1.0, 0.0, -1.0], [2000] * 4, metric, size=1.5)
    choices = choose("priced", given)
    assert [c.candidate for c in choices] == ["multilevel"] * 2 + ["generic"] * 2
    assert all("worth it at price 2" in c.reason for c in choices[:2])
    gains = [measures.shown_gain(given, given.predictions("multilevel"), given.rows.groups)]
    assert (gains[0][0][:2] > 0).all()


def own_gain(evidence, choices, g):
    """Gain over generic out of fold in the metric of a group's route, and its standard error."""
    served = evidence.served(choices)
    own, groups = served.predictions("nominee"), served.rows_of("nominee").groups
    gain, se = measures.shown_gain(evidence, own, groups)
    return gain[g], se[g]


@pytest.mark.parametrize("metric", METRICS)
def test_no_route_is_deployed_against_its_own_evidence_in_the_metric(metric):
    routed = 0
    for seed in range(6):
        plain = plain_evidence(seed, metric, m=4, n=400)
        slopes = np.random.default_rng(seed).uniform(-0.5, 1, size=5)
        for given in (
            plain,
            plain_evidence(seed, metric, m=4, n=400, weight=np.random.default_rng(1).random(400)),
            corrected(slopes, [30, 60, 100, 200, 400], metric, seed=seed),
        ):
            for price in (0.02, 1.0, 2.0):
                asked = change(given, price=price)
                choices = choose("priced", asked)
                for g, choice in enumerate(choices):
                    if choice.candidate != "generic":
                        gain, se = own_gain(asked, choices, g)
                        assert gain >= -0.5 * se - 1e-12
                        routed += 1
    assert routed > 30


def test_labels_overrule_a_model_that_is_sure():
    given = corrected([1.0, 1.0], [3000, 500], size=1.5)
    base, full = given.scores["multilevel"].margins.T
    second = np.flatnonzero((given.rows.groups == 1) & ((base > 0) != (full > 0)))
    target = given.rows.y.copy()
    target[second] = np.where(np.arange(len(second)) % 8 < 5, base[second] > 0, full[second] > 0)
    sure = np.flatnonzero((given.rows.groups == 1) & ((base > 0) == (full > 0)))
    target[sure] = full[sure] > 0  # which makes the model sure, and says nothing of the metric
    choices = choose("priced", change(given, target=target))
    assert choices[0].candidate == "multilevel"
    assert choices[1].candidate == "generic"
    assert choices[1].reason.endswith("the labels speak against it")


def test_reasons_have_the_numbers_of_their_own_group():
    given = corrected([1.0, 0.9, 0.6, -0.5], [400, 100, 40, 800], seed=4)
    reasons = [c.reason for c in choose("priced", given)]
    assert len(set(reasons)) == 4
    chance = r"(below 1%|\d+%)"
    worth_it = rf"expected gain \+\d+\.\d%, probability of harm {chance}: worth it at price 2"
    assert re.fullmatch(worth_it, reasons[0])
    not_worth = (
        rf"(\w+ ){{0,3}}multilevel should gain \+\d+\.\d%, but may harm with probability {chance}: "
        r"not worth it at price 2(; [\d,]+ rows like these 40 might show it)?"
    )
    assert re.fullmatch(not_worth, reasons[2]), reasons[2]
    assert re.match(
        r"no gain to speak of is expected of multilevel: at best [+-]\d\.\d%", reasons[3]
    )


def test_rows_that_might_show_a_gain_show_it():
    given = corrected([0.8, 0.8, 0.8], [600, 300, 40], seed=1, price=2.0)
    last = choose("priced", given)[2]
    told = re.search(r"([\d,]+) rows like these 40 might show it", last.reason)
    assert last.candidate == "generic"
    assert told
    times = int(told[1]) // 40
    more = given.take(np.tile(np.arange(940), times))  # everybody so many times
    assert choose("priced", more)[2].candidate == "multilevel"


def test_a_higher_price_routes_no_group_more():
    for seed in range(8):
        routed = []
        for price in (0.1, 1.0, 2.0, 10.0):
            given = corrected([1.0, 0.8, 0.4, 0.0], [80] * 4, seed=seed, price=price)
            routed.append(sum(c.candidate != "generic" for c in choose("priced", given)))
        assert routed == sorted(routed, reverse=True)


def test_weights_count_by_their_ratios_and_clusters_as_one():
    given = corrected([1.0, 0.6], [100, 60], seed=2, size=0.7)
    weight = np.random.default_rng(0).uniform(0.5, 2, size=160)
    choices = [choose("priced", change(given, weight=k * weight)) for k in (1, 1e-4, 1e4)]
    said = [[(c.candidate, c.strength, c.reason) for c in some] for some in choices]
    assert said[0] == said[1] == said[2]
    thrice = given.take(np.repeat(np.arange(160), 3))
    clustered = choose("priced", change(thrice, clusters=np.repeat(np.arange(160), 3)))
    once = choose("priced", given)
    for a, b in zip(clustered, once, strict=True):
        assert (a.candidate, a.strength) == (b.candidate, b.strength)
    assert choose("priced", thrice) != once


@pytest.mark.parametrize("metric", [misses, f1_loss])
def test_the_unit_of_a_risk_of_ones_own_does_not_matter(metric):
    def cost(y, predictions, weight):
        return 500 * metric(y, predictions, weight)

    one, many = (corrected([1.0, 0.5, 0.0], [300, 60, 200], m, seed=1) for m in (metric, cost))
    for a, b in zip(choose("priced", one), choose("priced", many), strict=True):
        assert (a.candidate, a.strength) == (b.candidate, b.strength)


def test_own_risks_by_rows_are_exact_and_blind_ones_have_a_substitute():
    def rows(y, predictions):
        return ((y == 1) & (predictions.label != 1)).astype(float)

    def undefined(y, predictions, weight):
        return float("nan") if weight is not None else misses(y, predictions, None)

    by_rows = Metric("misses by rows", False, rows, lambda y, p, w: misses(y, p, w))
    asked = choose("priced", corrected([1.0, 0.6], [900, 200], by_rows))
    whole = choose("priced", corrected([1.0, 0.6], [900, 200], misses))
    for a, b in zip(asked, whole, strict=True):
        assert (a.candidate, a.strength) == (b.candidate, b.strength)
    blind = choose("priced", corrected([1.0, 0.6], [900, 200], undefined))
    assert any("in brier" in c.reason for c in blind)


def test_a_correction_serves_groups_of_half_the_size():
    given = corrected([1.0, 1.0, 1.0, 1.0], [3000, 3000, 12, 9], size=2.5, price=0.01)
    assert choose("priced", given)[2].candidate == "multilevel"
    assert choose("priced", given)[3].reason == "too few rows to choose: 9, min_group_size is 20"


@pytest.mark.parametrize("metric", ["error", "squared_error"])
def test_where_generic_is_linear_multilevel_is_offered_alone(metric):
    given = corrected([1.0, 1.0], [300, 300], metric)
    margin = given.scores["multilevel"].margins[:, 1]
    intersectional = (
        Predictions.from_proba(expit(2 * margin)) if metric == "error" else Predictions(margin)
    )
    more = {"predictions": {"intersectional": intersectional}}
    both = np.ones((2, 2), dtype=bool)
    assert is_linear(given)
    assert [w.candidate for w in ways(change(given, **more), both)] == ["multilevel"]
    other = corrected([1.0, 1.0], [300, 300], metric, scale=2.0 if metric == "error" else 1.0)
    assert not is_linear(other)
    other = change(other, **more)
    found = [(w.candidate, w.strengths.tolist()) for w in ways(other, both)]
    assert found == [
        ("multilevel", [0.25, 0.5, 0.75, 1.0]),
        ("intersectional+multilevel", [0.5, 1.0]),
    ]


def test_an_area_that_is_undefined_deploys_nothing():
    given = corrected([1.0, 1.0], [800, 100], "auc", size=2.0)
    target = np.where(given.rows.groups == 1, 1, given.rows.y)
    last = choose("priced", change(given, target=target))[1]
    assert last.candidate == "generic"


def test_labels_alone_are_weighed_by_shrunken_gains():
    given = plain_evidence(0, "error", m=4, n=2000)
    bare = {name: Predictions(p.label) for name, p in predictions_of(given).items()}
    choices = choose("priced", change(given, predictions=bare))
    assert any(c.candidate != "generic" for c in choices)
    assert all("at twice the price of 2" in c.reason for c in choices)


@pytest.mark.parametrize(
    ("estimator", "effect", "change"),
    [
        (LogisticRegression(), "mixed", {}),
        (LogisticRegression(), "mixed", {"metric": "log_loss", "n_resamples": 5}),
        (HistGradientBoostingClassifier(max_iter=20, random_state=0), "mixed", {}),
        (RandomForestClassifier(20, random_state=0), "interaction", {"metric": "auc"}),
        (LinearSVC(), "mixed", {}),
        (LogisticRegression(), "mixed", {"classes": 3}),
        (LinearRegression(), "mixed", {"metric": "squared_error"}),
        (LinearRegression(), "mixed", {"metric": "absolute_error"}),
    ],
)
def test_a_router_is_priced_from_end_to_end(estimator, effect, change):
    change = dict(change)
    classes = change.pop("classes", 2)
    population = make_population(1200, n_groups=4, effect=effect, random_state=1)
    X, y = population.to_array(), population.y.copy()
    if classes == 3:
        y = y + (population.features[:, 1] > 1)
    if change.get("metric", "").endswith("_error"):
        rng = np.random.default_rng(0)
        ids = population.law.group_ids(population.groups)
        y = np.einsum("ij,ij->i", population.features, population.law.coefs[ids])
        y = y + rng.normal(size=len(y))
    router = FairUseRouter(
        estimator, population.group_columns, policy="priced", random_state=0, cv=3, **change
    ).fit(X, y)
    table = router.routing_table_
    assert any(r.candidate != "generic" for r in table.groups)
    told = "worth it at price 2", "worth it at twice the price of 2"
    assert any(r.reason.endswith(told) for r in table.groups)
    assert len(router.predict(X)) == len(y)
    for record in table.groups:  # never against its own evidence: the gain is out of fold
        assert record.candidate == "generic" or record.gain > -0.02


@pytest.mark.parametrize("factor", [2.0, 1e-3])
def test_the_scale_of_weights_changes_no_route_of_a_router(factor):
    population = make_population(500, n_groups=4, effect="slopes", random_state=2)
    X, y = population.to_array(), population.y
    weight = np.random.default_rng(0).integers(1, 4, size=500).astype(float)
    tables = [
        FairUseRouter(
            LogisticRegression(C=np.inf), population.group_columns, policy="priced", random_state=0
        )
        .fit(X, y, sample_weight=k * weight)
        .routing_table_
        for k in (1.0, factor)
    ]
    assert [(r.candidate, r.strength) for r in tables[0].groups] == [
        (r.candidate, r.strength) for r in tables[1].groups
    ]


@pytest.mark.parametrize("price", [0, -1, "2", None])
def test_a_price_that_is_none_is_refused(rows, price):
    with pytest.raises(ValueError, match=r"price=.* is not allowed: pass a positive number"):
        FairUseRouter(LogisticRegression(), rows.groups, price=price).fit(rows.frame, rows.y)


def test_it_is_among_the_policies():
    assert "priced" in POLICIES


@pytest.mark.slow
def test_choosing_is_quick_and_linear_in_the_rows():
    given = corrected(np.linspace(0, 1, 12), [4167] * 12)
    took = {}
    for metric in ("error", "auc"):
        asked = change(given, metric=get_metric(metric))
        start = time.process_time()
        choose("priced", asked)
        took[metric] = time.process_time() - start
    assert took["error"] < 0.5  # 0.1 s on a machine that does nothing else
    assert took["auc"] < 2.0
