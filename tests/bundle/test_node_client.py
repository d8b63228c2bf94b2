"""Bundles in JavaScript: ONNX Runtime for Node, and for the web, answer as the router does."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from forced import EVERY, every_report, force
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import FairUseRouter
from fairuse_router.bundle import Bundle, export_bundle
from fairuse_router.datasets import load_heart

CLIENT = Path(__file__).parents[1] / "clients" / "node"
RUNTIMES = ["onnxruntime-node", "onnxruntime-web"]  # the second is WebAssembly, as in a browser
pytestmark = pytest.mark.slow


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (CLIENT / "node_modules" / request.param).is_dir():
        pytest.skip(f"{request.param} is missing: run `npm ci --ignore-scripts` in {CLIENT}")
    return request.param


def ask(runtime, model, questions):
    """Answers of a JavaScript runtime to feeds of named arrays."""
    types = {"O": "string", "f": "float32", "i": "int64"}
    plain = [
        {
            name: {
                "type": "float64" if a.dtype == np.float64 else types[a.dtype.kind],
                "dims": a.shape,
                "data": [None if v != v else v for v in a.ravel().tolist()],
            }
            for name, a in feed.items()
        }
        for feed in questions
    ]
    request = {"runtime": runtime, "model": str(model), "questions": plain}
    run = subprocess.run(
        ["node", "serve.mjs"],
        cwd=CLIENT,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def feed_of(bundle, X):
    """Tensors of rows, by the bundle's own metadata."""
    report = bundle.layout.reports(bundle.schema, bundle.schema.encode(X))
    return {**bundle.layout.features(X), "report": report}


MODELS = {
    "logistic": LogisticRegression(max_iter=1000),
    "forest": RandomForestClassifier(15, random_state=0),  # an odd number of pure votes: no ties
    "boosting": HistGradientBoostingClassifier(max_iter=15, random_state=0),
}


@pytest.fixture(scope="module", params=MODELS)
def heart(request, tmp_path_factory):
    X, y = load_heart(return_X_y=True, as_frame=True)
    encode = make_column_transformer(
        (
            make_pipeline(SimpleImputer(), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        sparse_threshold=0,
    )
    clf = make_pipeline(encode, MODELS[request.param])
    router = FairUseRouter(clf, ["sex", "age_group"], cv=2, random_state=0).fit(X, y)
    path = tmp_path_factory.mktemp("node") / "heart.onnx"
    precision = "exact" if request.param == "forest" else "fast"
    export_bundle(force(router, EVERY), path, X, precision=precision)
    return router, X, path


def test_same_labels_on_heart_under_all_reports(runtime, heart):
    router, X, path = heart
    asked = list(every_report(router, X))
    assert len(asked) == 9
    bundle = Bundle.load(path)
    answers = ask(runtime, path, [feed_of(bundle, rows) for rows in [*asked, X[:1], X[:0]]])
    for rows, answer in zip([*asked, X[:1]], answers, strict=False):
        assert answer["label"] == router.predict(rows).tolist()
        assert answer["route"] == router.route(rows).route.tolist()
        found = np.reshape(answer["probabilities"], (-1, 2))
        np.testing.assert_allclose(found, router.predict_proba(rows), atol=1e-5)
    assert answers[-1] == {"label": [], "probabilities": [], "route": []}


@pytest.mark.parametrize("report", ["texts", "codes"])
def test_exact_labels_of_a_forest_whose_votes_tie(report, runtime, tmp_path):
    X, y = load_heart(return_X_y=True, as_frame=True)
    X = X[["sex", "age_group", "chol", "trestbps", "thalach", "oldpeak"]]
    forest = RandomForestClassifier(20, random_state=0)
    router = FairUseRouter(forest, ["sex", "age_group"], cv=2, random_state=0).fit(X, y)
    path = tmp_path / "exact.onnx"
    export_bundle(force(router, EVERY), path, X, precision="exact", report=report)
    bundle, asked = Bundle.load(path), list(every_report(router, X))
    for rows, answer in zip(
        asked, ask(runtime, path, [feed_of(bundle, r) for r in asked]), strict=True
    ):
        assert answer["label"] == router.predict(rows).tolist()


def test_same_numbers_of_a_regression(runtime, tmp_path):
    data = load_diabetes(scaled=False, as_frame=True)
    X = data.data.assign(sex=data.data["sex"].map({1.0: "one", 2.0: "two"}))
    clf = make_pipeline(StandardScaler(), Ridge())
    router = FairUseRouter(clf, "sex", metric="squared_error", cv=2).fit(X, data.target)
    export_bundle(force(router, EVERY), tmp_path / "r.onnx", X)
    bundle = Bundle.load(tmp_path / "r.onnx")
    (answer,) = ask(runtime, tmp_path / "r.onnx", [feed_of(bundle, X)])
    np.testing.assert_allclose(answer["prediction"], router.predict(X), rtol=2e-5)


def test_guards_of_the_graph(runtime, heart):
    _, X, path = heart
    feed = feed_of(Bundle.load(path), X[:4])
    unknown = {**feed, "report": np.array([["male", "80+"]] * 4, dtype=object)}
    fewer = {**feed, "report": feed["report"][:3]}
    mark = {**feed, "report": np.array([["?", ""]] * 4, dtype=object)}
    answers = ask(runtime, path, [unknown, fewer, mark])
    assert "unknown_level_in_report" in answers[0]["error"]
    refused = ("inputs_differ_in_their_number_of_rows", "cannot be reshaped")
    assert any(words in answers[1]["error"] for words in refused)
    assert answers[2]["route"] == [0, 0, 0, 0]
