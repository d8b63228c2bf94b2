"""Routes that use a part of a candidate, or the mean of two: what they serve, and what is said."""

import pickle

import numpy as np
import pytest
from blends import MEAN, PARTS, by_hand, draw, fitted, routed
from evidence import gather
from scipy.special import softmax
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from fairuse_router import RoutingTable
from fairuse_router.candidates.pool import Pool
from fairuse_router.candidates.scores import mixed_answer
from fairuse_router.metrics import Predictions, get_metric
from fairuse_router.routing.policies import measures
from fairuse_router.routing.policies.evidence import Choice, Evidence, served_scores
from fairuse_router.routing.policies.rules import choose
from fairuse_router.routing.policies.ways import ways
from fairuse_router.rows import TrainingRows

BOTH = ((MEAN, 0.5), (MEAN, 1.0), ("multilevel", 0.5), ("onehot", 0.5))
FOREST = RandomForestClassifier(10, min_samples_leaf=2, random_state=0)
BOOSTING = HistGradientBoostingClassifier(max_iter=10, random_state=0)
CASES = {
    "logistic of two": (LogisticRegression(), 2, PARTS),
    "logistic of three": (LogisticRegression(), 3, PARTS),
    "bayes of three": (GaussianNB(), 3, PARTS),
    "forest of two": (FOREST, 2, BOTH),
    "forest of three": (FOREST, 3, PARTS),
    "boosting of two": (BOOSTING, 2, BOTH),
    "means of linear models": (LogisticRegression(C=0.01), 2, BOTH),
    "linear regression": (LinearRegression(), 0, PARTS),
    "forest regression": (RandomForestRegressor(10, random_state=0), 0, BOTH),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_served_is_the_mixture_of_margins(case):
    estimator, classes, parts = CASES[case]
    X, y, names = draw(classes)
    metric = "error" if classes else "squared_error"
    router = routed(fitted(estimator, X, y, names, metric=metric), parts)
    features, codes = router.columns_.split(X)
    groups = router.schema_.group_ids(codes)
    for g, (name, strength) in enumerate(parts):
        rows = np.flatnonzero(groups == g)
        if name == "multilevel" or (strength == 1.0 and name != MEAN):
            continue
        want = by_hand(router, features[rows], groups[rows], name, strength)
        if not classes:
            np.testing.assert_allclose(router.predict(X[rows]), want)
            continue
        np.testing.assert_allclose(router.predict_proba(X[rows]), want, atol=1e-12)
        even = np.abs(np.diff(np.sort(want, axis=1)[:, -2:], axis=1)[:, 0]) < 1e-4
        said = router.classes_[want.argmax(axis=1)]
        np.testing.assert_array_equal(router.predict(X[rows])[~even], said[~even])
    again = RoutingTable.from_json(router.routing_table_.to_json())
    assert again == router.routing_table_
    np.testing.assert_array_equal(router.with_table(again).predict(X), router.predict(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(router)).predict(X), router.predict(X))


@pytest.mark.parametrize("case", CASES)
def test_evidence_is_of_what_is_served(case):
    estimator, classes, parts = CASES[case]
    X, y, names = draw(classes)
    metric = "error" if classes else "squared_error"
    router = routed(fitted(estimator, X, y, names, metric=metric), parts)
    features, codes = router.columns_.split(X)
    groups = router.schema_.group_ids(codes)
    labels = getattr(router, "classes_", None)
    target = y if labels is None else np.searchsorted(labels, y)
    rows = TrainingRows(features, groups, y, target, labels, router.schema_.n_groups, codes=codes)
    pool = Pool.of_fitted(router.candidates_, rows)
    evidence = Evidence(rows.outcomes, pool.scores, [get_metric(metric)])
    found = served_scores([Choice(name, "", s) for name, s in parts], evidence)
    routes = router.routing_table_.look_up(codes)
    served = router.deployment_.predictions(features, routes)
    assert found.scored.all()
    np.testing.assert_allclose(found.predictions.label, served.label)
    if classes:
        np.testing.assert_allclose(found.predictions.proba, served.proba, atol=1e-12)


@pytest.mark.parametrize(
    ("estimator", "offered"),
    [
        (LogisticRegression(), ["multilevel"]),
        (KNeighborsClassifier(9), ["onehot", "intersectional", "decoupled"]),
    ],
)
def test_ways_of_the_evidence_are_what_it_says_is_served(estimator, offered):
    X, y, names = draw(3)
    router = fitted(estimator, X, y, names)
    features, codes = router.columns_.split(X)
    groups = router.schema_.group_ids(codes)
    rows = TrainingRows(features, groups, y, y, router.classes_, 4, codes=codes)
    pool = Pool.of_fitted(router.candidates_, rows)
    evidence = Evidence(rows.outcomes, pool.scores, [get_metric("error")])
    found = list(ways(evidence, evidence.eligible()))
    assert [w.candidate for w in found] == offered
    for way in found:
        for i, option in enumerate(way.options):
            own = served_scores([way.choice(i)] * 4, evidence).predictions
            np.testing.assert_array_equal(own.label, option.label)
            np.testing.assert_array_equal(own.proba, option.proba)


def test_margins_that_tie_up_to_rounding_are_of_the_first_class():
    for n_neighbors in (5, 10):
        X, y, names = draw(2)
        estimator = KNeighborsClassifier(n_neighbors)
        router = routed(fitted(estimator, X, y, names), [("onehot", 0.5)])
        p = router.predict_proba(X)[:, 1]
        tie = np.abs(p - 0.5) < 1e-9
        assert (router.predict(X)[tie] == router.classes_[0]).all()
    tiny = 1e-14 * np.array([1.0, -1.0])
    assert mixed_answer(tiny, False).label.tolist() == [0, 0]
    rows = np.log([[0.4, 0.4, 0.2], [0.3, 0.3, 0.4]]) + np.array([-1e-9, 0, 1e-9])
    assert mixed_answer(rows, False).label.tolist() == [0, 2]


def test_a_part_of_a_model_without_probabilities_is_refused():
    X, y, names = draw(2)
    router = fitted(LinearSVC(), X, y, names, candidates=("generic", "onehot"))
    with pytest.raises(ValueError, match=r"'onehot' with strength 0\.5: .* no predict_proba"):
        routed(router, [("onehot", 0.5)])


def test_a_mean_of_candidates_that_are_not_there_is_refused():
    X, y, names = draw(2)
    router = fitted(LogisticRegression(), X, y, names, candidates=("generic", "onehot"))
    full = routed(fitted(LogisticRegression(), X, y, names), [(MEAN, 0.5)])
    with pytest.raises(ValueError, match=r"routes to 'intersectional\+multilevel'; the router has"):
        router.with_table(full.routing_table_)


def of_three_classes(seed, n=(60, 150, 400), metric="error"):
    """Evidence whose candidate is right to a degree of each group's own."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(n)), n)
    base = rng.normal(size=(len(groups), 3))
    delta = rng.normal(size=(len(groups), 3))
    truth = base + rng.uniform(0, 1.2, size=len(n))[groups][:, None] * delta
    target = (truth + rng.gumbel(size=truth.shape)).argmax(axis=1)
    predictions = {
        name: Predictions(z.argmax(axis=1), softmax(z, axis=1))
        for name, z in (("generic", base), ("onehot", base + delta))
    }
    scored = {name: np.ones(len(groups), dtype=bool) for name in predictions}
    return gather(target, groups, len(n), predictions, scored, {}, get_metric(metric), 20)


@pytest.mark.parametrize("metric", ["error", "brier", "log_loss", "ece"])
def test_parts_are_deployed_and_none_against_its_own_evidence(metric):
    strengths = set()
    for seed in range(12):
        given = of_three_classes(seed, metric=metric)
        choices = choose("priced", given)
        served = given.served(choices)
        own, groups = served.predictions("nominee"), served.rows_of("nominee").groups
        gain, se = measures.shown_gain(given, own, groups)
        for g, choice in enumerate(choices):
            if choice.candidate != "generic":
                assert gain[g] >= -0.5 * se[g] - 1e-12
                strengths.add(choice.strength)
    assert len(strengths) > 1, strengths


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "n"), [(2, 1800), (3, 1500)])
def test_a_router_prices_blends_from_end_to_end(classes, n):
    X, y, names = draw(classes, n=n)
    estimator = BOOSTING if classes == 2 else LogisticRegression()
    router = fitted(estimator, X, y, names, policy="priced", price=0.5)
    groups = router.routing_table_.groups
    parts = [g for g in groups if g.strength < 1 or g.candidate == MEAN]
    assert parts, [(g.candidate, g.strength) for g in groups]
    assert router.explain(X[:3])
    audit = router.audit(X, y)
    assert {r.candidate for r in audit.rationality} >= {"routed"}
    assert "of" in str(router.routing_table_) or parts
    for record in groups:
        assert record.candidate == "generic" or record.gain > -0.03
