"""Estimators of other packages: told their columns by name or type, copying what they are given,
answering in columns, resampling the training rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairuse_router import FairUseRouter
from fairuse_router.candidates.injection import inject
from fairuse_router.candidates.pruning import prune

RNG = np.random.default_rng(0)
N = 300
FRAME = pd.DataFrame(
    {"x1": RNG.normal(size=N), "sex": np.tile(["F", "M"], N // 2), "x2": RNG.normal(size=N)}
)
Y = ((FRAME["sex"] == "F") ^ (RNG.uniform(size=N) < 0.1)).astype(int).to_numpy()  # sex is all
ONEHOT = {"candidates": ("generic", "onehot"), "policy": "best", "cv": 2, "random_state": 0}


def accuracy(estimator, X=FRAME, groups=("sex",), y=Y, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        router = FairUseRouter(estimator, list(groups), **{**ONEHOT, **settings})
        with np.errstate(all="ignore"):
            return router.fit(X, y).score(X, y)


# told by name
class Named(ClassifierMixin, BaseEstimator):
    """Reads the columns that it was told of, as explainable boosting does."""

    def __init__(self, feature_names=None, feature_types=None, columns=None, exclude=None):
        self.feature_names = feature_names
        self.feature_types = feature_types
        self.columns = columns
        self.exclude = exclude

    def _read(self, X):
        if self.columns is not None:
            by_name = all(isinstance(c, str) for c in self.columns)
            return X[self.columns] if by_name else np.asarray(X)[:, self.columns]
        if isinstance(X, pd.DataFrame) and set(self.feature_names or ()) <= set(X.columns):
            return X if self.feature_names is None else X[list(self.feature_names)]
        return X

    def fit(self, X, y):
        width = np.shape(self._read(X))[1]
        for told in (self.feature_names, self.feature_types):
            if told is not None and len(told) != width:
                raise ValueError(f"{len(told)} names or types for {width} columns")
        self.model_ = LogisticRegression().fit(self._read(X), y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(self._read(X))

    def predict_proba(self, X):
        return self.model_.predict_proba(self._read(X))


TOLD = {
    "nothing": {},
    "names": {"feature_names": ["x1", "x2"]},
    "one name": {"feature_names": ["x2"]},
    "a tuple": {"feature_names": ("x1", "x2")},
    "an array": {"feature_names": np.array(["x1", "x2"])},
    "types": {"feature_types": ["continuous", "nominal"]},
    "both": {"feature_names": ["x1", "x2"], "feature_types": [None, "continuous"]},
    "columns": {"columns": ["x1", "x2"]},
    "places": {"columns": [0, 2]},
    # written for X with its group column
    "all names": {"feature_names": ["x1", "sex", "x2"]},
    "all types": {"feature_types": ["continuous", "nominal", "continuous"]},
    "all columns": {"columns": ["sex", "x2"]},
    "all places": {"columns": [0, 1, 2]},
    "names of one's own": {"feature_names": ["dose", "sex of the person", "age"]},
}


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.filterwarnings("default:Group columns were removed")
def test_dummies_reach_a_final_step_that_is_told_its_columns(told):
    estimator = Named(**TOLD[told])
    for given in (estimator, make_pipeline("passthrough", estimator)):
        with pytest.warns() if "all" in told and "types" not in told else warnings.catch_warnings():
            router = FairUseRouter(given, ["sex"], **ONEHOT).fit(FRAME, Y)
        assert router.score(FRAME, Y) > 0.85, told


def test_dummies_reach_it_in_an_array_and_under_a_search():
    X = FRAME.assign(sex=(FRAME["sex"] == "F").astype(float)).to_numpy()
    for names in (["x1", "x2"], ["x1", "sex", "x2"]):
        assert accuracy(Named(feature_names=names), X, [1]) > 0.85
    grid = GridSearchCV(Named(), {"feature_names": [["x1", "x2"], ["x2"]]}, cv=2)
    assert accuracy(grid) > 0.85


def test_pairs_of_columns_are_renumbered_or_left_out():
    columns = ["x1", "sex", "x2"]
    told = Named(exclude=[(0, 2), (1, 2), 2, ("x1", "x2"), ("sex", "x1")])
    with pytest.warns(UserWarning, match=r"\(1, 2\), \('sex', 'x1'\)\] of Named\(exclude"):
        pruned = prune(told, columns, 3, [1])
    assert pruned.exclude == [(0, 1), 1, ("x1", "x2")]
    assert inject(pruned, 2).exclude == pruned.exclude


def test_explainable_boosting():
    glassbox = pytest.importorskip("interpret.glassbox", reason="interpret is not installed")
    quick = {"interactions": 0, "outer_bags": 1, "max_rounds": 20, "n_jobs": 1, "random_state": 0}
    for told in (
        {},
        {"feature_names": ["x1", "x2"]},
        {"feature_types": ["continuous"] * 2},
        {"feature_names": ["x1", "sex", "x2"], "feature_types": ["continuous", "nominal", "auto"]},
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, and that sex was removed
            boosting = glassbox.ExplainableBoostingClassifier(**told, **quick)
            router = FairUseRouter(boosting, ["sex"], **ONEHOT).fit(FRAME, Y)
        assert router.score(FRAME, Y) > 0.85, told


# copying, and answering in columns
class Copying(ClassifierMixin, BaseEstimator):
    """Copies lists that it is given, and answers labels in a column, as CatBoost does."""

    def __init__(self, cat_features=None):
        self.cat_features = None if cat_features is None else list(cat_features)

    def _numbers(self, X):
        X = pd.DataFrame(np.asarray(X, dtype=object), columns=getattr(X, "columns", None))
        codes = {c: pd.factorize(X[c], sort=True)[0] for c in self.cat_features or ()}
        return X.assign(**codes).to_numpy(float)

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(self._numbers(X), y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(self._numbers(X))[:, None]

    def predict_proba(self, X):
        return self.model_.predict_proba(self._numbers(X))


@pytest.mark.parametrize("labels", [(0, 1), ("no", "yes"), (False, True)])
@pytest.mark.parametrize("cat_features", [None, ["ward"], ["ward", "sex"]])
def test_an_estimator_that_copies_its_lists_and_answers_in_a_column(labels, cat_features):
    y, X = np.array(labels)[Y], FRAME
    if cat_features is not None:
        X = FRAME.assign(ward=np.resize(["a", "b", "c"], N))
        with pytest.raises(RuntimeError, match="Cannot clone"):
            clone(Copying(cat_features))
    for estimator in (Copying(cat_features), make_pipeline("passthrough", Copying(cat_features))):
        router = FairUseRouter(estimator, ["sex"], **{**ONEHOT, "policy": "priced"}).fit(X, y)
        assert router.predict(X).shape == (N,)
        assert router.predict(X).dtype == y.dtype
        assert router.score(X, y) > 0.85
        assert router.audit(X, y).rationality


class Column(LinearRegression):
    def predict(self, X):
        return super().predict(X)[:, None]


def test_a_regressor_that_answers_in_a_column():
    settings = {**ONEHOT, "metric": "squared_error"}
    router = FairUseRouter(Column(), ["sex"], **settings).fit(FRAME, Y.astype(float))
    plain = FairUseRouter(LinearRegression(), ["sex"], **settings).fit(FRAME, Y.astype(float))
    np.testing.assert_array_equal(router.predict(FRAME), plain.predict(FRAME))


# parameters of fit
@pytest.mark.parametrize("given", ["eval_set", "callbacks", "init_model", "logistic__eval_set"])
def test_parameters_of_an_estimators_own_fit_are_refused_in_words(given):
    router = FairUseRouter(LogisticRegression(), ["sex"])
    with pytest.raises(TypeError, match=f"fit takes no {given}: .*cv='prefit'"):
        router.fit(FRAME, Y, **{given: [(FRAME, Y)]})
    with pytest.raises(TypeError, match="fit takes no eval_set"):
        make_pipeline(router).fit(FRAME, Y, fairuserouter__eval_set=[(FRAME, Y)])


# samplers of training rows
SAMPLERS = ["RandomOverSampler", "SMOTE", "RandomUnderSampler", "EditedNearestNeighbours"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_of_imbalanced_learn(name):
    imblearn = pytest.importorskip("imblearn", reason="imbalanced-learn is not installed")
    from imblearn.pipeline import make_pipeline as sampling

    where = imblearn.over_sampling if "O" in name else imblearn.under_sampling
    sampler = getattr(where, name)()
    if "random_state" in sampler.get_params():
        sampler.set_params(random_state=0)
    y = Y * (RNG.uniform(size=N) < 0.6)
    estimator = sampling(StandardScaler(), sampler, LogisticRegression())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        router = FairUseRouter(estimator, ["sex"], cv=2, policy="best", random_state=0)
        router.fit(FRAME, y)
    assert {"generic", "onehot", "intersectional", "decoupled"} == set(router.candidates_)
    onehot = router.candidates_["onehot"].models[0]
    assert onehot[-1].n_features_in_ == 4
    assert router.score(FRAME, y) > 0.7
