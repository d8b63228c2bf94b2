"""Products: models of all routes as one matrix, or with one last step in common."""

import warnings

import numpy as np
import onnx
import pandas as pd
import pytest
from forced import EVERY, every_report, force
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

from fairuse_router import Bundle, FairUseRouter, export_bundle

GROUPS = ["sex", "age"]
SORTING = {"TopK", "NonZero", "If", "ScatterND"}  # what a partition of the rows needs


def make_rows(n=400, seed=0, texts=False):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"x0": rng.normal(size=n), "x1": 100 + 10 * rng.normal(size=n)}).round(2)
    if texts:
        X["site"] = rng.choice(["north", "south", "west", ""], n, p=[0.3, 0.3, 0.28, 0.12])
        X["team"] = rng.choice(["a", "b"], n)
    X["sex"], X["age"] = rng.choice(["F", "M"], n), rng.choice(["old", "young"], n)
    margin = X["x0"] * np.where(X["sex"] == "F", 2, -2) + (X["x1"] - 100) / 10
    if texts:
        margin = margin + (X["site"] == "west") - (X["team"] == "a")
    return X, (margin.to_numpy() + rng.logistic(size=n) > 0).astype(int)


def router_of(estimator, X, y, **settings):
    router = FairUseRouter(estimator, GROUPS, cv=2, random_state=0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nets stop early
        return force(router.fit(X, y), EVERY)


def export(router, X, path, **settings):
    """Certificate, bundle and kinds of nodes of an export."""
    certificate = export_bundle(router, path, X, **settings)
    return certificate, Bundle.load(path), [n.op_type for n in onnx.load(path).graph.node]


def agree(bundle, router, X, tolerance=1e-6):
    for asked in every_report(router, X):
        np.testing.assert_array_equal(bundle.predict(asked), router.predict(asked))
        if hasattr(router, "predict_proba"):
            p, q = bundle.predict_proba(asked), router.predict_proba(asked)
            np.testing.assert_allclose(p, q, rtol=0, atol=tolerance)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("precision", ["fast", "exact"])
def test_naive_bayes_of_all_routes_is_one_product(tmp_path, classes, precision):
    X, y = make_rows()
    y = y if classes == 2 else y + (X["x0"] > 1)
    router = router_of(make_pipeline(StandardScaler(), GaussianNB()), X, y)
    _, bundle, nodes = export(router, X, tmp_path / "b.onnx", precision=precision)
    assert not SORTING & set(nodes)
    assert nodes.count("Gemm") == 2
    agree(bundle, router, X, 1e-5 if precision == "fast" else 1e-12)
    assert bundle.predict(X.head(0)).shape == (0,)


def test_naive_bayes_on_numbers_far_from_zero_is_taken_from_their_middle(tmp_path):
    X, y = make_rows()
    X["x1"] += 1e5
    router = router_of(GaussianNB(), X, y)
    _, bundle, nodes = export(router, X, tmp_path / "b.onnx", precision="exact")
    assert nodes.count("Sub") == 1
    assert not SORTING & set(nodes)
    agree(bundle, router, X, 1e-11)


def test_naive_bayes_whose_squares_would_cancel_is_partitioned(tmp_path):
    X, y = make_rows()
    X["x1"] = np.where(X["sex"] == "F", 1e3, -1e3) + 1e-4 * X["x0"]  # far apart, and narrow
    router = router_of(GaussianNB(), X, y)
    certificate, _, nodes = export(router, X, tmp_path / "b.onnx", precision="exact")
    assert set(nodes) & SORTING
    assert certificate["label_flips"] == 0


def test_naive_bayes_of_routes_that_look_at_other_columns_is_partitioned(tmp_path):
    X, y = make_rows()
    X.loc[X["sex"] == "M", "x1"] = 0.0
    router = FairUseRouter(make_pipeline(VarianceThreshold(), GaussianNB()), GROUPS, cv=2)
    router = force(router.fit(X, y), ["decoupled"])
    _, bundle, nodes = export(router, X, tmp_path / "b.onnx")
    assert set(nodes) & SORTING
    agree(bundle, router, X, 1e-5)


def by_kind(encoder):
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (encoder, make_column_selector(dtype_exclude="number")),
    )


ONEHOT = OneHotEncoder(handle_unknown="ignore")
TEXTS = {
    "onehot": make_pipeline(by_kind(ONEHOT), LogisticRegression()),
    "infrequent": make_pipeline(
        by_kind(OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.3)),
        LogisticRegression(),
    ),
    "one infrequent": make_pipeline(
        by_kind(OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.2)),
        LogisticRegression(),
    ),
    "ordinal, scaled": make_pipeline(
        by_kind(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
        StandardScaler(),
        LogisticRegression(),
    ),
    "target": make_pipeline(by_kind(TargetEncoder(random_state=0)), LogisticRegression()),
    "scores": make_pipeline(by_kind(ONEHOT), RidgeClassifier()),
    "calibrated": CalibratedClassifierCV(
        make_pipeline(by_kind(ONEHOT), LogisticRegression()), cv=2
    ),
    "texts only": make_pipeline(
        make_column_transformer((ONEHOT, ["site", "team"])), LogisticRegression()
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_encoded_texts_add_to_the_scores_without_codes(tmp_path, name):
    X, y = make_rows(texts=True)
    X.loc[::9, "x0"] = np.nan
    router = router_of(TEXTS[name], X, y)
    strange = X.copy()
    strange.loc[::5, "site"] = "never seen"
    for precision, tolerance in (("fast", 1e-5), ("exact", 1e-12)):
        certificate, bundle, nodes = export(router, X, tmp_path / "b.onnx", precision=precision)
        assert not SORTING & set(nodes)
        assert certificate["label_flips"] == 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn tells of the unknown category
            agree(bundle, router, strange, tolerance)
        assert bundle.predict(X.head(0)).shape == (0,)


def test_texts_of_three_classes(tmp_path):
    X, y = make_rows(texts=True)
    router = router_of(TEXTS["onehot"], X, y + (X["site"] == "north"))
    _, bundle, nodes = export(router, X, tmp_path / "b.onnx")
    assert not SORTING & set(nodes)
    agree(bundle, router, X)


def test_a_category_that_raises_is_left_to_the_encoder(tmp_path):
    X, y = make_rows(texts=True)
    router = router_of(make_pipeline(by_kind(OneHotEncoder()), LogisticRegression()), X, y)
    _, bundle, nodes = export(router, X, tmp_path / "b.onnx")
    assert set(nodes) & SORTING
    X.loc[3, "site"] = "never seen"
    with pytest.raises(ValueError, match="holds a category that training did not"):
        bundle.predict(X)


@pytest.mark.parametrize("classes", [2, 3])
def test_nets_take_in_their_scalers_and_are_finished_together(tmp_path, classes):
    X, y = make_rows()
    y = y if classes == 2 else y + (X["x0"] > 1)
    net = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=60, random_state=0))
    router = router_of(net, X, y)
    _, bundle, nodes = export(router, X, tmp_path / "b.onnx")
    assert nodes.count("LinearClassifier" if classes == 2 else "Softmax") == 1
    assert not {"Div", "Scaler"} & set(nodes)
    agree(bundle, router, X)
    assert bundle.predict(X.head(0)).shape == (0,)


@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_modified_huber_loss_has_probabilities_of_its_own(tmp_path, classes, precision):
    X, y = make_rows()
    y = y if classes == 2 else np.digitize(X["x0"], [-0.5, 0.5])
    sgd = SGDClassifier(loss="modified_huber", alpha=0.01, random_state=0)
    router = router_of(make_pipeline(StandardScaler(), sgd), X, y)
    _, bundle, nodes = export(router, X, tmp_path / "b.onnx", precision=precision)
    assert not SORTING & set(nodes)
    far = pd.concat([X, X.assign(x1=30 * X["x1"])])  # so that no class has a chance, or one all
    proba = router.predict_proba(far)
    assert (proba == 1).any()
    assert classes == 2 or (proba == 1 / 3).any()
    agree(bundle, router, far, 1e-5 if precision == "fast" else 1e-12)


def test_what_a_net_does_not_read_it_does_not_feel(tmp_path):
    X, y = make_rows()
    X.insert(0, "unread", 1.0)
    read = make_column_transformer((StandardScaler(), ["x0", "x1"]))
    net = make_pipeline(read, MLPClassifier((5,), max_iter=60, random_state=0))
    router = router_of(net, X, y)
    _, bundle, _ = export(router, X, tmp_path / "b.onnx")
    X.loc[::3, "unread"] = np.nan
    agree(bundle, router, X)


@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=9
        ),
        TargetEncoder(random_state=0),
    ],
)
def test_a_missing_number_is_a_category_of_its_own(tmp_path, encoder, precision):
    """To ONNX Runtime no key of a LabelEncoder is NaN before opset 4 of ai.onnx.ml."""
    X, y = make_rows()
    X["rooms"] = np.random.default_rng(1).integers(0, 5, len(X)).astype(float)
    X.loc[::4, "rooms"] = np.nan
    y = np.where(X["rooms"].isna(), 1, y)  # to be missing says a lot
    columns = make_column_transformer((encoder, ["rooms"]), (StandardScaler(), ["x0"]))
    router = router_of(make_pipeline(columns, LogisticRegression()), X, y)
    certificate, bundle, _ = export(router, X, tmp_path / "r.onnx", precision=precision)
    assert certificate["label_flips"] == 0
    odd = X.assign(rooms=np.resize([np.nan, 2.0, 7.0, -1.0], len(X)))  # unknown numbers, too
    agree(bundle, router, odd)


def test_exact_bundles_tell_numbers_apart_that_float32_does_not(tmp_path):
    X, y = make_rows()
    X["day"] = np.resize([20240101, 20240103, 20240105], len(X))  # above 2**24
    y = np.where(X["day"] == 20240101, 1, y)
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((encoder, ["day"]), (StandardScaler(), ["x0"]))
    router = router_of(make_pipeline(columns, LogisticRegression()), X, y)
    _, bundle, _ = export(router, X, tmp_path / "r.onnx", precision="exact")
    agree(bundle, router, X.assign(day=np.resize([20240100, 20240101, 20240104], len(X))))
    assert len(bundle.predict(X[:0])) == 0


def test_a_category_that_one_group_never_had_is_named(tmp_path):
    X, y = make_rows()
    X["team"] = np.where(X["sex"] == "F", "a", np.resize(["a", "b"], len(X)))
    columns = make_column_transformer((OneHotEncoder(), ["team"]), (StandardScaler(), ["x0"]))
    router = router_of(make_pipeline(columns, LogisticRegression()), X, y)
    force(router, ("decoupled",))
    assert len(router.predict(X)) == len(X)
    with pytest.raises(ValueError, match=r"a category that its own group never had .* handle_unk"):
        export_bundle(router, tmp_path / "r.onnx", X)


def test_categories_of_one_text_are_refused(tmp_path):
    X, y = make_rows(texts=True)
    X["site"] = X["site"].astype(object)
    X.loc[::4, "site"] = None
    router = router_of(TEXTS["onehot"], X, y)
    with pytest.raises(ValueError, match="the categories '' and None, which a bundle cannot tell"):
        export(router, X, tmp_path / "b.onnx")


def test_sigmoids_far_off_keep_their_shares(tmp_path):
    X, y = make_rows()
    y = y + (X["x0"] > 1)
    sgd = SGDClassifier(loss="log_loss", random_state=0)
    router = router_of(make_pipeline(StandardScaler(), sgd), X, y)
    for precision in ("fast", "exact"):
        _, bundle, nodes = export(router, X, tmp_path / "b.onnx", precision=precision)
        assert not SORTING & set(nodes)
        far = X.assign(x0=10 * X["x0"], x1=100 - 10 * (X["x1"] - 100))
        agree(bundle, router, far, 1e-4 if precision == "fast" else 1e-12)


def test_nets_on_numbers_far_from_zero_take_them_from_their_middle(tmp_path):
    X, y = make_rows()
    X["x1"] += 1e4
    net = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=60, random_state=0))
    router = router_of(net, X, y)
    _, bundle, nodes = export(router, X, tmp_path / "b.onnx", precision="exact")
    assert "Sub" in nodes
    agree(bundle, router, X, 1e-11)


@pytest.mark.parametrize(
    "estimator", [MLPRegressor(hidden_layer_sizes=(4,), max_iter=60, random_state=0), Ridge()]
)
def test_regressions_behind_texts(tmp_path, estimator):
    X, y = make_rows(texts=True)
    target = y + X["x0"].to_numpy()
    pipeline = make_pipeline(by_kind(ONEHOT), estimator)
    router = router_of(pipeline, X, target, metric="squared_error")
    _, bundle, _ = export(router, X, tmp_path / "b.onnx")
    for asked in every_report(router, X):
        np.testing.assert_allclose(bundle.predict(asked), router.predict(asked), atol=1e-4)


def test_a_forest_of_two_classes_adds_up_one_sum(tmp_path):
    X, y = make_rows()
    for classes, sums in ((2, 1), (3, 3)):
        labels = y if classes == 2 else y + (X["x0"] > 1)
        router = router_of(RandomForestClassifier(6, random_state=0), X, labels)
        for precision in ("fast", "exact"):
            _, bundle, _ = export(router, X, tmp_path / "b.onnx", precision=precision)
            [trees] = [
                n for n in onnx.load(tmp_path / "b.onnx").graph.node if n.op_type.startswith("Tree")
            ]
            assert {a.i for a in trees.attribute if a.name == "n_targets"} == {sums}
            agree(bundle, router, X)
