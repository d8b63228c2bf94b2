"""Multilevel of several classes: a linear model per group, what it shares, and who has none."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.inference import multilevel_classes

LOGISTIC = make_pipeline(StandardScaler(), LogisticRegression())


def draw(n=900, seed=0):
    """A frame with sex, age and features, and labels: who is M and old has other slopes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(3.0, 2.0, size=(n, 3))
    sex, age = rng.choice(["F", "M"], n), rng.choice(["old", "young"], n)
    sign = np.where((sex == "M") & (age == "old"), -1.0, 1.0)
    z = np.column_stack([sign * (x[:, 0] - 3), x[:, 1] - 3, np.zeros(n)])
    y = np.array(["a", "b", "c"])[(z + rng.gumbel(size=(n, 3))).argmax(axis=1)]
    frame = pd.DataFrame({"sex": sex, "age": age, "u": x[:, 0], "v": x[:, 1], "w": x[:, 2]})
    return frame, y


def fit(estimator=LOGISTIC, rows=None, **settings):
    frame, y = draw() if rows is None else rows
    settings = {"random_state": 0, "candidates": ("generic",), **settings}
    return FairUseRouter(estimator, ["sex", "age"], **settings).fit(frame, y), frame, y


@pytest.fixture(scope="module")
def fitted():
    return fit()


def test_the_models_are_the_regression_of_standardized_features(fitted):
    router, frame, y = fitted
    candidate = router.candidates_["multilevel"]
    x = frame[["u", "v", "w"]].to_numpy()
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    schema = router.schema_
    groups = schema.group_ids(schema.encode(frame))
    main = schema.onehot()[0][schema.report_ids(schema.group_codes)]
    generic = router.candidates_["generic"].models[0]
    start = generic.decision_function(frame[["u", "v", "w"]])
    target = np.searchsorted(generic.classes_, y)
    joint = multilevel_classes(z, groups, target, main, start)
    for g, model in enumerate(candidate.models):
        expected = z @ joint[g, :, :-1].T + joint[g, :, -1]
        found = model.decision_function(frame[["u", "v", "w"]])
        np.testing.assert_allclose(found, expected, atol=1e-8)
        assert model[0] is generic[0]  # its steps are generic's, not copies
    assert np.shape(generic[-1].coef_) == (3, 3)


def test_the_group_that_differs_is_served_by_it_and_gains(fitted):
    router, *_ = fitted
    served = {", ".join(r.report): r for r in router.routing_table_.groups}
    assert served["M, old"].candidate == "multilevel"
    assert served["M, old"].gain > 0.05
    fresh, truth = draw(4000, seed=1)
    rows = (fresh["sex"] == "M") & (fresh["age"] == "old")
    base = router.candidates_["generic"].models[0].predict(fresh[["u", "v", "w"]])
    assert (router.predict(fresh) == truth)[rows].mean() > (base == truth)[rows].mean() + 0.05


def test_partial_reports_are_served_by_generic_and_the_table_says_why(fitted):
    router, frame, _ = fitted
    some = frame.head(50).assign(age="?")
    generic = router.candidates_["generic"].models[0]
    expected = generic.predict(some[["u", "v", "w"]])
    np.testing.assert_array_equal(router.predict(some), expected)
    assert "several classes serves full reports only" in str(router.routing_table_.to_dict())


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=500),
        LinearDiscriminantAnalysis(),
        GridSearchCV(LOGISTIC, {"logisticregression__C": [1.0, 2.0]}),
        make_pipeline(
            make_column_transformer(
                (StandardScaler(), ["u", "v"]), (OneHotEncoder(handle_unknown="ignore"), ["w"])
            ),
            LogisticRegression(),
        ),
    ],
    ids=["plain", "lda", "search", "columns"],
)
def test_steps_and_searches_around_a_linear_model_are_kept(tmp_path, estimator):
    frame, y = draw(500)
    frame["w"] = np.where(frame["w"] > 3, "high", "low")
    if "columntransformer" not in str(estimator).lower():
        frame["w"] = (frame["w"] == "high").astype(float)
    candidates = ("generic", "multilevel")
    router, frame, y = fit(clone(estimator), (frame, y), policy="best", candidates=candidates)
    assert {"multilevel"} <= {r.candidate for r in router.routing_table_.groups}
    answers = router.predict_proba(frame)
    np.testing.assert_allclose(answers.sum(axis=1), 1)
    export_bundle(router, tmp_path / "r.onnx", frame)
    told = Bundle.load(tmp_path / "r.onnx").predict_proba(frame)
    np.testing.assert_allclose(told, answers, atol=1e-5)


def test_where_generic_is_not_linear_the_others_compete():
    boosting = HistGradientBoostingClassifier(max_iter=5, random_state=0)
    router, *_ = fit(boosting, candidates=("generic", "decoupled"))
    assert "multilevel" not in router.candidates_
    assert all(
        "needs a linear model" in r.unavailable["multilevel"] for r in router.routing_table_.groups
    )


def test_weights_reach_it():
    frame, y = draw(600)
    heavy = np.where(frame["sex"] == "M", 5.0, 1.0)
    routers = [
        FairUseRouter(LOGISTIC, ["sex", "age"], candidates=("generic",), random_state=0).fit(
            frame, y, sample_weight=weight
        )
        for weight in (heavy, 3 * heavy, None)
    ]
    coefs = [r.candidates_["multilevel"].models[3][-1].coef_ for r in routers]
    np.testing.assert_allclose(coefs[0], coefs[1], atol=0.2)  # generic's own penalty is moved
    assert np.abs(coefs[0] - coefs[2]).max() > 1e-3
