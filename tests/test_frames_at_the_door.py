"""Rows and estimators as callers bring them: taken as they are meant, or refused by name."""

import json
import warnings
from typing import ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM

from fairuse_router import Bundle, FairUseRouter, audit_predictions, export_bundle, tables
from fairuse_router.arguments import check_names_are_known

N = 200
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "x": RNG.normal(size=N).round(2),
        "t": RNG.choice(["a", "b"], N),
        "sex": np.tile(["F", "M"], N // 2),
    }
)
Y = (FRAME["x"] * np.where(FRAME["sex"] == "F", 1, -1) > 0).astype(int).to_numpy()
BOTH = make_pipeline(
    make_column_transformer(
        ("passthrough", make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    ),
    LogisticRegression(solver="newton-cholesky"),
)
NUMBERS = make_pipeline(
    make_column_transformer(("passthrough", ["x"])), LogisticRegression(solver="newton-cholesky")
)


def fit(X, estimator=NUMBERS, groups=("sex",), **settings):
    settings = {"policy": "best", "cv": 2, "random_state": 0, **settings}
    return FairUseRouter(clone(estimator), list(groups), **settings).fit(X, Y)


PLAIN = fit(FRAME)
FRAMES = {
    "arrow dictionary": FRAME.astype(
        {"sex": pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())), "x": "double[pyarrow]"}
    ),
    "arrow strings": FRAME.astype({"sex": "string[pyarrow]"}),
    "sparse": FRAME.assign(x=pd.arrays.SparseArray(FRAME["x"].to_numpy())),
    "longdouble": FRAME.assign(x=FRAME["x"].to_numpy().astype(np.longdouble)),
    "lists aside": FRAME.assign(t=[[1, 2]] * N),
    "dates aside": FRAME.assign(t=pd.date_range("2024-01-01", periods=N)),
    "polars": pl.from_pandas(FRAME),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_of_every_kind_are_read_alike(kind):
    router = fit(FRAMES[kind])
    assert router.schema_.levels == (("F", "M"),)
    assert (router.predict(FRAMES[kind]) == PLAIN.predict(FRAME)).all()
    assert [g.candidate for g in router.routing_table_.groups] == ["decoupled"] * 2


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_arrays_of_every_kind_are_read_alike():
    array = np.column_stack([FRAME["x"].round(1), np.arange(N) % 2])
    expected = FairUseRouter(GaussianNB(), [1], policy="best", cv=2).fit(array, Y).predict(array)
    for other in (
        np.asmatrix(array),
        array.astype(np.longdouble),
        np.ma.masked_array(array, mask=False),
    ):
        router = FairUseRouter(GaussianNB(), [1], policy="best", cv=2).fit(other, Y)
        assert (router.predict(other) == expected).all()
    FairUseRouter(GaussianNB(), [1], cv=2).fit(array.astype(np.float16), Y)
    silent = np.ma.masked_array(array, mask=np.arange(N * 2).reshape(N, 2) % 2 == 1)
    router = FairUseRouter(GaussianNB(), [1], policy="best", cv=2).fit(array, Y)
    assert set(router.route(silent).candidate) == {"generic"}


def test_frames_whose_names_are_integers_keep_their_kinds(tmp_path):
    X = FRAME.set_axis([0, 1, 2], axis=1)
    router = fit(X, BOTH, [2])
    named = fit(FRAME, BOTH)
    assert (router.predict(X) == named.predict(FRAME)).all()
    export_bundle(router, tmp_path / "r.onnx", X)
    assert (Bundle.load(tmp_path / "r.onnx").predict(X) == router.predict(X)).all()


def test_dates_that_the_estimator_encodes(tmp_path):
    X = FRAME.assign(t=pd.Series(pd.to_datetime(RNG.choice(["2024-01-01", "2024-02-01"], N))))
    router = fit(X, BOTH)
    assert (router.predict(X) == router.predict(X)).all()


def test_rows_as_json_holds_them(tmp_path):
    router = fit(FRAME, BOTH)
    export_bundle(router, tmp_path / "r.onnx", FRAME)
    bundle = Bundle.load(tmp_path / "r.onnx")
    rows = json.loads(FRAME.head(20).to_json(orient="records"))
    backwards = [dict(reversed(row.items())) for row in rows]
    for asked in (rows, backwards, tuple(rows)):
        assert (router.predict(asked) == router.predict(FRAME.head(20))).all()
        assert (bundle.predict(asked) == router.predict(FRAME.head(20))).all()
    assert str(router.explain(rows[:2])) == str(router.explain(FRAME.head(2)))
    silent = [{k: v for k, v in row.items() if k != "sex"} for row in rows]
    null = [{**row, "sex": None} for row in rows]
    for asked in (silent, null):
        assert set(router.route(asked).candidate) == {"generic"}
        assert set(bundle.route(asked).candidate) == {"generic"}
    for wrong in ([{"x": 1.0}], [{**rows[0], "more": 1}], [rows[0], {}]):
        for answer in (router.predict, bundle.predict):
            with pytest.raises(ValueError, match="X has other columns than the training data in"):
                answer(wrong)


@pytest.mark.parametrize("convert", [lambda X: X, pl.from_pandas])
def test_a_frame_without_a_group_column_withholds_it(convert, tmp_path):
    X = FRAME[["sex", "x"]]
    router = fit(X)
    export_bundle(router, tmp_path / "r.onnx", X)
    bundle = Bundle.load(tmp_path / "r.onnx")
    silent, told = convert(X[["x"]]), X.assign(sex="?")
    for model in (router, bundle):
        assert set(model.route(silent).candidate) == {"generic"}
        assert (model.predict(silent) == model.predict(told)).all()
    with pytest.raises(ValueError, match="x"):
        router.predict(convert(X[["sex"]]))
    with pytest.raises(ValueError, match=r"names|columns"):
        router.predict(X.rename(columns={"sex": "Sex"}))


# estimators


class Survival(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def predict_survival_function(self, X):
        return None


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (KMeans(2), "KMeans is a clusterer"),
        (make_pipeline(StandardScaler(), KMeans(2)), "KMeans is a clusterer"),
        (IsolationForest(), "IsolationForest is an outlier detector"),
        (OneClassSVM(), "OneClassSVM is an outlier detector"),
        (LocalOutlierFactor(novelty=True), "LocalOutlierFactor is an outlier detector"),
        (GaussianMixture(2), "GaussianMixture is a density estimator"),
        (StandardScaler(), "StandardScaler is without predict"),
        (Survival(), "Survival is a survival model"),
        (make_pipeline(StandardScaler(), Survival()), "Survival is a survival model"),
    ],
)
def test_what_learns_no_labels_is_refused_by_name(estimator, words):
    with pytest.raises(TypeError, match=words):
        fit(FRAME[["x", "sex"]], estimator)


class Oversampler(BaseEstimator):
    """Repeats rows of the rarer class, or makes up rows between two, as imbalanced-learn does."""

    def __init__(self, invent=False):
        self.invent = invent

    def fit_resample(self, X, y):
        labels, counts = np.unique(y, return_counts=True)
        rare = np.flatnonzero(y == labels[counts.argmin()])
        more = np.resize(rare, counts.max() - counts.min())
        rows = np.concatenate([np.arange(len(y)), more])
        if not self.invent:
            self.sample_indices_ = rows
            return X[rows], y[rows]
        between = 0.7 * X[more] + 0.3 * X[np.resize(rare[::-1], len(more))]
        return np.concatenate([X, between]), y[rows]


class Sampled(Pipeline):
    """A pipeline whose steps may resample the training rows."""

    def fit(self, X, y):
        for _, step in self.steps[:-1]:
            if hasattr(step, "fit_resample"):
                X, y = step.fit_resample(X, y)
            else:
                X = step.fit_transform(X, y)
        self.steps[-1][1].fit(X, y)
        return self

    @property
    def classes_(self):
        return self.steps[-1][1].classes_

    def predict(self, X):
        for _, step in self.steps[:-1]:
            X = X if hasattr(step, "fit_resample") else step.transform(X)
        return self.steps[-1][1].predict(X)

    def predict_proba(self, X):
        for _, step in self.steps[:-1]:
            X = X if hasattr(step, "fit_resample") else step.transform(X)
        return self.steps[-1][1].predict_proba(X)


class Widths(GaussianNB):
    seen: ClassVar[dict] = {}

    def fit(self, X, y):
        last = np.unique(X[:, 2:])
        Widths.seen.setdefault(X.shape[1], []).append((np.mean(y), last))
        return super().fit(X, y)


@pytest.mark.parametrize("invent", [False, True])
def test_samplers_in_a_pipeline_see_training_rows_only(invent):
    X = np.column_stack([RNG.normal(size=(300, 2)), np.arange(300) % 2])
    y = (X[:, 0] + RNG.normal(size=300) > 1).astype(int)
    Widths.seen = {}
    steps = [("scale", StandardScaler()), ("over", Oversampler(invent)), ("nb", Widths())]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        router = FairUseRouter(Sampled(steps), [2], cv=2, min_group_size=5, policy="best").fit(X, y)
    assert {"generic", "onehot", "intersectional", "decoupled"} == set(router.candidates_)
    assert all(share == 0.5 for found in Widths.seen.values() for share, _ in found)
    assert all(set(last) <= {0.0, 1.0} for _, last in Widths.seen[4])
    assert len(router.predict(X)) == 300


# audits of anybody's predictions


def test_groups_in_every_container_are_the_same_groups():
    band = pd.cut(pd.Series(RNG.uniform(18, 90, N), name="age"), [17, 30, 100])
    band = band.cat.rename_categories(["under 30", "30+"])
    given = {"generic": Y, "b": 1 - Y}
    for groups in (band, band.to_frame()):
        audit = audit_predictions(Y, given, groups, n_resamples=20)
        assert [r.group for r in audit.rationality] == ["under 30", "30+"]
    audits = [
        audit_predictions(Y, given, groups, n_resamples=20)
        for groups in (FRAME["sex"], {"sex": FRAME["sex"].to_numpy()}, FRAME[["sex"]])
    ]
    assert audits[0] == audits[1] == audits[2]
    with pytest.raises(ValueError, match="'age' has more than"):
        audit_predictions(Y, given, pd.Series(RNG.uniform(size=N), name="age"))
    with pytest.raises(ValueError, match="y has no rows"):
        audit_predictions(Y[:0], {"generic": Y[:0], "b": Y[:0]}, FRAME["sex"][:0], classes=[0, 1])
    p = RNG.uniform(size=N)
    objects = audit_predictions(Y, {"generic": p.astype(object), "b": Y}, FRAME["sex"])
    assert objects == audit_predictions(Y, {"generic": p, "b": Y}, FRAME["sex"])


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("texts", [False, True])
def test_all_columns_read_at_once_are_those_read_one_by_one(make, texts):
    cells = {"x": np.array([1.5, 2.0]), "n": np.array([3, 4]), "b": np.array([True, False])}
    if texts:
        cells["t"] = np.array(["a", "b"], dtype=object)
    frame = make(cells)
    read = list(tables.columns(frame))
    assert len(read) == len(cells)
    for j, column in enumerate(read):
        assert list(column.values) == list(tables.column(frame, j).values)


def test_frames_of_unread_names_are_refused():
    check_names_are_known(fit(FRAME), FRAME)
    check_names_are_known(object(), FRAME.to_numpy())
    with pytest.raises(ValueError, match=r"pandas DataFrame.*cannot read.*X\.to_pandas\(\)"):
        check_names_are_known(object(), FRAME)
