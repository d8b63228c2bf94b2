"""The bundle, end to end: the router's answers from onnxruntime alone."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from forced import EVERY, every_report, force
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import FairUseRouter
from fairuse_router.bundle import Bundle, export_bundle
from fairuse_router.bundle.graph.builder import all_nodes
from fairuse_router.datasets import load_heart

GROUPS = ["sex", "age_group"]


@pytest.fixture(scope="module")
def heart():
    return load_heart(return_X_y=True, as_frame=True)


def encoder():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )


HEART_MODELS = {
    "logistic": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    "forest": make_pipeline(SimpleImputer(), RandomForestClassifier(random_state=0)),
    "boosting": HistGradientBoostingClassifier(max_iter=30, random_state=0),
    "mlp": make_pipeline(
        SimpleImputer(),
        StandardScaler(),
        MLPClassifier((8,), solver="lbfgs", alpha=1.0, max_iter=2000, random_state=0),
    ),
    "columns": make_pipeline(encoder(), LogisticRegression()),
    "columns, forest": make_pipeline(encoder(), RandomForestClassifier(40, random_state=0)),
}


@pytest.mark.parametrize("name", HEART_MODELS)
def test_heart_bundle_answers_as_the_router_under_all_nine_reports(name, heart, tmp_path):
    X, y = heart
    if not name.startswith("columns"):
        X = X[[*GROUPS, *X.select_dtypes("number").columns]]
    router = FairUseRouter(HEART_MODELS[name], GROUPS, cv=2, random_state=0).fit(X, y)
    force(router, EVERY)
    certificate = export_bundle(router, tmp_path / "heart.onnx", X, precision="exact")
    assert certificate["label_flips"] == 0
    assert certificate["max_difference"] <= 1e-9
    assert certificate["rows_per_report"] == len(X)
    bundle = Bundle.load(tmp_path / "heart.onnx")
    for asked in every_report(router, X):
        np.testing.assert_array_equal(bundle.predict(asked), router.predict(asked))
        np.testing.assert_allclose(
            bundle.predict_proba(asked), router.predict_proba(asked), rtol=0, atol=1e-6
        )
        assert bundle.route(asked).route.tolist() == router.route(asked).route.tolist()


@pytest.mark.parametrize("name", ["logistic", "boosting"])
def test_columns_of_objects_that_are_numbers_are_numbers(name, heart, tmp_path):
    X, y = heart
    X = X[[*GROUPS, "trestbps", "chol", "oldpeak"]].astype(
        {"trestbps": object, "chol": object, "oldpeak": object}
    )
    X.loc[X.index[:3], "chol"] = None
    X.loc[X.index[5], "oldpeak"] = True
    router = FairUseRouter(HEART_MODELS[name], GROUPS, cv=2, random_state=0).fit(X, y)
    export_bundle(force(router, EVERY), tmp_path / "heart.onnx", X, precision="exact")
    bundle = Bundle.load(tmp_path / "heart.onnx")
    assert [column.numeric for column in bundle.layout.columns] == [True] * 3
    np.testing.assert_array_equal(bundle.predict(X), router.predict(X))


def test_empty_batch_and_single_rows(heart, tmp_path):
    X, y = heart
    router = FairUseRouter(HEART_MODELS["columns"], GROUPS, cv=2, random_state=0).fit(X, y)
    export_bundle(force(router, EVERY), tmp_path / "heart.onnx", X)
    bundle = Bundle.load(tmp_path / "heart.onnx")
    assert bundle.predict(X[:0]).shape == (0,)
    assert bundle.predict_proba(X[:0]).shape == (0, 2)
    alone = [bundle.predict(X[i : i + 1])[0] for i in range(20)]
    assert alone == router.predict(X[:20]).tolist()


def test_operators_that_older_runtimes_die_of_never_see_an_empty_batch(tmp_path):
    """TopK within a row, of skl2onnx's neighbours: onnxruntime before 1.31 divides by no rows."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(200, 3)), rng.integers(2, size=200)])
    router = FairUseRouter(KNeighborsClassifier(), 3, cv=2).fit(X, X[:, 0] > 0)
    for routes in (router, force(router, EVERY)):
        export_bundle(routes, tmp_path / "near.onnx", X)
        graph = onnx.load(tmp_path / "near.onnx").graph
        within = [n for n in all_nodes(graph.node) if n.op_type == "TopK" and _axis(n) != 0]
        assert within
        assert not any(node in graph.node for node in within)
        assert Bundle.load(tmp_path / "near.onnx").predict(X[:0]).shape == (0,)


def _axis(node):
    return next((a.i for a in node.attribute if a.name == "axis"), -1)


def test_serving_loads_no_scikit_learn():
    code = (
        "import sys; from fairuse_router.bundle import Bundle; "
        "sys.exit(any(m in sys.modules for m in ('sklearn', 'skl2onnx', 'onnx', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
