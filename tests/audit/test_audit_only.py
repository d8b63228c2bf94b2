"""Attributes that are audited, and that no model and no route may use."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import FairUseRouter
from fairuse_router.audit import OUT_OF_FOLD
from fairuse_router.bundle import Bundle, export_bundle

# small tables keep tests quick; that they are small is said in test_parts_of_a_correction
pytestmark = pytest.mark.filterwarnings("ignore:policy='certified' on")


def data(n=1200, seed=0):
    """Race shifts the outcome; sex turns a slope."""
    rng = np.random.default_rng(seed)
    x, sex, race = rng.normal(size=n), rng.choice(["F", "M"], n), rng.choice(["a", "b", "c"], n)
    z = x * np.where(sex == "F", 1.5, -1.5) + 1.5 * (race == "c")
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    X = pd.DataFrame({"race": race, "x": x, "sex": sex, "w": rng.normal(size=n)})
    return X, y


CLF = make_pipeline(
    make_column_transformer(
        (OneHotEncoder(), make_column_selector(dtype_exclude="number")),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    ),
    LogisticRegression(),
)


@pytest.mark.parametrize("policy", ["priced", "certified"])
def test_no_prediction_depends_on_it(policy):
    X, y = data()
    router = FairUseRouter(CLF, ["sex"], audit_only=["race"], policy=policy, random_state=0)
    router.fit(X[:900], y[:900])
    assert [c.name for c in router.feature_columns_] == ["x", "w"]
    other = X.assign(race=np.roll(X["race"].to_numpy(), 7))
    assert (router.predict_proba(X) == router.predict_proba(other)).all()
    assert router.schema_.attributes == ("sex",)
    bare = FairUseRouter(CLF, ["sex"], policy=policy, random_state=0)
    bare.fit(X[:900].drop(columns="race"), y[:900])
    assert (bare.predict_proba(X.drop(columns="race")) == router.predict_proba(X)).all()


@pytest.mark.parametrize("report", ["texts", "codes"])
def test_bundles_neither_ask_for_it_nor_miss_it(report, tmp_path):
    X, y = data()
    router = FairUseRouter(CLF, ["sex"], audit_only=["race"], random_state=0).fit(X, y)
    export_bundle(router, tmp_path / "r.onnx", X, report=report)
    bundle = Bundle.load(tmp_path / "r.onnx")
    assert "race" not in [i["name"] for i in bundle.inputs]
    without = X.drop(columns="race")
    for asked in (X, without, pl.from_pandas(without)):
        for door in (router, bundle):
            np.testing.assert_allclose(
                door.predict_proba(asked), router.predict_proba(X), atol=1e-5
            )
    export_bundle(router, tmp_path / "r.onnx", without)
    assert Bundle.load(tmp_path / "r.onnx").predict(X).tolist() == router.predict(X).tolist()
    for door in (router, bundle):
        with pytest.raises(ValueError, match="w"):
            door.predict(without.drop(columns="w"))
        with pytest.raises(ValueError, match="race"):
            door.predict(without[["sex", "x", "w"]])


def test_it_is_audited_out_of_fold_and_on_other_rows():
    X, y = data()
    router = FairUseRouter(CLF, ["sex"], audit_only=["race"], random_state=0)
    router.fit(X[:900], y[:900])
    seen = router.audit_only_
    assert (seen.attributes, seen.groups, seen.evidence) == (
        ("race",),
        ("a", "b", "c"),
        OUT_OF_FOLD,
    )
    assert seen.n == 900
    assert not seen.envy_freeness
    assert not seen.truthfulness
    held = router.audit(X[900:], y[900:], by=["race"], metrics=["error", "auc"])
    right = router.predict(X[900:]) == y[900:]
    for r in held.risks:
        if (r.metric, r.candidate) == ("error", "routed") and r.group is not None:
            rows = (X["race"][900:] == r.group).to_numpy()
            assert (r.n, r.risk) == (rows.sum(), pytest.approx(1 - right[rows].mean()))
    verdicts = {
        r.group: r.verdict for r in held.rationality if (r.metric, r.candidate) == ("auc", "routed")
    }
    assert verdicts["a"] == verdicts["b"] == "gain"


def test_any_column_can_be_audited_by():
    X, y = data()
    X["site"] = np.where(np.arange(len(y)) % 3 == 0, None, "north")
    router = FairUseRouter(
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()), ["sex"]
    ).fit(X[["race", "sex", "site"]], y)
    audit = router.audit(X[["race", "sex", "site"]], y, by=["site", "race"])
    assert audit.attributes == ("site", "race")
    assert audit.n == X["site"].notna().sum()
    assert router.audit_only_ is None


def test_refusals():
    X, y = data(200)
    with pytest.raises(ValueError, match="names columns that are group_attributes too"):
        FairUseRouter(CLF, ["sex"], audit_only=["sex"]).fit(X, y)
    with pytest.raises(ValueError, match="age"):
        FairUseRouter(CLF, ["sex"], audit_only=["age"]).fit(X, y)
    fitted = clone(CLF).fit(X[["race", "x", "w"]], y)
    with pytest.raises(ValueError, match="audit_only cannot be kept from models"):
        FairUseRouter(
            None, ["sex"], candidates={"generic": fitted}, cv="prefit", audit_only=["race"]
        ).fit(X, y)
    with pytest.raises(ValueError, match="all of them group_attributes or audit_only"):
        FairUseRouter(CLF, ["sex"], audit_only=["race", "x", "w"], max_levels=999).fit(X, y)
