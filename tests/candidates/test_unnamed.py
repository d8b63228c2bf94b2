"""Linear models are given arrays of frames of numbers, and are the models that frames give."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_info

from fairuse_router import FairUseRouter
from fairuse_router.candidates.candidate import Candidate

ALL = ("generic", "onehot", "intersectional", "decoupled")


def rows(n=900, m=4, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=["b", "a", "c"])
    frame["c"] = rng.integers(0, 9, n)
    frame["g"] = [f"g{k}" for k in rng.integers(0, m, n)]
    own = rng.normal(size=m)[frame.g.str[1:].astype(int)]
    margin = frame.b + own * frame.a
    return frame, np.where(rng.random(n) < 1 / (1 + np.exp(-margin)), "yes", "no")


def fitted(frame, y, estimator=None, **more):
    given = {"candidates": ALL, "policy": "best", "cv": 2, "random_state": 0} | more
    return FairUseRouter(estimator or LogisticRegression(), ["g"], **given).fit(frame, y)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_models_of_groups_are_those_of_their_frames(kind):
    frame, y = rows()
    frame[["b", "a"]] = (10 * frame[["b", "a"]]).astype(kind)
    decoupled = fitted(frame, y).candidates_["decoupled"]
    for g, model in enumerate(decoupled.models):
        own = frame.g == f"g{g}"
        features = frame[["b", "a", "c"]]
        alone = LogisticRegression().fit(features[own], y[own])
        assert np.array_equal(model.coef_, alone.coef_)
        assert model.feature_names_in_.tolist() == ["b", "a", "c"]
        assert model.feature_names_in_.dtype == alone.feature_names_in_.dtype
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(model.predict_proba(features), alone.predict_proba(features))


def test_answers_are_those_of_each_model_asked_by_itself():
    frame, y = rows()
    decoupled = fitted(frame, y).candidates_["decoupled"]
    features, groups = frame[["b", "a", "c"]], frame.g.str[1:].astype(int).to_numpy()
    classes = np.array(["no", "yes"])
    for method in ("predict", "predict_proba"):
        found = decoupled.evaluate(features, groups, method, classes)
        for g, model in enumerate(decoupled.models):
            own = groups == g
            alone = getattr(model, method)(features[own])
            same = pytest.approx(alone, abs=1e-12) if method == "predict_proba" else alone
            assert np.all(found[own] == same)
    for other in (features[["a", "b", "c"]], features.rename(columns={"a": "A"})):
        with pytest.raises(ValueError, match="feature names"):
            decoupled.evaluate(other, groups, "predict", classes)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        decoupled.evaluate(features.to_numpy(), groups, "predict", classes)


def test_a_model_without_names_still_warns_of_frames():
    frame, y = rows()
    features = frame[["b", "a", "c"]]
    alone = LogisticRegression().fit(features.to_numpy(), y)
    two = Candidate("own", (alone, alone), np.array([0, 1]))
    with pytest.warns(UserWarning, match="fitted without feature names"):
        two.evaluate(features, np.arange(900) % 2, "predict", np.array(["no", "yes"]))


def test_many_dummies_are_fitted_as_a_dense_table_is():
    frame, y = rows(4000, m=60)
    model = fitted(frame, y).candidates_["intersectional"].models[0]
    names = sorted(frame.g.unique())
    dummies = pd.DataFrame(
        {f"g_{name}": (frame.g == name).astype(float) for name in names}, index=frame.index
    )
    table = pd.concat([frame[["b", "a", "c"]], dummies], axis=1)
    alone = LogisticRegression().fit(table, y)
    assert model.feature_names_in_.tolist()[:3] == ["b", "a", "c"]
    assert len(model.feature_names_in_) == model.n_features_in_ == 63
    order = [names.index(text.split("_")[-1]) for text in model.feature_names_in_[3:]]
    assert model.coef_[0, :3] == pytest.approx(alone.coef_[0, :3], abs=1e-9)
    assert model.coef_[0, 3:] == pytest.approx(alone.coef_[0, 3:][order], abs=1e-9)


def test_other_solvers_and_subclasses_are_given_what_they_were():
    frame, y = rows(4000, m=60)

    class Watched(LogisticRegression):
        seen = []  # noqa: RUF012

        def fit(self, X, y, sample_weight=None):
            self.seen.append(type(X))
            return super().fit(X, y, sample_weight)

    fitted(frame, y, Watched(), candidates=("generic", "intersectional", "decoupled"))
    assert set(Watched.seen) == {pd.DataFrame}
    seed = np.random.RandomState(0)  # each model starts from the same state
    own = fitted(frame, y, LogisticRegression(solver="saga", tol=0.1, random_state=seed))
    models = own.candidates_["decoupled"].models
    features, first = frame[["b", "a", "c"]], frame.g == "g0"
    alone = LogisticRegression(solver="saga", tol=0.1, random_state=np.random.RandomState(0))
    alone.fit(features[first], y[first])
    assert np.array_equal(models[0].coef_, alone.coef_)
    assert len({id(model.random_state) for model in models}) == len(models)


def test_arrays_polars_and_pandas_give_the_same_router():
    frame, y = rows()
    values = frame[["b", "a", "c"]].to_numpy()
    codes = frame.g.str[1:].astype(float).to_numpy()
    array = FairUseRouter(
        LogisticRegression(), [3], candidates=ALL, policy="best", cv=2, random_state=0
    ).fit(np.column_stack([values, codes]), y)
    of_polars = fitted(pl.from_pandas(frame), y)
    wanted = fitted(frame, y).predict_proba(frame)
    assert of_polars.predict_proba(pl.from_pandas(frame)) == pytest.approx(wanted, abs=1e-12)
    assert array.predict_proba(np.column_stack([values, codes])) == pytest.approx(wanted, abs=1e-12)


def test_regressions_of_groups_with_weights():
    frame, _ = rows()
    y, weight = frame.b + frame.a.to_numpy(), np.arange(900) % 3 + 1.0
    router = FairUseRouter(
        Ridge(), ["g"], candidates=("generic", "decoupled"), policy="best", metric="squared_error"
    ).fit(frame, y, sample_weight=weight)
    for g, model in enumerate(router.candidates_["decoupled"].models):
        own = frame.g == f"g{g}"
        alone = Ridge().fit(frame.loc[own, ["b", "a", "c"]], y[own], sample_weight=weight[own])
        assert model.coef_ == pytest.approx(alone.coef_, abs=1e-12)


def test_settings_that_are_none_are_refused_as_ever():
    frame, y = rows()
    with pytest.raises(ValueError, match="'C' parameter of LogisticRegression must be"):
        fitted(frame, y, LogisticRegression(C=-1.0))


def test_models_of_groups_are_fitted_in_one_thread_of_blas():
    frame, y = rows()
    before = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]

    class Asking(LogisticRegression):
        threads = []  # noqa: RUF012

        def fit(self, X, y, sample_weight=None):
            pools = [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]
            self.threads.append((len(X), max(pools, default=1)))
            return super().fit(X, y, sample_weight)

    fitted(frame, y, Asking(), candidates=("generic", "decoupled"))
    assert all(threads == 1 for n, threads in Asking.threads if n < 400)
    assert [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()] == before
