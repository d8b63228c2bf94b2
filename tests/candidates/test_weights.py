"""Weights and clusters reach the models with their rows, and rows of weight zero do not count."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fairuse_router import FairUseRouter

# the solver is deterministic and quick on few rows
LOGISTIC = LogisticRegression(solver="newton-cholesky")


def router(estimator=LOGISTIC, groups=("sex", "age"), **settings):
    return FairUseRouter(estimator, list(groups), **{"cv": 3, "policy": "best", **settings})


class Recorder(ClassifierMixin, BaseEstimator):
    """A classifier that remembers the ids (first column) and weights of its training rows."""

    def fit(self, X, y, sample_weight=None):
        self.ids_ = np.asarray(X)[:, 0].astype(int)
        self.weight_ = sample_weight
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.repeat(self.classes_[0], len(X))

    def predict_proba(self, X):
        return np.tile([0.6, 0.4], (len(X), 1))


WEIGHTED = {
    "bare": (Recorder(), lambda m: m),
    "pipeline": (make_pipeline(FunctionTransformer(), Recorder()), lambda m: m[-1]),
    "voting": (VotingClassifier([("a", Recorder())]), lambda m: m.estimators_[0]),
    "pipelines": (make_pipeline(make_pipeline(Recorder())), lambda m: m[-1][-1]),
    "search": (
        GridSearchCV(make_pipeline(Recorder()), {}, cv=2),
        lambda m: m.best_estimator_[-1],
    ),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_reach_final_steps_with_their_rows(rows, name):
    estimator, final = WEIGHTED[name]
    weight = np.linspace(0.5, 2.0, len(rows.y))
    frame = rows.frame.assign(x=np.arange(len(rows.y)))
    fitted = router(estimator).fit(frame, rows.y, sample_weight=weight)
    for name, candidate in fitted.candidates_.items():
        seen = [final(model) for model in candidate.models]
        assert sum(len(model.ids_) for model in seen) == len(rows.y), name
        for model in seen:
            assert np.array_equal(model.weight_, weight[model.ids_])


def test_rows_of_weight_zero_do_not_matter_to_any_model(rows):
    weight = np.ones(len(rows.y))
    weight[::5] = 0
    kept = weight > 0
    estimator = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    weighted = router(estimator).fit(rows.frame, rows.y, sample_weight=weight)
    fewer = router(estimator).fit(rows.frame[kept], rows.y[kept])
    for name, candidate in fewer.candidates_.items():
        for mine, theirs in zip(weighted.candidates_[name].models, candidate.models, strict=True):
            np.testing.assert_allclose(mine.coef_, theirs.coef_, rtol=1e-5, atol=1e-8)


def test_a_group_of_weight_zero_has_no_model_of_its_own(rows):
    weight = np.where(rows.cells == "F/old", 0.0, 1.0)
    table = router().fit(rows.frame, rows.y, sample_weight=weight).routing_table_
    assert table.groups[0].candidate == "generic"
    assert table.groups[0].unavailable["decoupled"].startswith("0 rows to train on")


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (KNeighborsClassifier(), "KNeighborsClassifier takes none in fit"),
        (make_pipeline(StandardScaler(), KNeighborsClassifier()), "KNeighborsClassifier takes"),
        (CalibratedClassifierCV(make_pipeline(LOGISTIC)), "CalibratedClassifierCV does not hand"),
    ],
)
def test_weights_that_cannot_arrive_are_refused(rows, estimator, named):
    with pytest.raises(ValueError, match=f"sample_weight was passed, but {named}.*Leave") as error:
        router(estimator).fit(rows.frame, rows.y, sample_weight=np.ones(len(rows.y)))
    assert "metadata routing" in str(error.value)


def test_clusters_are_never_split(rows):
    clusters = np.random.default_rng(0).integers(0, 60, len(rows.y))
    frame = rows.frame.assign(x=np.arange(len(rows.y)))
    for cv in (3, 0.25, GroupKFold(4)):
        seen = train_and_judge(router(Recorder(), cv=cv), frame, rows.y, clusters=clusters)
        assert seen
        for training, judging in seen:
            assert not set(clusters[training]) & set(clusters[judging])


def train_and_judge(model, frame, y, **params):
    """Ids of training and of judged rows, for every model of every fold."""
    seen = []

    class Watched(Recorder):
        def predict(self, X):
            seen.append((self.ids_, np.asarray(X)[:, 0].astype(int)))
            return super().predict(X)

    model.set_params(estimator=Watched()).fit(frame, y, **params)
    return seen
