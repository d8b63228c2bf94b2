"""Misreports: what every model says of a row under every report."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from small_routers import LOGISTIC, router, training

from fairuse_router.candidates.folds import split_rows
from fairuse_router.candidates.misreports import predict_as, under_reports
from fairuse_router.candidates.names import CANDIDATES
from fairuse_router.candidates.recipes import fit_candidate, make_recipes
from fairuse_router.metrics import get_metric


class Cautious(LogisticRegression):
    """A linear model that does not predict by the sign of its margin."""

    def predict(self, X):
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.8).astype(int)]


THREE = np.array(["a", "b", "c"])
LINEAR = {
    "logistic": LOGISTIC,
    "three classes": LogisticRegression(),
    "pipeline": make_pipeline(StandardScaler(), LOGISTIC),
    "pipelines": make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), LOGISTIC)),
    "svm": LinearSVC(),
    "three svm": LinearSVC(),
    "ridge": RidgeClassifier(),
    "three ridge": RidgeClassifier(),
    "no intercept": LogisticRegression(fit_intercept=False, solver="newton-cholesky"),
    "sgd": SGDClassifier(random_state=0),
    "discriminant": LinearDiscriminantAnalysis(),
    "cautious": Cautious(),
    "not linear": DecisionTreeClassifier(random_state=0),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("proba", [False, True])
def test_under_reports_is_prediction_under_that_report(rows, name, proba):
    y = rows.y
    if name.startswith("three"):
        y = THREE[rows.y + (np.array(rows.columns["z"]) > 0.7)]
    data, schema = training(rows, y)
    for recipe in make_recipes(CANDIDATES, LINEAR[name], schema, None):
        candidate = fit_candidate(recipe, data, np.arange(320), 20)
        own = predict_as(candidate, data.features, data.groups, data.classes)
        under = under_reports(candidate, data.features, data.groups, own, data.classes, proba)
        for h in range(4):
            told = np.full(320, h)
            expected = predict_as(candidate, data.features, told, data.classes, proba)
            assert np.array_equal(under(h).label, expected.label), (recipe.name, h)
            if proba and expected.proba is not None:
                np.testing.assert_allclose(under(h).proba, expected.proba, rtol=1e-9)


def test_under_reports_where_a_model_has_not_seen_every_class(rows):
    classes = np.array([0, 1, 2])
    data, schema = training(rows, classes=classes)
    for estimator in (LOGISTIC, LinearSVC(), GaussianNB()):
        recipe = make_recipes(("generic", "onehot"), estimator, schema, None)[1]
        candidate = fit_candidate(recipe, data, np.arange(320), 20)
        own = predict_as(candidate, data.features, data.groups, classes)
        under = under_reports(candidate, data.features, data.groups, own, classes, False)
        for h in range(4):
            expected = predict_as(candidate, data.features, np.full(320, h), classes)
            assert np.array_equal(under(h).label, expected.label)


def test_under_reports_of_decoupled_models_and_regressors(rows):
    data, schema = training(rows)
    recipe = make_recipes(("generic", "decoupled"), LOGISTIC, schema, None)[1]
    candidate = fit_candidate(recipe, data, np.arange(320), 20)
    own = predict_as(candidate, data.features, data.groups, data.classes)
    under = under_reports(candidate, data.features, data.groups, own, data.classes, True)
    for h in range(4):
        model = candidate.models[candidate.model_of_group[h]]
        np.testing.assert_allclose(under(h).proba, model.predict_proba(data.features), rtol=1e-12)


def test_envy_out_of_fold_is_what_the_folds_models_say(rows):
    """Gain of one's own report over another's, by hand: fold by fold, report by report."""
    data, _ = training(rows)
    folds = split_rows(3, data, None)
    for estimator in (LOGISTIC, DecisionTreeClassifier(max_depth=3, random_state=0)):
        fitted = router(estimator, cv=3).fit(rows.frame, rows.y)
        found = {
            (t.group, t.other): t.gain
            for t in fitted.audit_.envy_freeness
            if t.candidate == "decoupled"
        }
        wrong = np.zeros((320, 4))
        for trained, judged in folds:
            for h in range(4):
                part = trained[data.groups[trained] == h]
                model = clone(estimator).fit(data.features.iloc[part], data.y[part])
                wrong[judged, h] = model.predict(data.features.iloc[judged]) != data.y[judged]
        names = fitted.schema_.group_names()
        for g in range(4):
            own = data.groups == g
            for h in range(4):
                if g != h:
                    gain = wrong[own, h].mean() - wrong[own, g].mean()
                    assert found[names[g], names[h]] == pytest.approx(gain)
    assert get_metric("error").name == fitted.audit_.envy_freeness[0].metric
