"""Labels from a threshold on: the same in memory, in audits and in the bundle."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.svm import LinearSVC

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.metrics import read_threshold


def patients(n=600, seed=0):
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(n, 3)), np.arange(n) % 2
    z = np.where(g == 1, 1.5, -1.5) * x[:, 0] + x[:, 1] - 1.5
    y = np.where(rng.random(n) < 1 / (1 + np.exp(-z)), "ill", "fit")[:, None].ravel()
    return np.column_stack([x, g]), np.where(y == "ill", "yes", "no")


X, Y = patients()


def fitted(estimator=None, **settings):
    estimator = LogisticRegression() if estimator is None else estimator
    router = FairUseRouter(estimator, [3], random_state=0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return router.fit(X, Y)


@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), RandomForestClassifier(20, max_depth=4, random_state=0)]
)
def test_labels_are_cut_alike_everywhere(tmp_path, estimator, precision):
    router = fitted(estimator, threshold=0.2)
    new, y = patients(400, 1)
    new[::7, 3] = np.nan  # withheld
    p = router.predict_proba(new)[:, 1]
    assert (router.predict(new) == np.where(p >= 0.2, "yes", "no")).all()
    assert 0.2 < np.mean(router.predict(new) == "yes") < 0.9
    export_bundle(router, tmp_path / "r.onnx", X, precision=precision)
    bundle = Bundle.load(tmp_path / "r.onnx")
    assert (bundle.predict(new) == router.predict(new)).all()
    kept = ~np.isnan(new[:, 3])
    audit = router.audit(new[kept], y[kept], metrics=["error", "fnr", "fnr@0.2"])
    risks = {(r.metric, r.candidate): r.risk for r in audit.risks if r.group is None}
    assert risks["error", "routed"] == pytest.approx(np.mean(router.predict(new[kept]) != y[kept]))
    assert risks["fnr", "routed"] == risks["fnr@0.2", "routed"]
    assert risks["fnr", "generic"] == risks["fnr@0.2", "generic"]


def test_routes_are_chosen_by_the_labels_that_are_served():
    cut, plain = fitted(threshold=0.2), fitted()
    error = {r.candidate: r.risk for r in cut.audit_.risks if r.group is None}
    assert error["generic"] != {r.candidate: r.risk for r in plain.audit_.risks}["generic"]
    assert error["routed"] <= error["generic"]


def test_costs_name_a_threshold():
    assert read_threshold("cost(4,1)") == pytest.approx(0.2)
    assert fitted(threshold="cost(4,1)").threshold_ == pytest.approx(0.2)
    assert clone(FairUseRouter(None, [0], threshold=0.3)).threshold == 0.3


def test_a_share_that_moves_is_told():
    rng = np.random.default_rng(0)
    g = np.arange(1000) % 2
    y = (rng.random(1000) < np.where(g == 1, 0.35, 0.05)).astype(int)
    data = np.column_stack([rng.normal(size=1000), g])
    router = FairUseRouter(LogisticRegression(), [1], metric="net_benefit@0.15", random_state=0)
    with pytest.warns(UserWarning, match=r"threshold of 0.15 .* 1 group\(s\)"):
        router.fit(data, y)


@pytest.mark.parametrize(
    ("threshold", "kind", "why"),
    [
        (1.5, ValueError, "between 0 and 1"),
        (True, TypeError, "number between"),
        ("fnr@0.2", ValueError, "not known"),
    ],
)
def test_bad_thresholds_are_refused(threshold, kind, why):
    with pytest.raises(kind, match=why):
        fitted(threshold=threshold)


def test_thresholds_need_two_classes_and_probabilities():
    with pytest.raises(ValueError, match="predict_proba"):
        FairUseRouter(LinearSVC(), [3], threshold=0.2).fit(X, Y)
    with pytest.raises(ValueError, match="3 classes"):
        FairUseRouter(LogisticRegression(), [3], threshold=0.2).fit(X, np.arange(600) % 3)
    router = FairUseRouter(LinearRegression(), [3], metric="squared_error", threshold=0.2)
    with pytest.raises(ValueError, match="regression"):
        router.fit(X, X[:, 0])


@pytest.mark.parametrize(
    "estimator",
    [
        FixedThresholdClassifier(LogisticRegression(), threshold=0.2),
        TunedThresholdClassifierCV(LogisticRegression(), scoring="balanced_accuracy", cv=3),
    ],
)
def test_thresholds_inside_the_estimator_hold_for_every_route(estimator, tmp_path):
    router = fitted(estimator)
    new, _ = patients(400, 1)
    assert {r.strength for r in router.routing_table_.groups} == {1.0}
    for group in (0, 1):
        rows = new[new[:, 3] == group]
        p, said = router.predict_proba(rows)[:, 1], router.predict(rows) == "yes"
        assert p[said].min() > p[~said].max()
        assert p[said].min() < 0.5
    export_bundle(router, tmp_path / "r.onnx", X)
    assert (Bundle.load(tmp_path / "r.onnx").predict(new) == router.predict(new)).all()
