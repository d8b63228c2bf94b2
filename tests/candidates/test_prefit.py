"""Prefit: models of the user's own, audited and routed as they are."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from small_routers import router

from fairuse_router import FairUseRouter


def columns_of(kind, rows):
    """The group columns of the rows in other types."""
    frame = rows.frame
    if kind == "integer":
        return frame.assign(sex=(frame["sex"] == "M").astype(int), age=(frame["age"] == "old") + 3)
    if kind == "category":
        return frame.assign(
            sex=pd.Categorical(frame["sex"], categories=["M", "F", "X"]),
            age=pd.Categorical(frame["age"], categories=["young", "old"], ordered=True),
        )
    if kind == "boolean":
        return frame.assign(sex=frame["sex"] == "M", age=frame["age"] == "old")
    return frame


class Strict(ClassifierMixin, BaseEstimator):
    """A personalized model of the user's, strict about the columns that it is given."""

    def fit(self, X, y):
        self.dtypes_ = X.dtypes.to_dict()
        self.encoder_ = OneHotEncoder(sparse_output=False).fit(X[["sex", "age"]])
        self.model_ = DecisionTreeClassifier(random_state=0, max_depth=6).fit(self._encode(X), y)
        self.classes_ = self.model_.classes_
        return self

    def _encode(self, X):
        assert X.dtypes.to_dict() == self.dtypes_
        assert list(X.columns) == ["x", "sex", "z", "age"]
        return np.hstack([X[["x", "z"]].to_numpy(), self.encoder_.transform(X[["sex", "age"]])])

    def predict(self, X):
        return self.model_.predict(self._encode(X))

    def predict_proba(self, X):
        return self.model_.predict_proba(self._encode(X))


def prefit(models, groups=("sex", "age"), **settings):
    return FairUseRouter(
        None, list(groups), cv="prefit", candidates=models, **{"policy": "best", **settings}
    )


@pytest.mark.parametrize("kind", ["string", "integer", "category", "boolean"])
def test_prefit_models_are_told_the_report_in_the_users_columns(rows, kind):
    frame = columns_of(kind, rows)
    old, new = np.arange(320) < 160, np.arange(320) >= 160
    generic = GaussianNB().fit(frame.loc[old, ["x", "z"]], rows.y[old])
    personal = Strict().fit(frame[old], rows.y[old])
    fitted = prefit({"generic": generic, "personal": personal}).fit(frame[new], rows.y[new])
    served = fitted.route(frame[new]).candidate
    assert set(served) == {"generic", "personal"}
    assert set(served[rows.cells[new] == "M/old"]) == {"personal"}
    expected = np.where(
        (served == "personal")[:, None],
        personal.predict_proba(frame[new]),
        generic.predict_proba(frame.loc[new, ["x", "z"]]),
    )
    assert np.array_equal(fitted.predict_proba(frame[new]), expected)
    if kind in ("string", "category"):
        withheld = frame[new].copy()
        withheld["sex"] = withheld["sex"].astype(object).where(rows.cells[new] == "F/old", None)
        answer = fitted.predict_proba(withheld)
        hidden = rows.cells[new] != "F/old"
        assert np.array_equal(
            answer[hidden], generic.predict_proba(frame.loc[new, ["x", "z"]][hidden])
        )
    truth = {t.candidate for t in fitted.audit_.rationality}
    assert {"personal", "routed"} <= truth
    assert any(t.gain is not None for t in fitted.audit_.envy_freeness)
    fitted.audit(frame[old], rows.y[old])


@pytest.mark.parametrize("kind", ["numbers", "objects", "polars"])
def test_prefit_models_on_arrays_and_other_frames(rows, kind):
    frame = columns_of("integer", rows)
    groups = [1, 3]
    if kind == "numbers":
        table = frame.to_numpy(dtype=float)
    elif kind == "objects":
        table, frame = rows.frame.to_numpy(), rows.frame
    else:
        table, groups = pl.from_pandas(frame), ["sex", "age"]
    features = table[:, [0, 2]] if kind != "polars" else table.select("x", "z")
    if kind == "objects":
        features = features.astype(float)
        encode = make_column_transformer((OneHotEncoder(), [1, 3]), ("passthrough", [0, 2]))
        tree = make_pipeline(encode, DecisionTreeClassifier(random_state=0, max_depth=6))
    else:
        tree = DecisionTreeClassifier(random_state=0, max_depth=6)
    generic, personal = GaussianNB().fit(features, rows.y), tree.fit(table, rows.y)
    fitted = prefit({"generic": generic, "personal": personal}, groups).fit(table, rows.y)
    served = fitted.route(table).candidate
    assert "personal" in served
    expected = np.where(
        (served == "personal")[:, None],
        personal.predict_proba(table),
        generic.predict_proba(features),
    )
    np.testing.assert_allclose(fitted.predict_proba(table), expected, rtol=1e-12)


def prefit_pair(rows):
    frame = columns_of("integer", rows)
    generic = GaussianNB().fit(frame[["x", "z"]], rows.y)
    personal = DecisionTreeClassifier(random_state=0, max_depth=6).fit(frame, rows.y)
    return frame, {"generic": generic, "personal": personal}


def test_prefit_models_may_be_frozen_cloned_and_cross_validated(rows):
    frame, models = prefit_pair(rows)
    frozen = {name: FrozenEstimator(model) for name, model in models.items()}
    fitted = prefit(frozen).fit(frame, rows.y)
    assert np.array_equal(
        fitted.predict_proba(frame), prefit(models).fit(frame, rows.y).predict_proba(frame)
    )
    assert cross_val_score(prefit(frozen), frame, rows.y, cv=2).shape == (2,)
    assert "FairUseRouter" in repr(fitted)
    assert "fairuse-routing-table" in fitted._repr_html_()
    assert fitted.candidates_["generic"].models[0] is frozen["generic"]


def test_prefit_dicts_that_cannot_work(rows):
    frame, models = prefit_pair(rows)

    def refused(candidates, *texts, kind=ValueError):
        with pytest.raises(kind) as error:
            prefit(candidates).fit(frame, rows.y)
        for text in texts:
            assert text in str(error.value), f"{text!r} is not in: {error.value}"

    refused(("generic", "onehot"), "cv='prefit' needs candidates as a dict", "'generic'")
    refused({"personal": models["personal"]}, "'generic' entry", "['personal']")
    refused({**models, "other": GaussianNB()}, "not fitted", kind=NotFittedError)
    refused(
        {**models, "other": LinearSVC().fit(frame, rows.y)},
        "candidates['other']",
        "predict_proba",
    )
    refused(
        {**models, "other": GaussianNB().fit(frame, rows.y + 1)},
        "candidates['other']",
        "[2]",
        "[0, 1]",
    )
    with pytest.raises(ValueError, match="y has labels that the models do not know"):
        prefit(models).fit(frame, rows.y + 1)


def test_a_dict_of_models_without_prefit_is_refused(rows):
    frame, models = prefit_pair(rows)
    with pytest.raises(ValueError, match="cv='prefit'"):
        router(candidates=models).fit(frame, rows.y)


def test_prefit_levels_without_rows_are_served_by_generic(rows):
    frame = columns_of("category", rows)
    generic = GaussianNB().fit(frame[["x", "z"]], rows.y)
    personal = Strict().fit(frame, rows.y)
    fitted = prefit({"generic": generic, "personal": personal}).fit(frame, rows.y)
    assert fitted.schema_.levels == (("M", "F", "X"), ("young", "old"))
    record = fitted.routing_table_.groups[4]
    assert record.report == ("X", "young")
    assert record.candidate == "generic"
    assert record.unavailable == {"personal": "a level of the group stands in no row"}
