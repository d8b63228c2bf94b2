"""Regression routers: what scikit-learn asks of a regressor, and bundles that predict numbers."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from forced import EVERY, every_report, force
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.feature_selection import RFE, SelectKBest, f_regression
from sklearn.linear_model import (
    GammaRegressor,
    LinearRegression,
    PoissonRegressor,
    RANSACRegressor,
    Ridge,
    RidgeCV,
    TweedieRegressor,
)
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVR, LinearSVR
from sklearn.tree import DecisionTreeRegressor

from fairuse_router import FairUseRouter
from fairuse_router.bundle import Bundle, export_bundle

GROUPS = ["sex", "age"]


@pytest.fixture(scope="module")
def diabetes():
    data = load_diabetes(scaled=False, as_frame=True)
    X = data.data.assign(
        sex=data.data["sex"].map({1.0: "one", 2.0: "two"}),
        age=np.where(data.data["age"] < 50, "<50", "50+"),
    )
    return X, data.target.to_numpy()


def router_of(estimator, X, y, **settings):
    settings = {"metric": "squared_error", "cv": 2, "random_state": 0, **settings}
    return FairUseRouter(estimator, GROUPS, **settings).fit(X, y)


REGRESSORS = {
    "linear": LinearRegression(),
    "ridge": make_pipeline(StandardScaler(), RidgeCV()),
    "linear svr": make_pipeline(StandardScaler(), LinearSVR(random_state=0)),
    "poisson": make_pipeline(StandardScaler(), PoissonRegressor(alpha=0.1)),
    "gamma": make_pipeline(StandardScaler(), GammaRegressor(alpha=0.1)),
    "tweedie, identity": make_pipeline(StandardScaler(), TweedieRegressor(power=0)),
    "tweedie, log": make_pipeline(StandardScaler(), TweedieRegressor(power=1.5)),
    "tree": DecisionTreeRegressor(max_depth=5, random_state=0),
    "forest": RandomForestRegressor(20, random_state=0),
    "extra trees": ExtraTreesRegressor(20, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=20, random_state=0),
    "boosting from zero": GradientBoostingRegressor(n_estimators=20, init="zero", random_state=0),
    "histograms": HistGradientBoostingRegressor(max_iter=20, random_state=0),
    "histograms, poisson": HistGradientBoostingRegressor(max_iter=20, loss="poisson"),
    "mlp": make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", random_state=0)
    ),
    "neighbours": KNeighborsRegressor(),
    "svr": make_pipeline(StandardScaler(), SVR(C=100)),
    "adaboost": AdaBoostRegressor(n_estimators=5, random_state=0),
    "bagging": BaggingRegressor(Ridge(), max_features=0.5, random_state=0),
    "voting": VotingRegressor([("r", Ridge()), ("k", KNeighborsRegressor())], weights=[2, 1]),
    "stacking": StackingRegressor(
        [("r", Ridge()), ("k", KNeighborsRegressor())], Ridge(), passthrough=True
    ),
    "log target": TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp),
    "log1p target": TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
    "scaled target": TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
    "ranged target": TransformedTargetRegressor(Ridge(), transformer=MinMaxScaler()),
    "ransac": RANSACRegressor(LinearRegression(), random_state=0),
    "search": GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2),
    "selected": make_pipeline(SelectKBest(f_regression, k=4), Ridge()),
    "eliminated": RFE(Ridge(), n_features_to_select=4),
}


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.filterwarnings("ignore:.*onverge")
def test_bundle_predicts_what_the_router_predicts(name, diabetes, tmp_path):
    X, y = diabetes
    router = force(router_of(REGRESSORS[name], X, y), EVERY)
    certificate = export_bundle(router, tmp_path / "r.onnx", X)
    assert certificate["compared"] == "prediction"
    assert certificate["max_difference"] <= 1e-5
    assert "label_flips" not in certificate
    bundle = Bundle.load(tmp_path / "r.onnx")
    for asked in every_report(router, X):
        np.testing.assert_allclose(
            bundle.predict(asked), router.predict(asked), rtol=2e-5, atol=2e-3
        )
        assert bundle.route(asked).route.tolist() == router.route(asked).route.tolist()
    assert bundle.predict(X[:0]).shape == (0,)
    assert bundle.predict(X[:1]).shape == (1,)


def test_plain_runtime_finds_prediction_and_route(diabetes, tmp_path):
    X, y = diabetes
    router = force(router_of(Ridge(), X, y, metric="absolute_error"), EVERY)
    export_bundle(router, tmp_path / "r.onnx", X)
    session = onnxruntime.InferenceSession(tmp_path / "r.onnx")
    assert [(o.name, o.shape) for o in session.get_outputs()] == [
        ("prediction", ["N"]),
        ("route", ["N"]),
    ]
    rows = X.drop(columns=GROUPS).to_numpy(np.float32)
    report = X[GROUPS].to_numpy(object)
    prediction, route = session.run(None, {"X": rows, "report": report})
    np.testing.assert_allclose(prediction, router.predict(X), rtol=2e-5, atol=2e-3)
    assert set(route) == {0, 1, 2, 3}
    bundle = Bundle.load(tmp_path / "r.onnx")
    assert bundle.classes_ is None
    assert "regression" in repr(bundle)
    assert bundle.routing_table.metric == "absolute_error"
    with pytest.raises(AttributeError, match="no probabilities"):
        bundle.predict_proba(X)


def test_mixed_columns(diabetes, tmp_path):
    X, y = diabetes
    X = X.assign(site=np.where(np.arange(len(X)) % 3, "north", "south"))
    encode = make_column_transformer((OneHotEncoder(), ["site"]), remainder=StandardScaler())
    router = force(router_of(make_pipeline(encode, Ridge()), X, y), EVERY)
    export_bundle(router, tmp_path / "r.onnx", X)
    bundle = Bundle.load(tmp_path / "r.onnx")
    np.testing.assert_allclose(bundle.predict(X), router.predict(X), rtol=2e-5, atol=2e-3)


def test_difference_is_relative_to_the_size_of_the_predictions(diabetes, tmp_path):
    X, y = diabetes
    for scale in (1e-9, 1e9):
        router = force(router_of(Ridge(), X, y * scale), EVERY)
        certificate = export_bundle(router, tmp_path / "r.onnx", X)
        assert 0 < certificate["max_difference"] <= 1e-5


def test_a_target_that_cannot_be_taken_back_is_refused(diabetes, tmp_path):
    X, y = diabetes
    cubes = TransformedTargetRegressor(Ridge(), func=np.cbrt, inverse_func=lambda t: t**3)
    with pytest.raises(ValueError, match="inverse of the target's FunctionTransformer"):
        export_bundle(router_of(cubes, X, y), tmp_path / "r.onnx", X)
    assert not list(tmp_path.iterdir())


def test_router_of_a_regressor_is_a_regressor(diabetes):
    X, y = diabetes
    router = FairUseRouter(Ridge(), GROUPS, metric="squared_error", cv=2, random_state=0)
    assert is_regressor(router)
    assert router.__sklearn_tags__().regressor_tags is not None
    assert router.__sklearn_tags__().classifier_tags is None
    assert not hasattr(router, "predict_proba")
    assert not hasattr(router, "decision_function")
    router.fit(X, y)
    assert not hasattr(router, "classes_")
    assert router.predict(X).dtype == np.float64
    assert router.score(X, y) == pytest.approx(r2_score(y, router.predict(X)))
    scores = cross_val_score(clone(router), X, y, cv=3, scoring="r2")
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("metric", ["squared_error", "absolute_error"])
def test_routes_are_chosen_by_the_regression_metric(metric):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=600), "sex": np.tile(["F", "M"], 300)})
    X["age"] = np.repeat(["old", "young"], 300)
    slope = np.where(X["sex"] == "M", -2.0, 2.0)
    y = slope * X["x"].to_numpy() + rng.normal(size=600)
    router = router_of(Ridge(), X, y, metric=metric, cv=5, policy="best")
    table = router.routing_table_
    assert {record.candidate for record in table.groups} == {"decoupled"}
    assert table.metric == metric
    assert all(record.gain > 0.5 for record in table.groups)
    assert mean_squared_error(y, router.predict(X)) < 1.3


@pytest.mark.parametrize(
    ("estimator", "metric"), [(Ridge(), "error"), (Ridge(), "auc"), (Ridge(), "brier")]
)
def test_metrics_of_classifiers_are_refused(estimator, metric, diabetes):
    X, y = diabetes
    with pytest.raises(ValueError, match="use 'squared_error' or 'absolute_error'"):
        router_of(estimator, X, y, metric=metric)
