"""Precision: exact bundles never differ from the router, and fast ones say where they do."""

import warnings

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from forced import EVERY, every_report, force
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import CategoricalNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from fairuse_router import FairUseRouter
from fairuse_router.bundle import Bundle, export_bundle
from fairuse_router.bundle.families.columns import Column
from fairuse_router.bundle.families.limits import decimal_floor, largest_source, rounding_limit
from fairuse_router.bundle.families.linear import Head

GROUPS = ["sex", "age"]
WIDTH = 6


def make_rows(n, seed=0):
    """Numbers of two decimals on different scales, two group columns, noisy labels."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, WIDTH))
    numbers[:, 1] = numbers[:, 1] * 10 + 120
    X = pd.DataFrame(numbers.round(2), columns=[f"x{j}" for j in range(WIDTH)])
    X["sex"], X["age"] = rng.choice(["F", "M"], n), rng.choice(["old", "young"], n)
    margin = numbers[:, 0] + numbers[:, 2] * np.where(X["sex"].to_numpy() == "F", 1, -1)
    return X, (margin + rng.logistic(size=n) > 0).astype(int)


def router_of(estimator, n=400, classes=2):
    X, y = make_rows(n)
    if classes == 3:
        y = y + (X["x3"].to_numpy() > 0.8)
    router = FairUseRouter(estimator, GROUPS, cv=2, random_state=0).fit(X, y)
    return force(router, EVERY)


def labels_of(path, X, threads=1):
    """Labels from plain onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kind = {"tensor(double)": np.float64, "tensor(float)": np.float32}[session.get_inputs()[0].type]
    feed = {
        "X": X[[f"x{j}" for j in range(WIDTH)]].to_numpy(kind),
        "report": X[GROUPS].to_numpy(dtype=object),
    }
    return session.run(["label"], feed)[0]


FORESTS = {
    "20 full trees": RandomForestClassifier(20, random_state=0),
    "28 full trees": RandomForestClassifier(28, random_state=0),
    "30 full trees": ExtraTreesClassifier(30, random_state=0),
    "20 trees of impure leaves": RandomForestClassifier(20, min_samples_leaf=3, random_state=0),
    "behind a scaler": make_pipeline(
        StandardScaler(), RandomForestClassifier(12, min_samples_leaf=2, random_state=0)
    ),
}


@pytest.mark.parametrize("name", FORESTS)
def test_tied_votes_fall_as_in_scikit_learn(name, tmp_path):
    router = router_of(FORESTS[name])
    path = tmp_path / "r.onnx"
    export_bundle(router, path, make_rows(200)[0], precision="exact")
    X, _ = make_rows(20_000, seed=1)
    p = router.predict_proba(X)[:, 1]
    assert (np.abs(p - 0.5) < 1e-9).any()  # rows do tie
    for threads in (1, 2):
        np.testing.assert_array_equal(labels_of(path, X, threads), router.predict(X))
    np.testing.assert_array_equal(Bundle.load(path).predict_proba(X)[:, 1], p)


@pytest.mark.parametrize("leaf", [1, 4])
def test_ties_among_three_classes(leaf, tmp_path):
    forest = RandomForestClassifier(12, min_samples_leaf=leaf, random_state=0)
    router = router_of(forest, classes=3)
    X, _ = make_rows(10_000, seed=1)
    best = np.sort(router.predict_proba(X), axis=1)
    assert (best[:, 2] - best[:, 1] < 1e-9).any()
    certificate = export_bundle(router, tmp_path / "r.onnx", X[:500], precision="exact")
    assert certificate["label_flips"] == 0
    np.testing.assert_array_equal(labels_of(tmp_path / "r.onnx", X), router.predict(X))


@pytest.mark.parametrize("steps", [[], [MinMaxScaler()]], ids=["bare", "scaled"])
def test_two_decimals_through_histogram_boosting(steps, tmp_path):
    """With more than 255 distinct numbers, splits lie on the data; float32 moves rows past them."""
    boosting = HistGradientBoostingClassifier(max_iter=40, random_state=0)
    router = router_of(make_pipeline(*steps, boosting), n=4_000)
    X, _ = make_rows(20_000, seed=1)
    names = [f"x{j}" for j in range(WIDTH)]
    moved = X.assign(**{name: X[name].astype(np.float32).astype(float) for name in names})
    assert steps or (router.predict_proba(moved) != router.predict_proba(X)).any()
    export_bundle(router, tmp_path / "r.onnx", X[:500], precision="exact")
    np.testing.assert_array_equal(labels_of(tmp_path / "r.onnx", X), router.predict(X))
    found = Bundle.load(tmp_path / "r.onnx").predict_proba(X)
    np.testing.assert_allclose(found, router.predict_proba(X), rtol=0, atol=1e-14)


def test_gradient_boosting(tmp_path):
    X, _ = make_rows(20_000, seed=1)
    boosting = GradientBoostingClassifier(n_estimators=40, max_depth=4, random_state=0)
    router = router_of(boosting)
    export_bundle(router, tmp_path / "r.onnx", X[:500], precision="exact")
    np.testing.assert_array_equal(labels_of(tmp_path / "r.onnx", X), router.predict(X))


def test_rows_on_a_split_stay_on_their_side(tmp_path):
    """A threshold equal to a double of two decimals, which float32 would move past it."""
    router = router_of(DecisionTreeClassifier(max_depth=4, random_state=0))
    tree = router.candidates_["generic"].models[0].tree_
    j, threshold = int(tree.feature[0]), float(tree.threshold[0])
    X = make_rows(2, seed=1)[0].assign(sex="?", age="?")
    edge = rounding_limit(np.array([threshold]))[0]
    X[f"x{j}"] = [edge, np.nextafter(edge, np.inf)]
    left = router.candidates_["generic"].models[0].apply(X.drop(columns=GROUPS))
    assert left[0] != left[1]  # the two doubles are neighbours on both sides of the split
    export_bundle(router, tmp_path / "r.onnx", make_rows(200)[0], precision="exact")
    bundle = Bundle.load(tmp_path / "r.onnx")
    np.testing.assert_array_equal(bundle.predict_proba(X), router.predict_proba(X))


def on_the_boundary(router, n):
    """Withheld rows, a distance of 1e-12 to 1e-9 from generic's boundary."""
    rng = np.random.default_rng(2)
    X = make_rows(n, seed=1)[0].assign(sex="?", age="?")
    model = router.candidates_["generic"].models[0]
    numbers, w = X.drop(columns=GROUPS).to_numpy(copy=True), model.coef_[0]
    for _ in range(3):
        numbers -= np.outer((numbers @ w + model.intercept_[0]) / (w @ w), w)
    off = 10 ** rng.uniform(-11.5, -9, n) * rng.choice([-1, 1], n)
    numbers += np.outer(off / (w @ w), w)
    decision = numbers @ w + model.intercept_[0]
    assert (np.abs(decision) >= 1e-12).all()
    return X.assign(**{f"x{j}": numbers[:, j] for j in range(WIDTH)})


def test_rows_on_a_linear_boundary(tmp_path):
    router = router_of(LogisticRegression(max_iter=1000))
    X = on_the_boundary(router, 5_000)
    certificate = export_bundle(router, tmp_path / "exact.onnx", X, precision="exact")
    assert certificate["label_flips"] == 0
    assert certificate["max_difference"] <= 1e-12
    assert certificate["rounded"] == []
    np.testing.assert_array_equal(labels_of(tmp_path / "exact.onnx", X), router.predict(X))


def test_fast_names_what_rounding_changes(tmp_path):
    router = router_of(LogisticRegression(max_iter=1000))
    X = pd.concat([make_rows(4_000, seed=1)[0], on_the_boundary(router, 10)], ignore_index=True)
    with pytest.warns(UserWarning, match=r"labels differ .*candidates \['generic'\]"):
        certificate = export_bundle(router, tmp_path / "fast.onnx", X, precision="fast")
    flips = int((labels_of(tmp_path / "fast.onnx", X) != router.predict(X)).sum())
    assert flips > 0
    [named] = certificate["rounded"]
    assert named["candidate"] == "generic"
    assert named["label_flips"] == certificate["label_flips"] >= flips
    assert certificate["label_flips"] <= certificate["most_flips"] == 200
    assert certificate["precision"] == "fast"
    bundle = Bundle.load(tmp_path / "fast.onnx")
    assert bundle.certificate == certificate
    assert bundle.verify(X, router)["label_flips"] == certificate["label_flips"]
    with pytest.raises(ValueError, match="fails its verification"):
        bundle.verify(on_the_boundary(router, 2_000), router)


COARSE = {
    "seconds since 1970": (1.7e9, 30.0),
    "a code of nine digits": (1e8, 30.0),
    "small steps on a large base": (1e4, 1e-4),
}


MODELS = {
    "logistic": LogisticRegression(),
    "forest": RandomForestClassifier(8, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=8),
    "neighbours": KNeighborsClassifier(),
    "ridge": Ridge(),
}


OF_SECONDS = [("seconds since 1970", name) for name in MODELS]


@pytest.mark.parametrize(
    ("kind", "name"), [*OF_SECONDS, *((kind, "logistic") for kind in list(COARSE)[1:])]
)
def test_fast_is_never_written_with_more_labels_wrong_than_its_limit(kind, name, tmp_path):
    """Features of more digits than float32 holds."""
    base, spread = COARSE[kind]
    model, X = MODELS[name], make_rows(300)[0]
    signal = X["x0"].to_numpy().copy()
    X["x0"] = base + spread * signal
    y = signal if isinstance(model, Ridge) else (signal > 0).astype(int)
    settings = {"candidates": ("generic",), "policy": "best", "cv": 2, "random_state": 0}
    settings |= {"metric": "squared_error"} if isinstance(model, Ridge) else {}
    estimator = make_pipeline(StandardScaler(), model)
    router = FairUseRouter(estimator, GROUPS, **settings).fit(X, y)
    with pytest.raises(ValueError, match=r"more than the \d+ that .*precision='exact'"):
        export_bundle(router, tmp_path / "r.onnx", X)
    assert not (tmp_path / "r.onnx").exists()
    certificate = export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
    assert certificate.get("label_flips", 0) == certificate["most_flips"] == 0
    near = X.assign(x0=spread * signal)  # what the message advises
    router = FairUseRouter(estimator, GROUPS, **settings).fit(near, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        certificate = export_bundle(router, tmp_path / "r.onnx", near)
    assert certificate.get("label_flips", 0) <= certificate["most_flips"]


def test_what_double_precision_does_not_cure_is_refused(tmp_path, monkeypatch):
    from fairuse_router.bundle.families import fold

    right = fold.head_of

    def wrong(estimator, method):
        head = right(estimator, method)
        return Head(head.weights * 1.01, head.bias, head.finish)

    router = router_of(LogisticRegression(max_iter=1000))
    X, _ = make_rows(100)
    monkeypatch.setattr(fold, "head_of", wrong)
    for precision in ("fast", "exact"):
        with pytest.raises(ValueError, match="No file was written"):
            export_bundle(router, tmp_path / "r.onnx", X, precision=precision)
    assert not (tmp_path / "r.onnx").exists()


def test_exact_refuses_what_the_runtime_computes_in_float32(tmp_path):
    bins = KBinsDiscretizer(5, encode="ordinal", strategy="uniform")
    router = router_of(make_pipeline(bins, CategoricalNB(min_categories=5)), classes=3)
    X, _ = make_rows(100)
    with pytest.raises(ValueError, match=r"would not be exact: .*CategoricalNB.* precision='fast'"):
        export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
    assert export_bundle(router, tmp_path / "r.onnx", X, precision="fast")["label_flips"] == 0


@pytest.mark.parametrize("settings", [{}, {"decision_function_shape": "ovo"}, {"break_ties": True}])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_pairs_of_kernel_machines_vote_in_doubles(kernel, settings, tmp_path):
    X, y = make_rows(400)
    y = y + 2 * (X["x3"].to_numpy() > 0)  # four classes tie often
    svc = make_pipeline(StandardScaler(), SVC(kernel=kernel, C=0.1, **settings))
    router = force(FairUseRouter(svc, GROUPS, cv=2, random_state=0).fit(X, y), EVERY)
    rows, _ = make_rows(3000, seed=1)
    certificate = export_bundle(router, tmp_path / "r.onnx", rows, precision="exact")
    assert certificate["label_flips"] == 0
    assert certificate["max_difference"] <= 1e-12


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(
            StandardScaler(), MLPClassifier((5,), solver="lbfgs", alpha=1.0, random_state=0)
        ),
        GaussianNB(),
        make_pipeline(StandardScaler(), SVC()),
        make_pipeline(StandardScaler(), SVC(kernel="poly")),
        make_pipeline(StandardScaler(), SVC(kernel="sigmoid")),
        make_pipeline(StandardScaler(), SVC(kernel="linear")),
    ],
    ids=lambda e: str(e[-1]) if hasattr(e, "steps") else type(e).__name__,
)
def test_doubles_all_the_way(estimator, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        router = router_of(estimator)
    X, _ = make_rows(300, seed=1)
    certificate = export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
    assert certificate["max_difference"] <= 1e-12
    bundle = Bundle.load(tmp_path / "r.onnx")
    for asked in every_report(router, X):
        np.testing.assert_array_equal(bundle.predict(asked), router.predict(asked))


def test_missing_numbers_follow_their_imputed_value(tmp_path):
    X, y = make_rows(400)
    rng = np.random.default_rng(3)
    for name in ("x0", "x2"):
        X.loc[rng.random(len(X)) < 0.2, name] = np.nan
    for steps in ([StandardScaler()], [], [MinMaxScaler()]):
        forest = RandomForestClassifier(5, random_state=0)
        estimator = make_pipeline(SimpleImputer(add_indicator=True), *steps, forest)
        router = force(FairUseRouter(estimator, GROUPS, cv=2, random_state=0).fit(X, y), EVERY)
        certificate = export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
        assert certificate["max_difference"] == 0


def test_limits_are_the_last_numbers_that_go_left():
    rng = np.random.default_rng(0)
    thresholds = np.concatenate([rng.normal(size=500) * 10.0 ** rng.integers(-3, 6, 500), [0.0]])
    limit = rounding_limit(thresholds)
    with np.errstate(over="ignore"):
        assert (limit.astype(np.float32) <= thresholds).all()
        assert (np.nextafter(limit, np.inf).astype(np.float32) > thresholds).all()
    column = Column(0, (("sub", 120.3), ("div", 9.7), ("mul", 0.3), ("add", -1.0)))
    source = largest_source(column, thresholds)
    assert (column.apply(source) <= thresholds).all()
    assert (column.apply(np.nextafter(source, np.inf)) > thresholds).all()
    shown = np.round(rng.normal(size=1000), 2)
    split = np.sort(shown)[::7] + rng.choice([-1e-12, 0, 1e-12], len(shown[::7]))
    in_float = shown.astype(np.float32)[:, None] <= decimal_floor(split)
    np.testing.assert_array_equal(in_float, shown[:, None] <= split)
    numbers = rng.normal(size=2000)
    assert (numbers.astype(np.float32) <= decimal_floor(numbers)).all()


def test_data_that_float32_holds_stay_on_their_side_of_its_middles():
    rng = np.random.default_rng(0)
    low = (rng.normal(size=5000) * 10.0 ** rng.integers(-5, 6, 5000)).astype(np.float32)
    for high in (np.nextafter(low, np.float32(np.inf)), rng.permutation(low)):
        a, b = np.minimum(low, high), np.maximum(low, high)
        middle = decimal_floor((a.astype(np.float64) + b) / 2)
        assert (a <= middle).all()
        assert (middle[a < b] < b[a < b]).all()


@pytest.mark.parametrize("digits", [0, 2])
@pytest.mark.parametrize(
    "forest",
    [
        RandomForestClassifier(8, random_state=0),
        ExtraTreesClassifier(8, random_state=0),
        GradientBoostingClassifier(n_estimators=20, random_state=0),
    ],
    ids=lambda forest: type(forest).__name__,
)
def test_decimals_behind_a_scaler_stay_on_their_side_of_fast_trees(forest, digits, tmp_path):
    rows, y = make_rows(1200)
    X = rows.assign(**{name: (10 * rows[name]).round(digits) for name in rows if name[0] == "x"})
    router = FairUseRouter(make_pipeline(StandardScaler(), forest), GROUPS, cv=2, random_state=0)
    router = force(router.fit(X[:400], y[:400]), EVERY)  # the rest falls between thresholds
    certificate = export_bundle(router, tmp_path / "r.onnx", X)
    assert certificate["label_flips"] == 0
    assert certificate["max_difference"] < 1e-6


@pytest.mark.parametrize("kind", ["frame", "array"])
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=1000),
        GaussianNB(),
        RandomForestClassifier(8, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
        SVC(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_exact_bundles_of_routers_that_saw_float32_match_them_in_doubles(model, kind, tmp_path):
    X, y = make_rows(400)
    X = X.assign(sex=X["sex"] == "F", age=X["age"] == "old").astype(np.float32)
    groups = GROUPS if kind == "frame" else [X.columns.get_loc(name) for name in GROUPS]
    X = X if kind == "frame" else X.to_numpy()
    router = FairUseRouter(make_pipeline(StandardScaler(), model), groups, cv=2, random_state=0)
    router = force(router.fit(X[:300], y[:300]), EVERY)
    path = tmp_path / "r.onnx"
    assert export_bundle(router, path, X, precision="exact")["label_flips"] == 0
    bundle, doubles = Bundle.load(path), X.astype(np.float64)
    for table in (X, doubles):
        np.testing.assert_array_equal(bundle.predict(table), router.predict(doubles))
    assert bundle.verify(X, router)["label_flips"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # single precision may be told of
        certificate = export_bundle(router, path, X)
    assert certificate["label_flips"] == sum(m["label_flips"] for m in certificate["rounded"])


def test_boosting_on_neighbours_in_float32(tmp_path):
    X, y = make_rows(400)
    X["x0"] = (np.float32(112.8) + np.arange(400) % 8 * np.spacing(np.float32(112.8))).astype(float)
    y = (np.arange(400) % 8 % 2) ^ (X["sex"] == "F").to_numpy()
    boosting = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=2, random_state=0)
    router = force(FairUseRouter(boosting, GROUPS, cv=2, random_state=0).fit(X, y), EVERY)
    certificate = export_bundle(router, tmp_path / "r.onnx", X)
    assert certificate["label_flips"] == 0
    assert certificate["max_difference"] < 1e-6


def test_fast_boosting_keeps_data_that_are_thresholds_on_their_side(tmp_path):
    """Above 255 distinct numbers, histogram boosting splits at quantiles, which are data."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=600), "z": rng.normal(size=600)})
    y = (X["x"] + X["z"] + rng.normal(size=600) > 0).astype(int)
    X = X.assign(sex=np.take(["F", "M"], rng.integers(0, 2, 600)))
    boosting = HistGradientBoostingClassifier(max_iter=30, random_state=0)
    router = FairUseRouter(boosting, ["sex"], cv=2, random_state=0).fit(X, y)
    certificate = export_bundle(router, tmp_path / "r.onnx", X)
    assert certificate["label_flips"] == 0
    assert certificate["max_difference"] < 1e-5
