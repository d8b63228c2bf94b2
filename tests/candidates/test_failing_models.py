"""What cannot be had is left out, and said: a model that fails takes no other one down."""

import re
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from fairuse_router import FairUseRouter


def router(estimator=None, groups=("sex", "age"), **settings):
    estimator = GaussianNB() if estimator is None else estimator
    return FairUseRouter(estimator, groups, **{"cv": 2, "policy": "best", **settings})


def test_no_group_with_enough_rows_is_served_by_generic(rows):
    text = "No group has min_group_size=81 rows (the largest has 80): generic serves every "
    text += "group that no coarser report serves"
    with pytest.warns(UserWarning, match=re.escape(text)) as caught:
        fitted = router(min_group_size=81).fit(rows.frame, rows.y)
    assert [str(w.message) for w in caught] == [f"{text}."]
    assert caught[0].filename == __file__
    assert set(fitted.route(rows.frame).candidate) == {"generic"}
    alone = GaussianNB().fit(rows.frame[["x", "z"]], rows.y)
    assert np.array_equal(
        fitted.predict_proba(rows.frame), alone.predict_proba(rows.frame[["x", "z"]])
    )
    for record in fitted.routing_table_.groups:
        assert "min_group_size is 81" in record.reason
        assert "min_group_size is 81" in record.unavailable["decoupled"]


class Touchy(GaussianNB):
    """Refuses training rows whose share of a marker in the last column is too high."""

    def fit(self, X, y, sample_weight=None):
        marked = np.asarray(X, dtype=float)[:, 1].mean()
        if marked > 0.9:
            raise RuntimeError("cannot stand the marker\nand a second line")
        return super().fit(X, y, sample_weight)


def test_a_model_that_fails_for_one_group_leaves_the_others_alone(rows):
    own = rows.cells == "F/young"
    frame = rows.frame.assign(z=own.astype(float) + 1e-3 * rows.frame["z"])
    touchy = router(Touchy()).fit(frame, rows.y)
    plain = router(GaussianNB()).fit(frame, rows.y)
    table, expected = touchy.routing_table_, plain.routing_table_
    assert table.groups[1].report == ("F", "young")
    assert table.groups[1].unavailable == {"decoupled": "RuntimeError: cannot stand the marker"}
    assert table.groups[1].candidate != "decoupled"
    assert table.groups[1].risks["decoupled"] is None
    assert table.groups[2].candidate == "decoupled"
    for g in (0, 2, 3):
        assert table.groups[g] == expected.groups[g]
    assert np.array_equal(touchy.predict_proba(frame[~own]), plain.predict_proba(frame[~own]))
    assert len(touchy.candidates_["decoupled"].models) == 3


class Narrow(GaussianNB):
    """Refuses inputs of some widths."""

    def __init__(self, refuses=()):
        super().__init__()
        self.refuses = refuses

    def fit(self, X, y, sample_weight=None):
        if np.shape(X)[1] in self.refuses:
            raise RuntimeError(f"{np.shape(X)[1]} columns are no good")
        return super().fit(X, y, sample_weight)


def test_a_candidate_that_fails_everywhere_is_left_out(rows):
    frame = rows.frame.assign(age=np.tile(["1", "2", "3", "4"], 80))  # 2 + 6 and 2 + 8 columns
    with pytest.warns(FitFailedWarning, match=r"serve nobody \(onehot: RuntimeError: 8 columns"):
        fitted = router(Narrow(refuses=(8,))).fit(frame, rows.y)
    assert set(fitted.candidates_) == {"generic", "intersectional", "decoupled"}
    for record in fitted.routing_table_.groups:
        assert record.unavailable["onehot"] == "RuntimeError: 8 columns are no good"
        assert record.candidate != "onehot"
    only = router(Narrow(refuses=(8, 10)), candidates=("generic", "onehot", "intersectional"))
    with pytest.warns(FitFailedWarning, match="8 columns are no good; intersectional"):
        only.fit(frame, rows.y)
    assert set(only.candidates_) == {"generic"}
    assert set(only.route(frame).candidate) == {"generic"}
    assert "8 columns are no good" in only.routing_table_.groups[0].reason
    for text in (str(only.routing_table_), str(only.audit_), only._repr_html_()):
        assert "nan" not in text.lower()
    only.audit(frame, rows.y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_generic_failing_raises_its_own_error_with_a_note(rows, n_jobs):
    with pytest.raises(RuntimeError, match="2 columns are no good") as error:
        router(Narrow(refuses=(2,)), n_jobs=n_jobs).fit(rows.frame, rows.y)
    assert any("generic candidate" in note for note in error.value.__notes__)


class Slips(ClassifierMixin, BaseEstimator):
    """Fits, but cannot predict."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        raise RuntimeError("cannot predict")


def test_generic_that_cannot_predict_raises_its_own_error(rows):
    with pytest.raises(RuntimeError, match="cannot predict"):
        router(Slips()).fit(rows.frame, rows.y)


def test_a_failed_fit_leaves_the_router_unfitted(rows):
    model = router(Narrow(refuses=(2,)))
    with pytest.raises(RuntimeError):
        model.fit(rows.frame, rows.y)
    with pytest.raises(NotFittedError, match="not fitted"):
        model.predict(rows.frame)


def test_a_failed_refit_leaves_no_half_of_the_first(rows):
    model = router(GaussianNB()).fit(rows.frame, rows.y)
    with pytest.raises(ValueError, match=r"could not convert|NaN"):
        model.fit(rows.frame.assign(x="text"), np.array(["no", "yes"])[rows.y])
    with pytest.raises(NotFittedError, match="not fitted"):
        model.predict(rows.frame)


def test_nothing_warns_on_ordinary_data(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = router(LogisticRegression(), cv=3).fit(rows.frame, rows.y)
        fitted.predict_proba(rows.frame)
        fitted.audit(rows.frame, rows.y)
