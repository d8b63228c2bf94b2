"""Policies end to end: on populations with known truth, several classes, and regressions."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.svm import LinearSVC

from fairuse_router import FairUseRouter, RoutingTable
from fairuse_router.datasets import make_population
from fairuse_router.routing.policies.rules import POLICIES

# small tables keep tests quick; that they are small is said in test_parts_of_a_correction
pytestmark = pytest.mark.filterwarnings("ignore:policy='certified' on")

LOGISTIC = LogisticRegression(solver="newton-cholesky")


# end to end, on populations with known truth
def fit(population, **settings):
    model = FairUseRouter(LOGISTIC, population.group_columns, cv=3, random_state=0, **settings)
    return model.fit(population.to_array(), population.y)


def deployed(model):
    return [g.candidate for g in model.routing_table_.groups if g.candidate != "generic"]


def test_where_groups_do_not_matter_almost_nobody_is_routed_away():
    counts = {"priced": 0, "best": 0}
    for seed in range(5):
        population = make_population(1000, effect="none", random_state=seed)
        for policy in counts:
            counts[policy] += len(deployed(fit(population, policy=policy)))
    assert counts["priced"] <= 1
    assert counts["best"] >= 5  # the same rows do tempt


@pytest.mark.parametrize(
    ("policy", "metric", "effect"),
    [
        ("priced", "error", "interaction"),
        ("priced", "auc", "slopes"),
        ("tested", "error", "interaction"),
        ("certified", "error", "interaction"),
    ],
)
def test_a_strong_effect_is_served_and_truly_helps(policy, metric, effect):
    population = make_population(4000, effect=effect, random_state=1)
    model = fit(population, policy=policy, metric=metric)
    assert len(deployed(model)) >= (1 if policy == "certified" else 2)
    assert model.routing_table_.policy == policy
    fresh = population.sample(20_000, random_state=2)
    X = fresh.to_array()
    features = fresh.features
    generic = model.candidates_["generic"].models[0]
    before = fresh.true_group_risks(generic.predict_proba(features)[:, 1], "brier")
    after = fresh.true_group_risks(model.predict_proba(X)[:, 1], "brier")
    routed = np.array([g.candidate != "generic" for g in model.routing_table_.groups])
    assert (after[~routed] == before[~routed]).all()
    assert (after[routed] < before[routed]).all()
    assert fresh.true_risk(model.predict(X)) < fresh.true_risk(generic.predict(features)) - 0.01


def test_every_policy_reads_and_writes_its_table():
    population = make_population(600, n_groups=4, effect="interaction", random_state=0)
    for policy in POLICIES:
        table = fit(population, policy=policy).routing_table_
        assert table.policy == policy
        assert RoutingTable.from_json(table.to_json()) == table
        assert policy in str(table)
        assert all(record.reason for record in table.groups)


def test_three_classes_and_a_metric_of_ones_own():
    rng = np.random.default_rng(0)
    n = 600
    X = rng.normal(size=(n, 3)).round(3).astype(object)
    X[:, 2] = rng.choice(["a", "b"], n)
    sign = np.where(X[:, 2] == "a", 1.0, -1.0)
    y = np.digitize(sign * X[:, 0].astype(float) + 0.3 * rng.normal(size=n), [-0.5, 0.5])

    def misses(y, predictions, weight):
        return float(np.average((y == 2) & (predictions.label != 2), weights=weight))

    for metric in ("error", "brier", "log_loss", "auc", "ece", misses):
        for policy in ("best", "priced"):
            model = FairUseRouter(LOGISTIC, [2], cv=3, metric=metric, policy=policy).fit(X, y)
            assert deployed(model), (metric, policy)
            assert model.score(X, y) > 0.6  # generic has 0.37
            assert model.predict_proba(X).shape == (n, 3)


def test_labels_only():
    population = make_population(1500, n_groups=4, effect="interaction", random_state=0)
    model = FairUseRouter(LinearSVC(), population.group_columns, cv=3)
    model.fit(population.to_array(), population.y)
    assert deployed(model)
    assert not hasattr(model, "predict_proba")


# regression
def diabetes():
    """Diabetes progression with sex and an age band as text, and ten measurements less two."""
    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    sex = np.where(X["sex"] > X["sex"].mean(), "M", "F")
    age = np.where(X["age"] < 50, "<50", "50+")
    return X.drop(columns=["sex", "age"]).assign(sex=sex, age_band=age), y


@pytest.mark.parametrize("metric", ["squared_error", "absolute_error"])
@pytest.mark.parametrize("policy", [p for p in POLICIES if p != "assign_generic"])
def test_regression_end_to_end(metric, policy):
    X, y = diabetes()
    model = FairUseRouter(
        Ridge(), ["sex", "age_band"], metric=metric, policy=policy, cv=3, random_state=0
    ).fit(X[:300], y[:300])
    answer = model.predict(X)
    assert answer.dtype == np.float64
    assert not hasattr(model, "predict_proba")
    assert not hasattr(model, "classes_")
    assert model.score(X[300:], y[300:]) == r2_score(y[300:], model.predict(X[300:])) > 0.2
    plain = Ridge().fit(X.iloc[:300, :-2], y[:300])
    withheld = X.assign(sex="?", age_band="?")
    if policy != "certified":  # which trains on a part of the rows
        assert np.array_equal(model.predict(withheld), plain.predict(X.iloc[:, :-2]))
    audit = model.audit(X[300:], y[300:])
    assert metric in str(audit)
    assert "nan" not in str(model.routing_table_) + str(audit)
    assert RoutingTable.from_json(model.routing_table_.to_json()) == model.routing_table_
    assert model.routing_table_.to_frame().shape[0] == 4


def test_regression_routes_where_groups_differ():
    rng = np.random.default_rng(0)
    n = 600
    group = rng.choice(["a", "b", "c"], n)
    x = rng.normal(size=n)
    y = np.select([group == "a", group == "b"], [x, 3 - 2 * x], x) + 0.3 * rng.normal(size=n)
    X = np.column_stack([x.astype(object), group])
    for estimator in (Ridge(), RandomForestRegressor(10, random_state=0)):
        model = FairUseRouter(estimator, [1], metric="squared_error", cv=3, policy="best")
        assert model.fit(X, y).routing_table_.groups[1].candidate == "decoupled"
        own = type(estimator)(**estimator.get_params()).fit(
            x[group == "b"][:, None], y[group == "b"]
        )
        rows = X[group == "b"]
        assert np.array_equal(model.predict(rows), own.predict(rows[:, :1].astype(float)))
        gain = model.routing_table_.groups[1].gain
        out_of_fold = model.routing_table_.groups[1].risks
        assert gain == pytest.approx(out_of_fold["generic"] - out_of_fold["routed"])
        assert gain > 1
