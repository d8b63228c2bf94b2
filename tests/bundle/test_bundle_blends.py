"""Bundles of routers that use parts of their candidates: every part is mixed inside the file."""

import json

import numpy as np
import onnx
import pandas as pd
import pytest
from blends import MEAN, PARTS, draw, fitted, routed
from forced import every_report
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import Bundle, FairUseRouter, export_bundle

BOTH = ((MEAN, 0.5), (MEAN, 1.0), ("multilevel", 0.5), ("generic", 1.0))
FOREST = RandomForestClassifier(10, min_samples_leaf=2, random_state=0)
BOOSTING = HistGradientBoostingClassifier(max_iter=10, random_state=0)
CASES = {
    "logistic of two": (make_pipeline(StandardScaler(), LogisticRegression()), 2, PARTS),
    "logistic of three": (LogisticRegression(), 3, PARTS),
    "forest of two": (FOREST, 2, BOTH),
    "forest of three": (FOREST, 3, PARTS[:3]),
    "boosting of two": (BOOSTING, 2, BOTH),
    "boosting of three": (BOOSTING, 3, PARTS),
    "means of linear models": (LogisticRegression(C=0.01), 2, BOTH),
    "neighbours": (KNeighborsClassifier(6), 2, PARTS),
    "linear regression": (LinearRegression(), 0, PARTS),
    "boosting regression": (HistGradientBoostingRegressor(max_iter=10), 0, BOTH),
}


def single(X):
    """Numbers that float32 holds."""
    X = X.copy()
    for j in range(X.shape[1]):
        try:
            X[:, j] = X[:, j].astype(np.float32)
        except ValueError:
            continue
    return X


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_of_blends_answers_as_the_router(tmp_path, case):
    estimator, classes, parts = CASES[case]
    X, y, names = draw(classes, n=600)
    X = single(X)
    metric = "error" if classes else "squared_error"
    router = routed(fitted(estimator, X, y, names, metric=metric), parts)
    certificate = export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
    assert certificate.get("label_flips", 0) == 0
    assert certificate["max_difference"] <= 1e-9
    bundle = Bundle.load(tmp_path / "r.onnx")
    assert bundle.routing_table == router.routing_table_
    for code in router.schema_.report_codes:
        asked = X[:100].copy()
        asked[:, list(router.schema_.positions)] = router.schema_.report_texts(code)
        if classes:
            np.testing.assert_array_equal(bundle.predict(asked), router.predict(asked))
            told = router.predict_proba(asked)
            np.testing.assert_allclose(bundle.predict_proba(asked), told, atol=1e-9)
        else:
            np.testing.assert_allclose(bundle.predict(asked), router.predict(asked), rtol=1e-9)
    certificate = export_bundle(router, tmp_path / "r.onnx", X, precision="fast")
    assert certificate.get("label_flips", 0) == 0
    assert certificate["max_difference"] <= 1e-4
    named = json.loads(
        {p.key: p.value for p in onnx.load(tmp_path / "r.onnx").metadata_props}[
            "fairuse_router.candidates"
        ]
    )
    assert {name for name, _ in parts} <= {c["name"] for c in named}


def test_text_columns_reach_the_parts_of_a_blend(tmp_path):
    rng = np.random.default_rng(0)
    n = 600
    sex = np.array(["F", "M"])[rng.integers(2, size=n)]
    site = np.array(["north", "south", "west"])[rng.integers(3, size=n)]
    age = rng.normal(60, 10, size=n).round()
    margin = np.where(sex == "F", 0.15, -0.15) * (age - 60) + (site == "west") - 0.3
    frame = pd.DataFrame({"age": age, "sex": sex, "site": site})
    y = np.where(margin + rng.logistic(size=n) > 0, "ill", "well")
    encode = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    for final, parts in ((LogisticRegression(), PARTS[:2]), (FOREST, BOTH[:2])):
        router = routed(fitted(make_pipeline(encode, final), frame, y, ["sex"]), parts)
        certificate = export_bundle(router, tmp_path / "r.onnx", frame, precision="exact")
        assert certificate.get("label_flips", 0) == 0
        bundle = Bundle.load(tmp_path / "r.onnx")
        for asked in every_report(router, frame.head(60)):
            np.testing.assert_array_equal(bundle.predict(asked), router.predict(asked))


def test_models_that_were_fitted_elsewhere_are_blended_in_a_bundle(tmp_path):
    X, y, names = draw(2, n=600)
    frame = pd.DataFrame(single(X))
    frame.columns = [f"c{j}" for j in range(X.shape[1])]
    groups = [frame.columns[j] for j in names]
    numbers = [c for c in frame.columns if c not in groups]
    frame[numbers] = frame[numbers].astype(float)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), groups), remainder="passthrough"
    )
    whole = make_pipeline(encode, LogisticRegression(max_iter=300)).fit(frame, y)
    models = {"generic": LogisticRegression(max_iter=300).fit(frame[numbers], y), "mine": whole}
    router = FairUseRouter(None, groups, candidates=models, cv="prefit", policy="best")
    router = routed(router.fit(frame, y), [("mine", 0.5), ("mine", 1.0)])
    certificate = export_bundle(router, tmp_path / "r.onnx", frame, precision="exact")
    assert certificate.get("label_flips", 0) == 0
    assert certificate["max_difference"] <= 1e-9
