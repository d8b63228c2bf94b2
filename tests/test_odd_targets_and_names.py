"""Names, levels and targets that few expect: the right answer, or an error that says what to do."""

import datetime
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.card import Card

N = 120
RNG = np.random.default_rng(0)
X = pd.DataFrame({"x": RNG.normal(size=N), "sex": np.tile(["F", "M"], N // 2)})
Y = (X["x"] * np.tile([1, -1], N // 2) + 0.3 * RNG.normal(size=N) > 0).astype(int).to_numpy()
ENCODE = make_pipeline(
    make_column_transformer(
        ("passthrough", make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    ),
    LogisticRegression(),
)


def fitted(frame, y=Y, estimator=ENCODE, groups=("sex",), **settings):
    settings = {"cv": 2, "policy": "best", "random_state": 0, **settings}
    return FairUseRouter(estimator, list(groups), **settings).fit(frame, y)


def served_alike(router, frame, folder):
    """Whether the bundle answers as the router does, and the texts can be shown and written."""
    export_bundle(router, folder / "r.onnx", frame)
    bundle, expected = Bundle.load(folder / "r.onnx"), router.predict(frame)
    Card.of(router).save(folder / "card.html")
    Card.of(router).save(folder / "card.md")
    assert all(len(line) <= 80 for line in str(router.routing_table_).splitlines())
    return bool((bundle.predict(frame) == expected).all()) and bundle.schema == router.schema_


LONG = "\u00e4" * 125  # 250 bytes
FRAMES = {
    "a column of 250 bytes": (X.rename(columns={"x": LONG}), "sex"),
    "a group of 250 bytes": (X.rename(columns={"sex": LONG}), LONG),
    "a level of 250 bytes": (X.assign(sex=np.tile([LONG, "M"], N // 2)), "sex"),
    "a level of 5,000 signs": (X.assign(sex=np.tile(["a" * 5000, "M"], N // 2)), "sex"),
    "a level with a NUL": (X.assign(sex=["a\0b" if v == "F" else "ab" for v in X["sex"]]), "sex"),
    "YES and YES with a blank": (X.assign(sex=np.tile(["YES", "YES "], N // 2)), "sex"),
    "signs beyond the first plane": (X.assign(sex=np.tile(["\U0001f469", "M"], N // 2)), "sex"),
    "unused levels": (
        X.assign(sex=pd.Categorical(X["sex"], categories=["M", "never", "F"])),
        "sex",
    ),
    "unused categories": (
        X.assign(t=pd.Categorical(np.tile(["a", "b", "c"], N // 3), categories=list("zabc"))),
        "sex",
    ),
    "categories YES and YES with a blank": (
        X.assign(t=np.tile(["YES", "YES ", " YES"], N // 3)),
        "sex",
    ),
}


@pytest.mark.filterwarnings("ignore:Levels differ by blanks")
@pytest.mark.parametrize("name", FRAMES)
def test_names_and_levels(name, tmp_path):
    frame, group = FRAMES[name]
    router = fitted(frame, groups=(group,))
    assert served_alike(router, frame, tmp_path)
    if name == "unused levels":
        assert router.schema_.levels == (("M", "never", "F"),)
        report = frame[:1].assign(sex=pd.Categorical(["never"], categories=["M", "never", "F"]))
        assert router.route(report).candidate[0] == "generic"
    elif "YES" in name:
        assert len(router.schema_.levels[0]) == 2


HALF = "\ud800"
HALVES = {
    "level": (X.assign(sex=[HALF if v == "F" else v for v in X["sex"]]), Y),
    "name": (X.rename(columns={"x": f"x{HALF}"}), Y),
    "category": (X.assign(t=[HALF if v == "F" else "b" for v in X["sex"]]), Y),
    "class": (X, np.array([HALF if v else "b" for v in Y], dtype=object)),
}


@pytest.mark.parametrize("where", HALVES)
def test_halves_of_signs_are_answered_and_escaped_and_refused_by_a_file(where, tmp_path):
    frame, y = HALVES[where]
    router = fitted(frame, y)
    assert set(router.predict(frame)) <= set(y)
    str(router.routing_table_).encode()
    text = router.routing_table_.to_json()
    text.encode()
    assert type(router.routing_table_).from_json(text) == router.routing_table_
    assert json.loads(text)["schema"]["levels"] == [list(router.schema_.levels[0])]
    with pytest.raises(ValueError, match="half a sign"):
        export_bundle(router, tmp_path / "r.onnx", frame)
    assert not list(tmp_path.iterdir())


OTHERS = {
    "numbers and texts": ([1 if v else "no" for v in Y], "type int and str"),
    "whole numbers and fractions": ([1 if v else 0.5 for v in Y], "type float and int"),
    "truths and numbers": ([True if v else 0 for v in Y], "type bool and int"),
    "dates": ([datetime.date(2020 + v, 1, 1) for v in Y], "type date"),
    "decimals": ([Decimal(int(v)) for v in Y], "type Decimal"),
    "periods": (pd.PeriodIndex(2020 + Y, freq="Y").tolist(), "type Period"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_labels_of_several_kinds_are_refused_by_their_kinds(name):
    y, words = OTHERS[name]
    column = np.empty(N, dtype=object)
    column[:] = y
    with pytest.raises(ValueError, match=f"Unknown label type: .* {words}. Give all"):
        fitted(X, column)


@pytest.mark.parametrize("as_y", [np.asarray, pd.Series, list])
def test_labels_that_are_dates(as_y, tmp_path):
    days = (np.datetime64("2020-01-01") + Y.astype("timedelta64[D]")).astype("datetime64[ns]")
    router = fitted(X, as_y(pd.DatetimeIndex(days)) if as_y is pd.Series else days)
    assert set(router.predict(X)) <= set(days)
    assert (router.predict(X) == days).mean() > 0.8
    with pytest.raises(ValueError, match=r"classes \['2020-01-01.*Encode y"):
        export_bundle(router, tmp_path / "r.onnx", X)
    gaps = days.copy()
    gaps[3] = np.datetime64("NaT")
    with pytest.raises(ValueError, match="NaN or None in 1 of 120"):
        fitted(X, gaps)


MEASURED = {
    "dates": (np.datetime64("2020-01-01") + Y.astype("timedelta64[D]"), "y holds dates"),
    "durations": (Y.astype("timedelta64[D]"), "y holds durations"),
    "texts": (np.where(Y, "a", "b"), "y holds '[ab]', a str"),
    "complex numbers": (Y + 1j, "omplex"),
    "date objects": (np.array([datetime.date(2020, 1, 1)] * N), "a date; a regression"),
}


@pytest.mark.parametrize("name", MEASURED)
def test_measurements_that_are_none(name):
    y, words = MEASURED[name]
    with pytest.raises(ValueError, match=words):
        fitted(X[["x", "sex"]], y, Ridge(), metric="squared_error")


def test_classes_with_blanks_and_unused_ones(tmp_path):
    for y in (
        np.where(Y, "YES", "YES "),
        pd.Categorical(np.where(Y, "b", "a"), categories=["c", "b", "a"]),
        pd.Series(np.where(Y, "b", "a"), dtype="string"),
    ):
        router = fitted(X, y)
        assert len(router.classes_) == 2
        assert served_alike(router, X, tmp_path)


def test_so_many_groups_that_they_cannot_be_compared_are_refused_before_anything_is_fitted():
    n = 100_000
    many = pd.DataFrame({"x": RNG.normal(size=2 * n), "g": np.arange(2 * n) % n})
    with pytest.raises(ValueError, match="'g' has more than max_levels=100 levels"):
        fitted(many, many["x"] > 0, groups=("g",))
    for settings in ({}, {"candidates": ("generic", "onehot")}):
        with pytest.raises(ValueError, match="span 100,000 groups; at most 5,000"):
            fitted(many, many["x"] > 0, groups=("g",), max_levels=10**6, **settings)
    grid = pd.DataFrame({"x": RNG.normal(size=n), "g": np.arange(n) % 80, "h": np.arange(n) % 79})
    with pytest.raises(ValueError, match="span 6,320 groups"):
        fitted(grid, grid["x"] > 0, groups=("g", "h"))
