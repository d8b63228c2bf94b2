"""Answers of models: labels are classes, probabilities are probabilities, or nobody is served."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter, audit_predictions
from fairuse_router.metrics import Predictions

RNG = np.random.default_rng(0)
N = 240
X = np.column_stack([RNG.normal(size=(N, 3)), np.arange(N) % 2])
HIGH = X[:, 0] + 0.3 * RNG.normal(size=N) > 0


class Liar(ClassifierMixin, BaseEstimator):
    """Answers oddly where it is told a group; `how` changes labels, `chance` probabilities."""

    def __init__(self, how=None, chance=None, always=False):
        self.how, self.chance, self.always = how, chance, always

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.model_ = LogisticRegression().fit(X, y)
        self.odd_ = X.shape[1] > 3 or self.always
        return self

    def predict(self, X):
        label = self.model_.predict(X)
        return self.how(label) if self.odd_ and self.how is not None else label


class Chances(Liar):
    def predict_proba(self, X):
        proba = self.model_.predict_proba(X)
        return self.chance(proba) if self.odd_ and self.chance is not None else proba


ODD_LABELS = {
    "encoded": lambda y: y - 1,
    "between": lambda y: np.where(y == 3, 2, y),
    "beyond": lambda y: y + 2,
    "fractions": lambda y: y + 0.4,
    "nan": lambda y: np.full(len(y), np.nan),
    "one nan": lambda y: np.where(np.arange(len(y)) == 3, np.nan, y),
    "none": lambda y: np.array([None] * len(y), dtype=object),
    "words": lambda y: np.where(y == 3, "three", "one"),
    "infinite": lambda y: np.where(y == 3, np.inf, y),
}


def fit(estimator, y, **settings):
    settings = {"candidates": ("generic", "onehot"), "policy": "best", "cv": 2, **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FairUseRouter(estimator, [3], **settings).fit(X, y)


@pytest.mark.parametrize("how", ODD_LABELS)
def test_labels_that_are_no_class_make_the_candidate_unavailable(how):
    router = fit(Liar(ODD_LABELS[how]), np.where(HIGH, 3, 1))
    for record in router.routing_table_.groups:
        assert record.candidate == "generic"
        words = "NaN" if "nan" in how else "none of the classes [1, 3]"
        assert words in record.unavailable["onehot"]
        assert record.risks["onehot"] is None


def test_labels_of_other_types_are_the_same_labels():
    for how in (lambda y: y.astype(float), lambda y: y.astype(object), lambda y: y[:, None]):
        router = fit(Liar(how), np.where(HIGH, 3, 1))
        assert router.routing_table_.groups[0].unavailable == {}
        assert set(router.predict(X)) == {1, 3}
    for y in (np.where(HIGH, "yes", "no"), HIGH, np.where(HIGH, "yes", "no").astype(object)):
        assert fit(Liar(), y).routing_table_.groups[0].unavailable == {}
    router = fit(Liar(lambda y: np.char.add(y, "x")), np.where(HIGH, "yes", "no"))
    assert "'yesx'" in router.routing_table_.groups[0].unavailable["onehot"]


def test_a_generic_that_answers_no_class_is_an_error():
    with pytest.raises(ValueError, match="none of the classes"):
        fit(Liar(ODD_LABELS["encoded"], always=True), np.where(HIGH, 3, 1))


ODD_CHANCES = {
    "sum": (lambda p: p * 0.6, "do not sum to one"),
    "above": (lambda p: np.column_stack([-p[:, 0], 1 + p[:, 0]]), r"lie outside \[0, 1\]"),
    "margins": (lambda p: np.log(p), r"lie outside \[0, 1\]"),
    "percent": (lambda p: 100 * p, r"lie outside \[0, 1\]"),
}


@pytest.mark.parametrize("how", ODD_CHANCES)
def test_what_is_no_probability_is_refused(how):
    odd, words = ODD_CHANCES[how]
    y = HIGH.astype(int)
    with pytest.raises(ValueError, match=f"candidate 'generic'.*{words}"):
        fit(Chances(chance=odd, always=True), y, metric="log_loss")
    models = {
        "generic": Chances().fit(X[:, :3], y),
        "mine": Chances(chance=odd).fit(X, y),
    }
    with pytest.raises(ValueError, match=f"candidate 'mine'.*{words}"):
        fit(None, y, cv="prefit", candidates=models, metric="log_loss")
    router = fit(Chances(chance=odd), y, metric="log_loss")
    assert "candidate 'onehot'" in router.routing_table_.groups[0].unavailable["onehot"]
    good = LogisticRegression().fit(X, y).predict_proba(X)
    for bad in (odd(good), Predictions(good.argmax(axis=1), odd(good))):
        with pytest.raises(ValueError, match=r"predictions\['b'\].*(probabilities)"):
            audit_predictions(y, {"generic": good, "b": bad}, X[:, 3], metrics="log_loss")


def test_nan_makes_a_fitted_candidate_unavailable():
    y = HIGH.astype(int)
    generic = Chances().fit(X[:, :3], y)
    for odd in (
        Chances(chance=lambda p: np.where(np.arange(len(p))[:, None] == 5, np.nan, p)),
        Chances(how=lambda y: y - 1),
    ):
        models = {"generic": generic, "mine": odd.fit(X, y)}
        router = fit(None, y, cv="prefit", candidates=models, metric="log_loss")
        reasons = [record.unavailable["mine"] for record in router.routing_table_.groups]
        assert all("rows by NaN" in r or "none of the classes" in r for r in reasons)
        assert set(router.route(X).candidate) == {"generic"}


def test_rounded_probabilities_are_probabilities():
    y = HIGH.astype(int)
    for kind in (lambda p: p.astype(np.float32), lambda p: p.round(4), lambda p: p.astype("f2")):
        router = fit(Chances(chance=kind, always=True), y, metric="log_loss")
        assert router.routing_table_.groups[0].unavailable == {}
