"""Conversion the skl2onnx way: `to_onnx` of a router, and other people's converters inside one."""

import joblib
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from forced import EVERY, every_report, force
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks import converters
from fairuse_router import FairUseRouter
from fairuse_router.bundle import Bundle, export_bundle
from fairuse_router.datasets import load_heart

GROUPS = ["sex", "age_group"]
TYPES = {
    "tensor(string)": object,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def run(model, X):
    """Outputs by name, for one input per column or one for all."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    if isinstance(X, np.ndarray):
        feed = {"X": X}
    else:
        whole = X.fillna(dict.fromkeys(X.select_dtypes(exclude="number"), ""))
        feed = {i.name: whole[[i.name]].to_numpy(TYPES[i.type]) for i in session.get_inputs()}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))


def agrees(model, router, X, atol=1e-5):
    """The model answers as the router does."""
    found = run(model, X)
    assert found["label"].tolist() == router.predict(X).tolist()
    np.testing.assert_allclose(found["probabilities"], router.predict_proba(X), atol=atol)


@pytest.fixture(scope="module")
def heart():
    return load_heart(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def router(heart):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    encode = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    clf = make_pipeline(encode, LogisticRegression(max_iter=1000))
    return force(FairUseRouter(clf, GROUPS, cv=2, random_state=0).fit(*heart), EVERY)


@pytest.fixture(scope="module")
def coded(heart):
    """Numbers only: sex and age band as 0 and 1 in the last columns of an array."""
    X, y = heart
    numbers = X[["chol", "trestbps", "thalach"]].to_numpy(np.float32)
    groups = np.stack([X["sex"] == "male", X["age_group"] == "60+"], axis=1)
    return np.concatenate([numbers, groups], axis=1).astype(np.float32), y


# to_onnx
@pytest.mark.parametrize(
    "opset", [None, 16, 18, 21, {"": 18, "ai.onnx.ml": 3}, {"": 22, "ai.onnx.ml": 5}], ids=str
)
def test_to_onnx_of_a_router_under_all_reports(opset, router, heart):
    model = to_onnx(router, heart[0], target_opset=opset)
    assert [v.name for v in model.graph.input] == list(heart[0])
    assert [v.name for v in model.graph.output] == ["label", "probabilities", "route"]
    versions = {o.domain: o.version for o in model.opset_import}
    wanted = opset[""] if isinstance(opset, dict) else opset
    assert wanted in (None, versions[""])
    for asked in every_report(router, heart[0]):
        agrees(model, router, asked)
    assert len(run(model, heart[0][:0])["label"]) == 0


def test_pipelines_options_and_pickles(router, heart, tmp_path):
    X = heart[0]
    for options in (None, {"zipmap": False}, {id(router): {"zipmap": False}}):
        agrees(to_onnx(Pipeline([("router", router)]), X, options=options), router, X)
    joblib.dump(router, tmp_path / "router.joblib")
    again = joblib.load(tmp_path / "router.joblib")
    agrees(to_onnx(again, X), router, X)


def test_a_router_without_anything_else_imported(router, heart, tmp_path):
    """Nobody need register the converter: see FairUseRouter.onnx_converter."""
    import subprocess
    import sys

    joblib.dump((router, heart[0]), tmp_path / "router.joblib")
    code = (
        "import sys, joblib, skl2onnx; router, X = joblib.load(sys.argv[1]);"
        "assert 'fairuse_router.bundle' not in sys.modules; skl2onnx.to_onnx(router, X)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "router.joblib")]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(
    "clf",
    [LogisticRegression(max_iter=1000), RandomForestClassifier(11, random_state=0), LinearSVC()],
    ids=["logistic", "forest", "svc"],
)
def test_steps_before_the_router_let_group_columns_pass(clf, coded):
    X, y = coded
    keep = ColumnTransformer([("numbers", "passthrough", [0, 1])], remainder="passthrough")
    scale = ColumnTransformer([("scale", StandardScaler(), [0, 1, 2])], remainder="passthrough")
    routed = FairUseRouter(clf, [3, 4], cv=2, random_state=0)
    pipeline = make_pipeline(scale if hasattr(clf, "coef_init") else keep, routed).fit(X, y)
    force(routed, EVERY)
    found = run(to_onnx(pipeline, X[:1]), X)
    assert found["label"].tolist() == pipeline.predict(X).tolist()
    assert len(set(found["route"])) == 4
    withheld = X.copy()
    withheld[::2, 3] = np.nan
    found = run(to_onnx(pipeline, X[:1]), withheld)
    assert found["label"].tolist() == pipeline.predict(withheld).tolist()


def test_a_scaler_before_the_router(coded):
    X, y = coded
    scale = ColumnTransformer([("scale", StandardScaler(), [0, 1, 2])], remainder="passthrough")
    routed = FairUseRouter(LogisticRegression(), [3, 4], cv=2, random_state=0)
    pipeline = make_pipeline(scale, routed).fit(X, y)
    force(routed, EVERY)
    agrees(to_onnx(pipeline, X[:1]), pipeline, X)


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.bool_, object])
def test_group_columns_of_any_type(kind, coded):
    numbers = pd.DataFrame(coded[0][:, :3], columns=["a", "b", "c"])
    sex = coded[0][:, 3].astype(np.int64)
    X = numbers.assign(sex=sex.astype(str) if kind is object else sex.astype(kind))
    router = FairUseRouter(LogisticRegression(max_iter=5000), "sex", cv=2).fit(X, coded[1])
    model = to_onnx(force(router, EVERY), X)
    found = run(model, X)
    assert found["label"].tolist() == router.predict(X).tolist()
    assert found["route"].tolist() == router.route(X).route.tolist()
    if kind is np.int64:
        with pytest.raises(Exception, match="unknown_level_in_report"):
            run(model, X.assign(sex=7))


def test_regressions_are_called_variable_as_by_skl2onnx():
    data = load_diabetes(scaled=False, as_frame=True)
    X = data.data.assign(sex=data.data["sex"].astype(int))
    clf = make_pipeline(StandardScaler(), Ridge())
    router = FairUseRouter(clf, "sex", metric="squared_error", cv=2).fit(X, data.target)
    found = run(to_onnx(force(router, EVERY), X), X)
    assert found["variable"].shape == (len(X), 1)
    np.testing.assert_allclose(found["variable"][:, 0], router.predict(X), rtol=2e-5)


def test_columns_that_are_not_those_of_training_are_refused(router, heart):
    X = heart[0]
    with pytest.raises(ValueError, match="12 columns reach the router, which was fitted on 13"):
        to_onnx(router, X.drop(columns="chol"))
    with pytest.raises(ValueError, match="'chol' reaches the router as text"):
        to_onnx(router, X.astype({"chol": str}))


# every estimator that skl2onnx converts: python -m benchmarks.converters asks for all of them
@pytest.mark.slow
def test_some_of_the_registry(capsys):
    some = ["BernoulliNB", "KNeighborsRegressor", "LinearSVC", "MultiTaskLasso", "NuSVC"]
    some += ["QuadraticDiscriminantAnalysis", "TweedieRegressor", "VotingClassifier"]
    assert {c.__name__ for c in converters.registered()} >= set(some)
    assert converters.main(["--only", *some]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    found = {(w[0], w[1]): w[2] for w in map(str.split, lines) if w[0] in some}
    assert found["MultiTaskLasso", "fast"] == "refused"
    assert found["MultiTaskLasso", "exact"] == "refused"
    assert sum(word == "works" for word in found.values()) == 2 * len(some) - 2


# other people's converters
class NearestMean(ClassifierMixin, BaseEstimator):
    """The class whose mean is nearer, with a softmax of distances."""

    def fit(self, X, y):
        X = np.asarray(X, dtype=np.float64)
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[np.asarray(y) == c].mean(axis=0) for c in self.classes_])
        self.n_features_in_ = X.shape[1]
        return self

    def predict_proba(self, X):
        distance = ((np.asarray(X, dtype=np.float64)[:, None, :] - self.means_) ** 2).sum(axis=2)
        odds = np.exp(distance.min(axis=1, keepdims=True) - distance)
        return odds / odds.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _shapes(operator):
    operator.outputs[0].type = Int64TensorType([None])
    operator.outputs[1].type = FloatTensorType([None, len(operator.raw_operator.classes_)])


def _convert(scope, operator, container):
    from skl2onnx.algebra.onnx_ops import (
        OnnxArgMax,
        OnnxGather,
        OnnxGemm,
        OnnxSoftmax,
    )

    opset, model = container.target_opset, operator.raw_operator
    means = model.means_.astype(np.float32)  # |x - m|^2 without |x|^2, which softmax ignores
    margin = OnnxGemm(operator.inputs[0], 2 * means.T, -(means**2).sum(axis=1), op_version=opset)
    place = OnnxArgMax(margin, axis=1, keepdims=0, op_version=opset)
    classes = np.asarray(model.classes_).astype(np.int64)
    label = OnnxGather(classes, place, op_version=opset, output_names=[operator.outputs[0]])
    proba = OnnxSoftmax(margin, axis=1, op_version=opset, output_names=[operator.outputs[1]])
    label.add_to(scope, container)
    proba.add_to(scope, container)


@pytest.mark.parametrize("labels", [(0, 1), (3, 7)])
def test_a_users_own_registered_converter(labels, heart, tmp_path):
    update_registered_converter(NearestMean, "TestNearestMean", _shapes, _convert)
    X, y = heart
    X = X[[*GROUPS, "chol", "trestbps", "thalach", "oldpeak"]]
    clf = make_pipeline(StandardScaler(), NearestMean())
    router = FairUseRouter(clf, GROUPS, cv=2, random_state=0).fit(X, np.take(labels, y))
    certificate = export_bundle(force(router, EVERY), tmp_path / "r.onnx", X)
    assert certificate["label_flips"] == 0
    for asked in every_report(router, X):
        agrees_with = Bundle.load(tmp_path / "r.onnx")
        assert agrees_with.predict(asked).tolist() == router.predict(asked).tolist()


def _lightgbm():
    lightgbm = pytest.importorskip("lightgbm")
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(
        lightgbm.LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options=options,
    )
    return lightgbm.LGBMClassifier(n_estimators=10, num_leaves=7, verbose=-1, n_jobs=1)


def _xgboost():
    xgboost = pytest.importorskip("xgboost")
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(
        xgboost.XGBClassifier,
        "XGBoostXGBClassifier",
        calculate_linear_classifier_output_shapes,
        convert_xgboost,
        options=options,
    )
    return xgboost.XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1)


@pytest.mark.parametrize("make", [_lightgbm, _xgboost])
@pytest.mark.parametrize("frame", [True, False], ids=["frame", "array"])
def test_boosting_of_other_packages(make, frame, heart, tmp_path):
    pytest.importorskip("onnxmltools")
    clf, (X, y) = make(), heart
    X = X[[*GROUPS, "chol", "trestbps", "thalach", "oldpeak"]]
    groups = GROUPS if frame else [0, 1]
    given = X if frame else X.to_numpy(object)
    router = FairUseRouter(clf, groups, cv=2, random_state=0).fit(given, y)
    force(router, EVERY)  # every candidate was trained, though XGBoost refuses "<60" in a name
    export_bundle(router, tmp_path / "r.onnx", given)
    bundle = Bundle.load(tmp_path / "r.onnx")
    assert bundle.predict(given).tolist() == router.predict(given).tolist()
    np.testing.assert_allclose(bundle.predict_proba(given), router.predict_proba(given), atol=1e-5)


def test_boosting_of_other_packages_with_labels_of_every_kind(heart, tmp_path):
    pytest.importorskip("onnxmltools")
    clf, (X, y) = _lightgbm(), heart
    X = X[[*GROUPS, "chol", "thalach", "oldpeak"]]
    for labels in (["no", "yes"], [3, 7], [-1, 1]):
        given = np.take(labels, y)
        router = FairUseRouter(clf, GROUPS, cv=2, random_state=0).fit(X, given)
        assert export_bundle(router, tmp_path / "r.onnx", X)["label_flips"] == 0
        bundle = Bundle.load(tmp_path / "r.onnx")
        assert bundle.predict(X).tolist() == router.predict(X).tolist()


@pytest.mark.parametrize(
    "around",
    [
        lambda clf: CalibratedClassifierCV(clf, cv=2),
        OneVsRestClassifier,
        lambda clf: StackingClassifier(
            [("l", clf)], LogisticRegression(), stack_method="decision_function", cv=2
        ),
    ],
)
def test_decisions_of_boosting_of_other_packages(around, heart):
    pytest.importorskip("onnxmltools")
    clf, (X, y) = _lightgbm(), heart
    if not hasattr(clf, "decision_function"):
        pytest.skip("LightGBM has decisions since 4.7")
    X = X[[*GROUPS, "chol", "thalach", "oldpeak"]]
    router = FairUseRouter(around(clf), GROUPS, cv=2, random_state=0).fit(X, y)
    agrees(to_onnx(router, X[:1], target_opset={"": 18, "ai.onnx.ml": 3}), router, X)
    three = FairUseRouter(CalibratedClassifierCV(clf, cv=2), GROUPS, cv=2, random_state=0)
    three.fit(X, y + (y & (X["oldpeak"] > 2)))
    agrees(to_onnx(three, X[:1]), three, X)


def test_decisions_by_a_converter_that_writes_probabilities(heart):
    """A model that is not read goes to its converter; its decisions are log-odds."""
    pytest.importorskip("onnxmltools")
    clf, (X, y) = _lightgbm(), heart
    if not hasattr(clf, "decision_function"):
        pytest.skip("LightGBM has decisions since 4.7")
    X = X[[*GROUPS, "chol", "thalach", "oldpeak"]]
    steep = CalibratedClassifierCV(clf.set_params(sigmoid=2), cv=2)
    router = FairUseRouter(steep, GROUPS, cv=2, random_state=0).fit(X, y)
    agrees(to_onnx(router, X[:1], target_opset={"": 18, "ai.onnx.ml": 3}), router, X)


@pytest.mark.parametrize(
    "estimator", [KNeighborsClassifier(), OneVsOneClassifier(LogisticRegression(max_iter=1000))]
)
def test_models_with_graphs_inside_their_nodes(estimator, heart):
    X, y = heart
    X = X[[*GROUPS, "chol", "thalach", "oldpeak"]]
    router = FairUseRouter(estimator, GROUPS, cv=2, random_state=0).fit(X, y)
    model = to_onnx(router, X[:1], target_opset={"": 18, "ai.onnx.ml": 3})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feed = {i.name: X[[i.name]].to_numpy(TYPES[i.type]) for i in session.get_inputs()}
    assert session.run(None, feed)[0].tolist() == router.predict(X).tolist()


def test_text_arrays_and_booleans_as_categories(heart, tmp_path):
    X, y = heart
    X = X[[*GROUPS, "cp", "exang", "oldpeak"]].astype({"exang": bool}).astype({"exang": "category"})
    codes = make_column_transformer(
        (OneHotEncoder(), ["cp", "exang"]), ("passthrough", ["oldpeak"])
    )
    everything = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    for estimator, groups, given in (
        (make_pipeline(codes, LogisticRegression()), GROUPS, X),
        (everything, [0, 1], X.astype(str).to_numpy(dtype=str)),
    ):
        router = FairUseRouter(estimator, groups, cv=2, random_state=0).fit(given, y)
        assert export_bundle(router, tmp_path / "r.onnx", given)["label_flips"] == 0


@pytest.mark.parametrize("kind", [KNeighborsClassifier, KNeighborsRegressor])
def test_neighbours_that_skl2onnx_weighs_alike_are_refused(kind, heart):
    X, y = heart
    X = X[[*GROUPS, "thalach", "oldpeak"]]
    metric = "error" if kind is KNeighborsClassifier else "squared_error"
    router = FairUseRouter(kind(weights="distance"), GROUPS, cv=2, metric=metric, random_state=0)
    router.fit(X, y)
    with pytest.raises(ValueError, match="does not weigh its neighbours by their distance"):
        to_onnx(router, X[:1])


def test_a_refused_tree_is_named_by_its_candidate(heart, tmp_path):
    X, y = heart
    boosting = GradientBoostingClassifier(n_estimators=3, init=DecisionTreeClassifier(max_depth=1))
    X = X[[*GROUPS, "chol", "oldpeak"]]
    router = force(FairUseRouter(boosting, GROUPS, cv=2, random_state=0).fit(X, y), EVERY)
    with pytest.raises(ValueError, match=r"'generic' cannot be written.*its init estimator"):
        export_bundle(router, tmp_path / "r.onnx", X)


def test_columns_of_different_lengths_are_refused():
    X, y = load_heart(return_X_y=True, as_frame=True)
    X = X[["chol", "oldpeak", "sex", "age_group"]]
    router = FairUseRouter(LogisticRegression(max_iter=1000), GROUPS, cv=2, random_state=0)
    model = to_onnx(router.fit(X, y), X[:1])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feed = {
        i.name: X[[i.name]][:4].to_numpy(object if "string" in i.type else np.float64)
        for i in session.get_inputs()
    }
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
    for i in session.get_inputs():
        feed[i.name] = feed[i.name].astype(kinds.get(i.type, object))
    assert len(session.run(None, feed)[0]) == 4
    for name in feed:
        with pytest.raises(Exception, match=r"inputs_differ|index|reshape|Reshape"):
            session.run(None, {**feed, name: feed[name][:0]})
