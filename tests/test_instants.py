"""Instants and durations: one text each, as groups and as categories, in routers and in bundles."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.levels import level_text

N = 120
RNG = np.random.default_rng(0)
CODE = np.arange(N) % 4
DAYS = pd.Series(pd.Timestamp("2020-02-28") + pd.to_timedelta(CODE, unit="D"))
HOURS = pd.Series(pd.to_timedelta(CODE - 1, unit="h"))
KINDS = {
    "instants": DAYS,
    "with fractions": DAYS + pd.Timedelta("0.5s"),
    "with nanoseconds": DAYS + pd.Timedelta("1ns"),
    "in seconds": DAYS.astype("datetime64[s]"),
    "in a zone": DAYS.dt.tz_localize("Europe/Berlin"),
    "of Arrow": DAYS.astype(pd.ArrowDtype(pa.timestamp("us"))),
    "dates": pd.Series([v.date() for v in DAYS], dtype=object),
    "periods": DAYS.dt.to_period("D"),
    "durations": HOURS,
    "durations with nanoseconds": HOURS - pd.Timedelta("1ns"),
    "durations of Arrow": HOURS.astype(pd.ArrowDtype(pa.duration("us"))),
}
Y = (CODE == 1).astype(int)


def fitted(X, estimator, folder, y=Y):
    router = FairUseRouter(estimator, ["sex"], cv=2, policy="best", random_state=0).fit(X, y)
    export_bundle(router, folder / "r.onnx", X)
    return router, Bundle.load(folder / "r.onnx")


@pytest.mark.parametrize("encoder", [OneHotEncoder, OrdinalEncoder])
@pytest.mark.parametrize("kind", KINDS)
def test_as_categories_alone_and_in_a_batch(kind, encoder, tmp_path):
    X = pd.DataFrame({"x": RNG.normal(size=N), "sex": np.repeat(["F", "M"], N // 2)})
    encode = make_column_transformer((encoder(), ["when"]), ("passthrough", ["x"]))
    estimator = make_pipeline(encode, LogisticRegression())
    router, bundle = fitted(X.assign(when=KINDS[kind]), estimator, tmp_path)
    X = X.assign(when=KINDS[kind])
    expected = router.predict(X)
    if encoder is OneHotEncoder:
        assert (expected == Y).all()
    assert (bundle.predict(X) == expected).all()
    for i in range(8):
        assert router.predict(X[i : i + 1])[0] == bundle.predict(X[i : i + 1])[0] == expected[i]


@pytest.mark.parametrize("kind", KINDS)
def test_as_groups_alone_and_in_a_batch(kind, tmp_path):
    X = pd.DataFrame({"x": RNG.normal(size=N), "sex": KINDS[kind]})
    y = (X["x"] * np.where(CODE % 2, 1, -1) > 0).astype(int).to_numpy()
    router, bundle = fitted(X, LogisticRegression(), tmp_path, y)
    assert len(router.schema_.levels[0]) == 4
    expected = router.predict(X)
    assert (bundle.predict(X) == expected).all()
    for i in range(8):
        assert router.predict(X[i : i + 1])[0] == bundle.predict(X[i : i + 1])[0] == expected[i]
    X.loc[:3, "sex"] = None
    assert set(router.route(X[:4]).candidate) == {"generic"}


def test_missing_instants_are_no_category_of_a_one_hot_encoder(tmp_path):
    X = pd.DataFrame({"x": RNG.normal(size=N), "sex": np.repeat(["F", "M"], N // 2)})
    X["when"] = DAYS.mask(CODE == 1)
    one_hot = OneHotEncoder(handle_unknown="ignore")
    encode = make_column_transformer((one_hot, ["when"]), ("passthrough", ["x"]))
    router, bundle = fitted(X, make_pipeline(encode, LogisticRegression()), tmp_path)
    assert (bundle.predict(X) == router.predict(X)).all()
    assert (router.predict(X) == Y).all()


SAME = {
    "2020-02-28 12:00:00": [
        pd.Timestamp("2020-02-28 12:00"),
        dt.datetime(2020, 2, 28, 12),
        *(np.datetime64("2020-02-28T12:00", unit) for unit in ("ns", "us", "ms", "s", "m", "h")),
    ],
    "2020-02-28 12:00:00.000000001": [
        pd.Timestamp("2020-02-28 12:00:00.000000001"),
        np.datetime64("2020-02-28T12:00:00.000000001"),
    ],
    "2020-02-28": [dt.date(2020, 2, 28), np.datetime64("2020-02-28")],
    "2020-02-28 11:00:00+00:00": [
        pd.Timestamp("2020-02-28 12:00", tz="Europe/Berlin"),
        dt.datetime(2020, 2, 28, 11, tzinfo=dt.UTC),
    ],
    "1 days 02:00:00": [
        pd.Timedelta("26h"),
        dt.timedelta(hours=26),
        *(np.timedelta64(26, "h").astype(f"timedelta64[{unit}]") for unit in ("ns", "ms", "s")),
    ],
    "-1 days +23:59:59.999999": [
        pd.Timedelta("-1us"),
        dt.timedelta(microseconds=-1),
        np.timedelta64(-1, "us"),
    ],
    "0 days 00:00:00.000000001": [pd.Timedelta("1ns"), np.timedelta64(1, "ns")],
}


@pytest.mark.parametrize("text", SAME)
def test_equal_values_have_one_text(text):
    assert {level_text(value) for value in SAME[text]} == {text}
    assert text == str(SAME[text][0]) or "+00:00" in text


def test_missing_ones_have_none():
    assert level_text(np.datetime64("NaT")) is level_text(np.timedelta64("NaT")) is None
    assert level_text(pd.NaT) is None


def test_one_frame_library_asks_what_another_trained(tmp_path):
    for column in (DAYS, HOURS):
        X = pd.DataFrame({"x": RNG.normal(size=N), "sex": column})
        y = (X["x"] * np.where(CODE % 2, 1, -1) > 0).astype(int).to_numpy()
        router, bundle = fitted(X, LogisticRegression(), tmp_path, y)
        cells = np.empty((N, 2), dtype=object)
        cells[:, 0], cells[:, 1] = (
            X["x"],
            X["sex"].dt.to_pytimedelta()
            if column is HOURS
            else [v.to_pydatetime() for v in X["sex"]],
        )
        for other in (pl.from_pandas(X), pa.Table.from_pandas(X, preserve_index=False)):
            assert (router.predict(other) == router.predict(X)).all()
            assert (bundle.predict(other) == router.predict(X)).all()
        assert (bundle.predict(cells) == router.predict(X)).all()


@pytest.mark.parametrize("rows", [{"x": 1.0, "sex": "F"}, [{"x": 1.0, "sex": "F"}]])
def test_objects_are_no_table_to_train_on(rows):
    with pytest.raises(ValueError, match=r"objects?, where a 2D array .*pandas\.DataFrame\(rows\)"):
        FairUseRouter(LogisticRegression(), ["sex"]).fit(rows, [1])
