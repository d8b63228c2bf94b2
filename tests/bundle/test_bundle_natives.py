"""Models that take categories as they are, in bundles: unknown and missing ones included."""

import numpy as np
import pandas as pd
import pytest
from forced import EVERY, force
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.datasets import load_heart

GROUPS = ["sex", "age_group"]
TEXTS = ["cp", "restecg", "slope", "thal"]


def histogram(regresses=False):
    kind = HistGradientBoostingRegressor if regresses else HistGradientBoostingClassifier
    return kind(max_iter=6, min_samples_leaf=5, random_state=0)


def lightgbm(regresses=False, **settings):
    package = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    kind = package.LGBMRegressor if regresses else package.LGBMClassifier
    quick = {"n_estimators": 8, "min_child_samples": 4, "verbose": -1, "n_jobs": 1}
    # sets of several categories, not one against the rest
    few = {"max_cat_to_onehot": 1, "min_data_per_group": 5, "cat_smooth": 1}
    return kind(**quick, **few, **settings)


def xgboost(regresses=False, **settings):
    package = pytest.importorskip("xgboost", reason="XGBoost is not installed")
    kind = package.XGBRegressor if regresses else package.XGBClassifier
    return kind(n_estimators=8, max_depth=4, max_cat_to_onehot=1, n_jobs=1, **settings)


FAMILIES = {"histogram": histogram, "lightgbm": lightgbm, "xgboost": xgboost}


def rows_of(seed=0):
    """Heart, with a column of categories that are numbers, and missing ones."""
    X, y = load_heart(return_X_y=True, as_frame=True)
    rng = np.random.default_rng(seed)
    X = X.astype({name: "category" for name in TEXTS if name in X}).copy()
    X["site"] = pd.Categorical(rng.choice([3, 5, 9, 11], len(X)))
    X.loc[rng.random(len(X)) < 0.1, "cp"] = np.nan
    y = y ^ ((X["site"].isin([3, 9])) & (X["sex"] == X["sex"].iloc[0])).astype(int)
    return X, y


def shown(X, unknown):
    """Rows with withheld reports, and categories that training had not, if they are taken."""
    some = np.arange(len(X)) % 5 == 0
    X = X.assign(sex=X["sex"].mask(some))
    if unknown:
        for name, new in (("cp", "new"), ("site", 4)):
            X[name] = pd.Categorical(np.where(some, new, X[name].astype(object)))
    return X


def held(router, X, tmp_path, precision):
    """Largest difference between the router's answers and the bundle's."""
    method = "predict_proba" if hasattr(router, "predict_proba") else "predict"
    certificate = export_bundle(router, tmp_path / "r.onnx", X, precision=precision)
    assert certificate.get("label_flips", 0) == 0
    bundle = Bundle.load(tmp_path / "r.onnx")
    unknown = not type(router.estimator).__module__.startswith("xgboost")
    asked = shown(X, unknown)
    found = np.abs(getattr(bundle, method)(asked) - getattr(router, method)(asked)).max()
    if precision == "exact":  # no label may differ, and none does in double precision
        assert np.array_equal(bundle.predict(asked), router.predict(asked)) or method == "predict"
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", ["fast", "exact"])
def test_frames_with_categories(family, precision, tmp_path):
    X, y = rows_of()
    extra = {"enable_categorical": True} if family == "xgboost" else {}
    model = FAMILIES[family](**extra)
    router = FairUseRouter(model, GROUPS, cv=2, random_state=0).fit(X, y)
    small = 3e-15 if precision == "exact" and family != "xgboost" else 5e-7
    assert held(force(router, EVERY), X, tmp_path, precision) < small


@pytest.mark.parametrize("family", FAMILIES)
def test_three_classes_and_numbers(family, tmp_path):
    X, y = rows_of(1)
    extra = {"enable_categorical": True} if family == "xgboost" else {}
    classes = y + (X["site"] == 9)
    router = FairUseRouter(FAMILIES[family](**extra), GROUPS, cv=2, random_state=0)
    assert held(router.fit(X, classes), X, tmp_path, "exact") < 5e-7
    target = X["thalach"] + 20 * y
    router = FairUseRouter(
        FAMILIES[family](True, **extra), GROUPS, cv=2, metric="squared_error", random_state=0
    )
    assert held(router.fit(X, target), X, tmp_path, "fast") < 1e-4


def numbers_of(X):
    """Codes of the categories, and a measurement, as numbers; the group comes last."""
    codes = [X[name].cat.codes.replace(-1, np.nan).astype(float) for name in ("cp", "site")]
    return np.column_stack([*codes, X["chol"], (X["sex"] == X["sex"].iloc[0]).astype(float)])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # that LightGBM has another argument, too
def test_codes_of_categories_in_arrays(family, tmp_path):
    X, y = rows_of()
    table = numbers_of(X)
    model = {
        "histogram": lambda: histogram().set_params(categorical_features=[0, 1]),
        "lightgbm": lambda: lightgbm(categorical_feature=[0, 1]),
        "xgboost": lambda: xgboost(enable_categorical=True, feature_types=["c", "c", "q"]),
    }[family]()
    if family == "xgboost":  # types of the columns of generic alone
        router = FairUseRouter(model, [3], cv=2, candidates=["generic", "decoupled"])
    else:
        router = FairUseRouter(model, [3], cv=2, random_state=0)
    router.fit(table, y)
    export_bundle(router, tmp_path / "r.onnx", table, precision="exact")
    bundle = Bundle.load(tmp_path / "r.onnx")
    asked = table.copy()
    for row, code in enumerate([77, -3, np.nan, 1.5, 1e9, 2]):
        asked[row::12, 0] = code
        asked[row + 6 :: 12, 1] = code
    wanted = router.predict_proba(asked)
    np.testing.assert_allclose(bundle.predict_proba(asked), wanted, rtol=0, atol=5e-7)


def test_behind_steps(tmp_path):
    X, y = rows_of()
    encode = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["cp", "site"]),
        (StandardScaler(), ["chol", "oldpeak"]),
    )
    boosting = histogram().set_params(categorical_features=[0, 1])
    X = X[[*GROUPS, "cp", "site", "chol", "oldpeak"]]
    router = FairUseRouter(make_pipeline(encode, boosting), GROUPS, cv=2, random_state=0)
    assert held(router.fit(X, y), X, tmp_path, "exact") < 3e-15


def test_xgboost_refuses_unknown_categories(tmp_path):
    X, y = rows_of()
    router = FairUseRouter(xgboost(enable_categorical=True), GROUPS, cv=2, random_state=0)
    export_bundle(router.fit(X, y), tmp_path / "r.onnx", X)
    with pytest.raises(ValueError, match="holds a category that training did not"):
        Bundle.load(tmp_path / "r.onnx").predict(shown(X, True))


@pytest.mark.parametrize("boosting", ["dart", "rf", "gbdt"])
@pytest.mark.parametrize("objective", ["poisson", "l1"])
def test_kinds_of_lightgbm(boosting, objective, tmp_path):
    X, y = rows_of()
    settings = {"subsample": 0.7, "subsample_freq": 1} if boosting == "rf" else {}
    model = lightgbm(True, boosting_type=boosting, objective=objective, **settings)
    router = FairUseRouter(model, GROUPS, cv=2, metric="squared_error", random_state=0)
    assert held(router.fit(X, 3 * y + X["ca"].fillna(1)), X, tmp_path, "exact") < 1e-12


@pytest.mark.parametrize("setting", ["linear_tree", "zero_as_missing"])
def test_what_lightgbm_has_and_no_bundle_takes(setting, tmp_path):
    X, y = rows_of()
    numbers = X[[*GROUPS, "chol", "oldpeak", "ca"]].assign(ca=X["ca"].fillna(0))
    router = FairUseRouter(lightgbm(**{setting: True}), GROUPS, cv=2, random_state=0)
    with pytest.raises(ValueError, match=f"leave {setting} out"):
        export_bundle(router.fit(numbers, y), tmp_path / "r.onnx", numbers)
