"""XGBoost in bundles, bare and behind steps, without another package's converter; LightGBM's."""

import numpy as np
import onnx
import pandas as pd
import pytest
from forced import EVERY, force
from skl2onnx import convert_sklearn
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.bundle.families.boosters import read_xgboost
from fairuse_router.bundle.families.others import register_others
from fairuse_router.bundle.file.session import open_session

xgboost = pytest.importorskip("xgboost", reason="XGBoost is not installed")
# XGBoost 3.4 says so of both; what is read must still be right
pytestmark = [
    pytest.mark.filterwarnings("ignore:`XGBRFClassifier` is deprecated"),
    pytest.mark.filterwarnings("ignore:.*booster=dart"),
]
QUICK = {"n_estimators": 12, "max_depth": 3, "n_jobs": 1}


def make_rows(n, seed=0):
    """Numbers of all digits, so that thresholds are data; the groups differ in sign."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)) * [1, 30, 1e-3], columns=["a", "b", "c"])
    X["sex"] = rng.choice(["F", "M"], n)
    sign = np.where(X["sex"] == "F", 1, -1)
    return X, sign * X["a"] + X["b"] / 30 + 0.5 * rng.normal(size=n)


def router_of(estimator, target, n=300, **settings):
    X, margin = make_rows(n)
    settings = {"cv": 2, "random_state": 0, "policy": "best", **settings}
    return FairUseRouter(estimator, ["sex"], **settings).fit(X, target(margin))


def two(margin):
    return (margin > 0).astype(int)


def three(margin):
    return np.digitize(margin, [-0.5, 0.5])


STEPS = {
    "nothing": [],
    "StandardScaler": [StandardScaler()],
    "MinMaxScaler": [MinMaxScaler()],
    "RobustScaler": [RobustScaler()],
    "MaxAbsScaler": [MaxAbsScaler()],
    "imputer": [SimpleImputer(), StandardScaler()],
    "PCA": [PCA(2, random_state=0)],
}
MODELS = {
    "two classes": (lambda: xgboost.XGBClassifier(**QUICK), two),
    "three classes": (lambda: xgboost.XGBClassifier(**QUICK), three),
    "dropped trees": (lambda: xgboost.XGBClassifier(booster="dart", rate_drop=0.4, **QUICK), two),
    "a forest": (lambda: xgboost.XGBRFClassifier(n_estimators=5, max_depth=3, n_jobs=1), two),
    "a regression": (lambda: xgboost.XGBRegressor(**QUICK), lambda m: m),
    "counts": (
        lambda: xgboost.XGBRegressor(objective="count:poisson", **QUICK),
        lambda m: np.floor(np.abs(m)),
    ),
}


def check(router, folder, precision, X):
    certificate = export_bundle(router, folder / "r.onnx", X, precision=precision)
    assert certificate.get("label_flips", 0) <= certificate["most_flips"]
    bundle, fresh = Bundle.load(folder / "r.onnx"), make_rows(2000, seed=1)[0]
    expected, found = router.predict(fresh), bundle.predict(fresh)
    if bundle.classes_ is None:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    elif precision == "exact":
        assert (found == expected).all()
    else:
        assert (found != expected).mean() < 0.005
    return certificate


@pytest.mark.filterwarnings("default:In single precision")
@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize("steps", STEPS)
def test_behind_steps(steps, precision, tmp_path):
    estimator = make_pipeline(*STEPS[steps], xgboost.XGBClassifier(**QUICK))
    router = force(router_of(estimator, two), EVERY)
    certificate = check(router, tmp_path, precision, make_rows(300)[0])
    if steps != "PCA":
        assert certificate["label_flips"] == 0
    if precision == "exact":
        assert certificate["tolerance"] == 1e-6
        assert certificate["max_difference"] <= 1e-6


@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize("name", MODELS)
def test_kinds_of_models(name, precision, tmp_path):
    make, target = MODELS[name]
    settings = {} if target in (two, three) else {"metric": "squared_error"}
    router = router_of(make_pipeline(StandardScaler(), make()), target, **settings)
    check(force(router, EVERY), tmp_path, precision, make_rows(300)[0])


def test_no_root_looks_like_a_leaf(tmp_path):
    # ONNX Runtime before 1.24 answers wrongly where a root's leaf and split have one number
    router = router_of(xgboost.XGBClassifier(**QUICK), three)
    check(force(router, EVERY), tmp_path, "exact", make_rows(300)[0])
    apart = 0
    for node in onnx.load(tmp_path / "r.onnx").graph.node:
        if node.op_type == "TreeEnsemble":
            told = {a.name: list(a.ints) for a in node.attribute if a.ints}
            for root in told["tree_roots"]:
                if told["nodes_trueleafs"][root] != told["nodes_falseleafs"][root]:
                    assert told["nodes_truenodeids"][root] != told["nodes_falsenodeids"][root]
                    apart += 1
    assert apart, "some root should have a leaf and a split"


def test_margins_are_those_of_the_model_and_missing_numbers_go_where_they_went():
    X, margin = make_rows(300)
    X = X[["a", "b", "c"]].mask(np.random.default_rng(1).random((300, 3)) < 0.2)
    for make, target in MODELS.values():
        model = make().fit(X, target(margin))
        booster = read_xgboost(model)
        cells, total = X.to_numpy().astype(np.float32), np.zeros((300, len(booster.start)))
        for row in range(300):
            total[row] = booster.start
            for tree in booster.trees:
                node = 0
                while tree.left[node] >= 0:
                    value = cells[row, tree.feature[node]]
                    left = value < tree.threshold[node]
                    left = tree.missing_left[node] if np.isnan(value) else left
                    node = (tree.left if left else tree.right)[node]
                total[row, tree.target] += tree.threshold[node] * tree.factor
        told = model.predict(X, output_margin=True).reshape(300, -1)
        np.testing.assert_allclose(total, told, rtol=0, atol=2e-6)


@pytest.mark.parametrize("precision", ["fast", "exact"])
def test_missing_numbers(precision, tmp_path):
    X, margin = make_rows(300)
    X["a"] = X["a"].mask(np.random.default_rng(1).random(300) < 0.2)
    for estimator in (
        make_pipeline(StandardScaler(), xgboost.XGBClassifier(**QUICK)),
        VotingClassifier([("x", xgboost.XGBClassifier(**QUICK))], voting="soft"),
    ):
        router = FairUseRouter(estimator, ["sex"], cv=2, policy="best", random_state=0)
        router.fit(X, two(margin))
        certificate = export_bundle(router, tmp_path / "r.onnx", X, precision=precision)
        assert certificate["label_flips"] == 0
        assert (Bundle.load(tmp_path / "r.onnx").predict(X) == router.predict(X)).all()


def test_one_model_serves_all_behind_a_scaler(tmp_path):
    """The scaler is taken into the thresholds where nothing is merged, too."""
    X = make_rows(300)[0]
    for model in (xgboost.XGBClassifier(**QUICK), RandomForestClassifier(9, random_state=0)):
        router = router_of(make_pipeline(StandardScaler(), model), two, candidates=("generic",))
        assert len(set(router.routing_table_.grid.ravel().tolist())) == 1
        assert check(router, tmp_path, "fast", X)["max_difference"] < 1e-5


def test_beside_texts(tmp_path):
    X, margin = make_rows(300)
    X["t"] = np.resize(["x", "y", None], 300)
    encode = make_column_transformer(
        (StandardScaler(), ["a", "b"]), (OneHotEncoder(handle_unknown="ignore"), ["t"])
    )
    estimator = make_pipeline(encode, xgboost.XGBClassifier(**QUICK))
    router = FairUseRouter(estimator, ["sex"], cv=2, policy="best", random_state=0)
    router.fit(X, two(margin))
    export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
    assert (Bundle.load(tmp_path / "r.onnx").predict(X) == router.predict(X)).all()


def test_advice_is_for_the_fault_at_hand(tmp_path):
    X = make_rows(300)[0]
    steps = make_pipeline(StandardScaler(), PolynomialFeatures(2))
    router = force(router_of(make_pipeline(steps, xgboost.XGBClassifier(**QUICK)), two), EVERY)
    with pytest.raises(ValueError, match="cannot be written to ONNX"):
        export_bundle(router, tmp_path / "r.onnx", X, precision="exact")


@pytest.mark.parametrize("kind", ["LGBMClassifier", "LGBMRegressor"])
def test_converters_of_lightgbm_are_registered_by_themselves(kind, tmp_path, monkeypatch):
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    pytest.importorskip("onnxmltools", reason="onnxmltools is not installed")
    monkeypatch.delitem(sklearn_operator_name_map, getattr(lightgbm, kind), raising=False)
    X, margin = make_rows(300)
    numbers = X[["a", "b", "c"]].to_numpy(np.float32)
    model = getattr(lightgbm, kind)(n_estimators=8, verbose=-1, n_jobs=1)
    model.fit(numbers, two(margin))
    register_others([model])
    kinds = [("x", FloatTensorType([None, 3]))]
    converted = convert_sklearn(model, initial_types=kinds, target_opset={"": 18, "ai.onnx.ml": 3})
    found = open_session(converted.SerializeToString()).run(None, {"x": numbers})[0]
    same = np.isclose(np.ravel(found), model.predict(numbers), atol=1e-5)
    assert same.mean() > 0.95  # single precision puts some rows on another side of a split


def test_advice_of_a_converter_that_would_be_refused_is_not_handed_on(tmp_path):
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    pytest.importorskip("onnxmltools", reason="onnxmltools is not installed")
    model = lightgbm.LGBMClassifier(n_estimators=8, sigmoid=2, verbose=-1, n_jobs=1)
    router = router_of(make_pipeline(StandardScaler(), model), two)
    with pytest.raises(ValueError, match=r"does not write version 5 .* pass precision='fast'"):
        export_bundle(router, tmp_path / "r.onnx", make_rows(300)[0], precision="exact")
    assert isinstance(router.estimator[-1], lightgbm.LGBMClassifier)
    assert LogisticRegression in sklearn_operator_name_map
