"""Bundles of routers that use a part of a correction: one base model, a gathered row a report."""

import json
import os

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.datasets import make_population

FAMILIES = {
    "linear": make_pipeline(StandardScaler(), LogisticRegression()),
    "forest": RandomForestClassifier(15, min_samples_leaf=3, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=10, random_state=0),
}


def fit(estimator, X, y, groups, **settings):
    settings = {"candidates": ("generic",), "policy": "priced", "random_state": 0, **settings}
    return FairUseRouter(estimator, groups, **settings).fit(X, y)


@pytest.fixture(scope="module")
def population():
    """Groups that get half, three quarters and all of a correction, and one that gets none."""
    given = make_population(1500, n_groups=4, effect="slopes", random_state=8)
    given.features[:] = given.features.astype(np.float32)
    return given


def nodes_named(model, *kinds):
    return [node for node in model.graph.node if node.op_type in kinds]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_bundle_of_parts_answers_as_the_router(tmp_path, population, family):
    X = population.to_array()
    router = fit(FAMILIES[family], X, population.y, population.group_columns)
    strengths = {r.strength for r in router.routing_table_.groups if r.candidate == "multilevel"}
    assert strengths, "some group should be served by multilevel"
    certificate = export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
    assert certificate["label_flips"] == 0
    assert certificate["max_difference"] <= 1e-9
    bundle = Bundle.load(tmp_path / "r.onnx")
    assert bundle.routing_table == router.routing_table_
    fresh = population.sample(300, random_state=1)
    fresh.features[:] = fresh.features.astype(np.float32)
    asked = fresh.to_array()
    asked[::5, -1] = "?"
    asked[::7, -2:] = "?"
    np.testing.assert_array_equal(bundle.predict(asked), router.predict(asked))
    np.testing.assert_allclose(bundle.predict_proba(asked), router.predict_proba(asked), atol=1e-9)


def test_generic_keeps_its_own_scale_beside_corrections(tmp_path, population):
    X = population.to_array()
    for estimator in (LogisticRegression(C=0.01), SGDClassifier(loss="log_loss", random_state=0)):
        candidates = ("generic", "multilevel")
        router = fit(estimator, X, population.y, population.group_columns, candidates=candidates)
        assert router.candidates_["multilevel"].corrected.scale != 1
        for precision in ("fast", "exact"):
            certificate = export_bundle(router, tmp_path / "r.onnx", X, precision=precision)
            assert certificate["label_flips"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("family", ["forest", "boosting"])
def test_the_base_model_stands_in_the_file_once(tmp_path, population, family):
    X = population.to_array()
    router = fit(FAMILIES[family], X, population.y, population.group_columns)
    export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
    model = onnx.load(tmp_path / "r.onnx")
    assert len(nodes_named(model, "TreeEnsemble", "TreeEnsembleRegressor")) == 1


def test_text_columns_and_sparse_encodings_reach_the_correction(tmp_path):
    rng = np.random.default_rng(0)
    n = 1200
    sex = np.array(["F", "M"])[rng.integers(2, size=n)]
    site = np.array(["north", "south", "west"])[rng.integers(3, size=n)]
    age = rng.normal(60, 10, size=n).round(1)
    margin = np.where(sex == "F", 0.15, -0.15) * (age - 60) + (site == "west") - 0.3
    X = pd.DataFrame({"age": age, "sex": sex, "site": site})
    y = np.where(margin + rng.logistic(size=n) > 0, "ill", "well")
    encode = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    for final in (LogisticRegression(), FAMILIES["forest"]):
        router = fit(make_pipeline(encode, final), X, y, ["sex"])
        assert {r.candidate for r in router.routing_table_.groups} == {"multilevel"}
        certificate = export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
        assert certificate["label_flips"] == 0
        bundle = Bundle.load(tmp_path / "r.onnx")
        np.testing.assert_array_equal(bundle.predict(X), router.predict(X))


def test_gaps_are_corrected_in_a_bundle_too(tmp_path, population):
    X = population.to_array()
    X[::4, 2] = np.nan
    router = fit(FAMILIES["boosting"], X, population.y, population.group_columns)
    assert "multilevel" in {r.candidate for r in router.routing_table_.groups}
    assert export_bundle(router, tmp_path / "r.onnx", X, precision="exact")["label_flips"] == 0


@pytest.mark.parametrize(
    "estimator", [Ridge(), RandomForestRegressor(15, random_state=0)], ids=["linear", "forest"]
)
def test_a_regression_of_parts(tmp_path, population, estimator):
    X = population.to_array()
    rng = np.random.default_rng(0)
    sign = np.where(X[:, -1] == X[0, -1], 1.0, -1.0)
    y = 3 * sign * population.features[:, 0] + rng.normal(size=len(X))
    router = fit(estimator, X, y, population.group_columns, metric="squared_error")
    assert "multilevel" in {r.candidate for r in router.routing_table_.groups}
    export_bundle(router, tmp_path / "r.onnx", X)
    bundle = Bundle.load(tmp_path / "r.onnx")
    np.testing.assert_allclose(bundle.predict(X), router.predict(X), rtol=1e-4, atol=1e-4)


def test_a_correction_beside_other_candidates(tmp_path, population):
    X = population.to_array()
    router = fit(
        FAMILIES["linear"],
        X,
        population.y,
        population.group_columns,
        candidates=("generic", "decoupled", "multilevel"),
        policy="best",
    )
    served = {r.candidate for r in router.routing_table_.groups}
    assert len(served) > 1, f"the seed should mix candidates: {served}"
    assert export_bundle(router, tmp_path / "r.onnx", X)["label_flips"] == 0


def test_the_file_names_the_candidates_of_the_routes(tmp_path, population):
    X = population.to_array()
    router = fit(FAMILIES["linear"], X, population.y, population.group_columns)
    export_bundle(router, tmp_path / "r.onnx", X)
    props = {p.key: p.value for p in onnx.load(tmp_path / "r.onnx").metadata_props}
    named = [c["name"] for c in json.loads(props["fairuse_router.candidates"])]
    assert named == ["generic", "multilevel"]
    routes = json.loads(props["fairuse_router.routing_table"])["routes"]
    assert [r["strength"] for r in routes] == [r.strength for r in router.routing_table_.routes]
    first = (tmp_path / "r.onnx").read_bytes()
    export_bundle(router, tmp_path / "r.onnx", X)
    assert (tmp_path / "r.onnx").read_bytes() == first
    assert os.listdir(tmp_path) == ["r.onnx"]
