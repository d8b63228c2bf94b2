"""The multilevel candidate: what it fits, what it serves, and where it cannot be had."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from fairuse_router import FairUseRouter, GroupSchema, RoutingTable
from fairuse_router.candidates.corrected import CLIP
from fairuse_router.candidates.crossfit import Training, cross_fit
from fairuse_router.candidates.folds import split_rows
from fairuse_router.candidates.multilevel import fit_multilevel
from fairuse_router.candidates.recipes import Unavailable, fit_candidate, make_recipes
from fairuse_router.inference import multilevel_bayes
from fairuse_router.metrics import get_metric
from fairuse_router.routing.deployment import served_models
from fairuse_router.routing.records import GroupRecord
from fairuse_router.rows import TrainingRows

LOGISTIC = make_pipeline(StandardScaler(), LogisticRegression(C=10.0))
FOREST = RandomForestClassifier(15, random_state=0)


def draw(n=400, seed=0):
    """Features whose first slope flips in one of four groups; groups; labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(1.0, 3.0, size=(n, 3))
    groups = rng.integers(4, size=n)
    margin = np.where(groups == 3, -1, 1) * (X[:, 0] - 1) / 3 + 0.5 * groups - 1
    return X, groups, (margin + 0.5 * rng.logistic(size=n) > 0).astype(int)


def training_rows(X, groups, y, **more):
    classes = np.unique(y)
    target = np.searchsorted(classes, y)
    return TrainingRows(X, groups, y, target, classes, 4, codes=codes_of(groups), **more)


def codes_of(groups):
    """Reports of two attributes of two levels."""
    return np.where(groups[:, None] < 0, 0, np.stack([groups // 2, groups % 2], axis=1) + 1)


def make_schema():
    table = pd.DataFrame({"sex": ["F", "F", "M", "M"], "age": ["old", "young"] * 2})
    return GroupSchema.from_table(table, ["sex", "age"])


def fit_all(estimator, data, **more):
    """Generic and the multilevel candidate on all rows, and the recipe."""
    generic, recipe = make_recipes(["generic", "multilevel"], estimator, make_schema(), None)
    rows = np.arange(len(data.y))
    base = fit_candidate(generic, data, rows, 20)
    return base, fit_multilevel(recipe, base, data, rows), recipe


def log_odds(proba):
    p = np.clip(proba[:, 1], CLIP, 1 - CLIP)
    return np.log(p / (1 - p))


def test_a_linear_family_is_the_multilevel_regression_itself():
    X, groups, y = draw()
    _, candidate, recipe = fit_all(LOGISTIC, training_rows(X, groups, y))
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    margin = margins_of(multilevel_bayes(z, groups, y, recipe.added), z, groups)
    found = candidate.evaluate(X, groups, "decision_function", None)
    np.testing.assert_allclose(found, margin, atol=1e-9)
    proba = candidate.evaluate(X, groups, "predict_proba", np.array([0, 1]))
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-margin)), atol=1e-12)
    labels = candidate.evaluate(X, groups, "predict", np.array([0, 1]))
    np.testing.assert_array_equal(labels, margin > 0)


def margins_of(joint, z, groups):
    return np.einsum("ij,ij->i", z, joint[groups, :-1]) + joint[groups, -1]


def shared_logistic(z1, y, offset):
    """Slopes and intercept of a logistic regression on top of an offset, ridge 1 on the slopes."""

    def objective(beta):
        margin = offset + z1 @ beta
        loss = (np.logaddexp(0, margin) - y * margin).sum() + beta[:-1] @ beta[:-1] / 2
        return loss, (expit(margin) - y) @ z1 + np.append(beta[:-1], 0)

    start = np.zeros(z1.shape[1])
    return minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x


def test_any_other_family_is_corrected_by_margins_out_of_fold():
    X, groups, y = draw()
    data = training_rows(X, groups, y)
    base, corrected, recipe = fit_all(FOREST, data)
    offset = np.empty(len(y))
    for training, judging in split_rows(5, training_rows(X, groups, y), 0):
        inner = RandomForestClassifier(15, random_state=0).fit(X[training], y[training])
        offset[judging] = log_odds(inner.predict_proba(X[judging]))
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    labels = LogisticRegression(C=1e9, tol=1e-10).fit(offset[:, None], y)
    scale = max(0.2, labels.coef_[0, 0])  # how much of the log-odds is there; a fifth at least
    joint = multilevel_bayes(z, groups, y, recipe.added, offset=scale * offset)
    served = log_odds(base.models[0].predict_proba(X))  # by the model fitted to all rows
    z1 = np.column_stack([z, np.ones(len(z))])
    common = shared_logistic(z1, y, scale * offset)  # what is due to all is not theirs alone
    score = (y - expit(scale * offset)) @ z1
    mean = np.bincount(groups) / len(groups) @ joint
    common *= (mean @ score) / (common @ score)
    added = margins_of(joint, z, groups) - z1 @ common
    found = corrected.evaluate(X, groups, "decision_function", None)
    np.testing.assert_allclose(found, scale * served + added, atol=1e-4)
    assert corrected.models[0].scale == pytest.approx(scale, abs=1e-5)


def test_how_sure_generic_claims_to_be_does_not_matter():
    X, groups, y = draw(2000)
    calm, sure = (Sure(times) for times in (1.0, 2.0))
    margins = []
    for estimator in (calm, sure):
        _, corrected, _ = fit_all(estimator, training_rows(X, groups, y))
        margins.append(corrected.evaluate(X, groups, "decision_function", None))
    np.testing.assert_allclose(margins[1], margins[0], atol=0.05)


class Sure(ClassifierMixin, BaseEstimator):
    """A logistic regression whose log-odds are multiplied by a number."""

    def __init__(self, times=1.0):
        self.times = times

    def fit(self, X, y):
        self.model_ = LogisticRegression(C=0.001).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-self.times * self.model_.decision_function(X)))
        return np.column_stack([1 - p, p])


@pytest.mark.parametrize("estimator", [LOGISTIC, FOREST], ids=["linear", "forest"])
def test_a_route_blends_margins_by_its_strength(estimator):
    X, groups, y = draw()
    base, corrected, _ = fit_all(estimator, training_rows(X, groups, y))
    pool = {"generic": base, "multilevel": corrected}
    strengths = [0.25, 1.0, 0.75, 0.5]
    schema = make_schema()
    records = [
        GroupRecord(schema.report_texts(code), 99, "multilevel", "", strength=s)
        for code, s in zip(schema.group_codes, strengths, strict=True)
    ]
    table = RoutingTable.from_choices(schema, records, policy="priced", metric="error", alpha=0.1)
    models, of_route = served_models(pool, table)
    assert [m.candidate for m in models] == ["generic", "multilevel"]
    model = base.models[0]
    generic = corrected.models[0].scale * log_odds(model.predict_proba(X))
    if estimator is LOGISTIC:
        generic = model.decision_function(X)
    full = corrected.evaluate(X, groups, "decision_function", None)
    served = models[of_route[1]]
    X_told = served.complete(X, groups + 1)  # route 0 is generic
    want = generic + np.array(strengths)[groups] * (full - generic)
    np.testing.assert_allclose(served.estimator.decision_function(X_told), want, atol=1e-9)
    again = pickle.loads(pickle.dumps(served.estimator))
    np.testing.assert_array_equal(again.predict(X_told), (want > 0).astype(int))


def test_strengths_survive_json_and_older_records_have_their_routes():
    schema = make_schema()
    records = [
        GroupRecord(schema.report_texts(c), 9, "multilevel", "", strength=0.25)
        for c in schema.group_codes
    ]
    table = RoutingTable.from_choices(schema, records, policy="priced", metric="error", alpha=0.1)
    assert [r.strength for r in table.routes] == [1.0, 0.25, 0.25, 0.25, 0.25]
    assert RoutingTable.from_json(table.to_json()) == table
    plain = json.loads(table.to_json())
    for group in plain["groups"]:
        del group["strength"]
    assert [g.strength for g in RoutingTable.from_dict(plain).groups] == [0.25] * 4


@pytest.mark.parametrize("estimator", [LOGISTIC, FOREST], ids=["linear", "forest"])
def test_it_is_scored_fold_by_fold_on_rows_not_seen(estimator):
    X, groups, y = draw(600)
    data = training_rows(X, groups, y)
    recipes = make_recipes(["generic", "multilevel"], estimator, make_schema(), None)
    folds = split_rows(3, data, 0)
    pool = cross_fit(Training(recipes), data, folds)
    candidates, scores, lacks = pool.candidates, pool.scores, pool.unavailable
    scale, margin = np.empty(len(y)), np.empty(len(y))
    for training, judging in folds:
        base = fit_candidate(recipes[0], data, training, 20)
        own = fit_multilevel(recipes[1], base, data, training)
        scale[judging] = own.models[0].scale
        margin[judging] = own.evaluate(X[judging], groups[judging], "decision_function", None)
    margins = scores["multilevel"].margins
    np.testing.assert_allclose(margins[:, 1], margin, atol=1e-9)
    want = fit_all(estimator, data)[1].models[0]
    np.testing.assert_allclose(candidates["multilevel"].models[0].table, want.table, atol=1e-9)
    assert lacks == {"generic": {}, "multilevel": {}}
    if estimator is FOREST:  # the margin without correction is generic's own, clipped and scaled
        p = scores["generic"].predictions.proba
        np.testing.assert_allclose(margins[:, 0], scale * log_odds(p), atol=1e-9)


def test_envy_is_measured_on_rows_not_seen():
    X, groups, y = draw(600)
    data = training_rows(X, groups, y)
    recipes = make_recipes(["generic", "multilevel"], LOGISTIC, make_schema(), None)
    folds = split_rows(3, data, 0)
    scores = cross_fit(Training(recipes, envy=[get_metric("error")]), data, folds).scores
    own, kept = scores["multilevel"].predictions.label, []
    for training, _ in folds:
        base = fit_candidate(recipes[0], data, training, 20)
        kept.append(fit_multilevel(recipes[1], base, data, training))
    expected = np.zeros((4, 4))
    for h in range(4):
        for (_, judging), fitted in zip(folds, kept, strict=True):
            said = fitted.evaluate(X[judging], np.full(len(judging), h), "predict", np.arange(2))
            gain = (said != y[judging]).astype(float) - (own[judging] != y[judging])
            expected[:, h] += np.bincount(groups[judging], gain, 4)
    found = scores["multilevel"].misreports.test("error").gain
    np.testing.assert_allclose(found, expected / np.bincount(groups)[:, None], atol=1e-12)


class Memory(ClassifierMixin, BaseEstimator):
    """A nearest neighbour that writes down the rows (first column) of every fit."""

    fits: list = []  # noqa: RUF012

    def fit(self, X, y):
        Memory.fits.append(X[:, 0].astype(int))
        self.model_ = KNeighborsClassifier(1).fit(X[:, 1:], y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X[:, 1:])

    def predict_proba(self, X):
        return self.model_.predict_proba(X[:, 1:])


def test_no_cluster_is_split_by_the_inner_folds():
    X, groups, y = draw(120)
    ids = np.arange(240)
    X, groups, y = (np.repeat(part, 2, axis=0) for part in (X, groups, y))
    Memory.fits.clear()
    clusters = ids // 2
    data = training_rows(np.column_stack([ids, X]), groups, y, clusters=clusters)
    fit_all(Memory(), data)
    assert len(Memory.fits) == 6
    for rows in Memory.fits:
        counts = np.bincount(clusters[rows], minlength=120)
        assert set(counts) <= {0, 2}


def test_weights_and_class_weights_reach_the_fit():
    X, groups, y = draw()
    weight = np.random.default_rng(0).uniform(0.5, 2, size=400)
    balanced = LogisticRegression(class_weight="balanced")
    data = training_rows(X, groups, y, weight=weight)
    _, corrected, recipe = fit_all(balanced, data)
    share = np.bincount(y) / 400
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    both = weight * (0.5 / share)[y]
    margin = margins_of(multilevel_bayes(z, groups, y, recipe.added, weight=both), z, groups)
    found = corrected.evaluate(X, groups, "decision_function", None)
    np.testing.assert_allclose(found, margin, atol=1e-9)


def test_sparse_and_dense_features_at_the_final_step_agree():
    X, groups, y = draw()
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(site=np.array(["n", "s"])[y ^ 1])
    answers = []
    for sparse in (True, False):
        encoder = make_column_transformer(
            (OneHotEncoder(sparse_output=sparse), ["site"]),
            (StandardScaler(), ["a"]),
            sparse_threshold=1.0 if sparse else 0.0,
        )
        clf = make_pipeline(encoder, LogisticRegression(solver="newton-cg", tol=1e-10))
        _, corrected, _ = fit_all(clf, training_rows(frame, groups, y))
        answers.append(corrected.evaluate(frame, groups, "decision_function", None))
    np.testing.assert_allclose(*answers, atol=1e-5)


def test_gaps_at_the_final_step_count_as_the_mean():
    X, groups, y = draw()
    X[::7, 1] = np.nan
    _, corrected, _ = fit_all(
        HistGradientBoostingClassifier(max_iter=5, random_state=0), training_rows(X, groups, y)
    )
    model = corrected.models[0]
    np.testing.assert_allclose(model.fill[1], np.nanmean(X[:, 1]))
    prepared = model.prepare(X)
    np.testing.assert_allclose(prepared.features[::7, 1], np.nanmean(X[:, 1]))
    assert np.isfinite(model.margin(prepared, groups)).all()


def test_searches_are_followed_to_the_final_step():
    X, groups, y = draw()
    search = GridSearchCV(LOGISTIC, {"logisticregression__C": [10.0]}, cv=2)
    plain, searched = (
        fit_all(clf, training_rows(X, groups, y))[1].evaluate(X, groups, "decision_function", None)
        for clf in (LOGISTIC, search)
    )
    np.testing.assert_allclose(plain, searched)


@pytest.mark.parametrize(
    ("estimator", "change", "reason"),
    [
        (LinearSVC(), {}, "no predict_proba"),
        (FOREST, {"y": np.arange(400) % 3}, "multilevel of 3 classes needs a linear model"),
        (LogisticRegression(C=0.1), {"y": np.arange(400) % 3}, "penalty of at most 2"),
        (FixedThresholdClassifier(LogisticRegression(), threshold=0.2), {}, "likelier class"),
        (
            HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype"),
            {"X": pd.DataFrame({"c": pd.Categorical(list("ab") * 200), "x": np.arange(400.0)})},
            "needs numbers at the final step",
        ),
        (LogisticRegression(), {"X": np.random.default_rng(0).normal(size=(400, 501))}, "501"),
    ],
)
def test_where_it_cannot_be_had_the_reason_says_so(estimator, change, reason):
    X, groups, y = draw()
    given = {"X": X, "y": y, **change}
    data = training_rows(given["X"], groups, given["y"])
    with pytest.raises(Unavailable, match=reason):
        fit_all(estimator, data)
    recipes = make_recipes(["generic", "multilevel"], estimator, make_schema(), None)
    folds = split_rows(2, data, 0)
    pool = cross_fit(Training(recipes), data, folds)
    candidates, lacks = pool.candidates, pool.unavailable
    assert "multilevel" not in candidates
    assert all(reason in lacks["multilevel"][g] for g in range(4))
    assert not any("Unavailable" in text for text in lacks["multilevel"].values())


@pytest.mark.parametrize(
    "estimator", [Ridge(), RandomForestRegressor(15, random_state=0)], ids=["linear", "forest"]
)
def test_a_regression_is_corrected_in_its_own_units(estimator):
    X, groups, _ = draw(800)
    noise = np.random.default_rng(1).normal(size=800)
    y = X[:, 0] * np.where(groups == 3, -1, 1) + 4 * groups + noise
    (X, fresh), (groups, theirs), (y, truth) = (np.split(part, 2) for part in (X, groups, y))
    data = TrainingRows(X, groups, y, y, None, 4, codes=codes_of(groups))
    base, corrected, _ = fit_all(estimator, data)
    error = [
        np.mean((truth - candidate.evaluate(fresh, theirs, "predict", None)) ** 2)
        for candidate in (base, corrected)
    ]
    assert error[1] < 0.5 * error[0]
    twice = fit_all(
        estimator, TrainingRows(X, groups, 2 * y, 2 * y, None, 4, codes=codes_of(groups))
    )[1]
    np.testing.assert_allclose(  # units do not matter
        twice.evaluate(X, groups, "predict", None),
        2 * corrected.evaluate(X, groups, "predict", None),
        rtol=1e-6,
    )


def test_whoever_withholds_something_may_be_answered_by_generic(many_rows):
    router = FairUseRouter(
        LogisticRegression(), many_rows.groups, partial="generic", random_state=0
    ).fit(many_rows.frame, many_rows.y)
    table = router.routing_table_
    assert {r.candidate for r in table.groups} == {"multilevel"}
    features = many_rows.frame.drop(columns=many_rows.groups)
    plain = LogisticRegression().fit(features, many_rows.y)
    for withheld in (["sex"], ["age"], ["sex", "age"]):
        hidden = many_rows.frame.assign(**dict.fromkeys(withheld, "?"))
        proba = router.predict_proba(hidden)
        np.testing.assert_allclose(proba, plain.predict_proba(features), atol=1e-9)
    again = pickle.loads(pickle.dumps(router))
    np.testing.assert_array_equal(again.predict(many_rows.frame), router.predict(many_rows.frame))


@pytest.mark.skipif(
    "multi_class" not in LogisticRegression().get_params(),
    reason="scikit-learn 1.8 dropped multi_class",
)
@pytest.mark.filterwarnings("ignore:'multi_class' was deprecated:FutureWarning")
def test_a_decision_function_of_half_the_log_odds_is_not_taken_for_them():
    X, groups, y = draw()
    estimator = LogisticRegression(multi_class="multinomial")
    base, corrected, _ = fit_all(estimator, training_rows(X, groups, y))
    model, classes = corrected.corrected, np.array([0, 1])
    expected = log_odds(base.evaluate(X, groups, "predict_proba", classes))
    np.testing.assert_allclose(model.prepare(X).margin, model.scale * expected, atol=1e-6)
