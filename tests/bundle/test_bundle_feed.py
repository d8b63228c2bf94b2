"""Feeding a bundle by hand: what reaches the runtime is what the router was given."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import Bundle, FairUseRouter, export_bundle

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "serving.md"
GROUPS = ["sex", "age_group"]
MISSING = {
    "None": lambda c: pd.Series(c, dtype=object),
    "nan": lambda c: pd.Series([np.nan if v is None else v for v in c], dtype=object),
    "pandas.NA": lambda c: pd.Series(c, dtype="string"),
    "category": lambda c: pd.Series(pd.Categorical(c)),
    "arrow": lambda c: pd.Series(c, dtype=pd.ArrowDtype(pa.string())),
    "arrow dictionary": lambda c: pd.Series(
        c, dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    ),
}


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """A router to which a missing text tells most, under names that are no identifiers."""
    rng = np.random.default_rng(0)
    n = 240
    result = rng.choice(["pos", "neg", None], n)
    X = pd.DataFrame(
        {
            "sex": rng.choice(["female", "male"], n),
            "x (mg/l)": rng.normal(size=n),
            "test?": pd.Series(result, dtype=object),
            "age_group": rng.choice(["<60", "60+"], n),
            "2nd [x]": rng.integers(0, 9, n),
        }
    )
    y = (pd.isna(result) ^ (rng.uniform(size=n) < 0.1)).astype(int)
    encode = make_column_transformer(
        ("passthrough", make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    router = FairUseRouter(
        make_pipeline(encode, LogisticRegression()), GROUPS, policy="best", cv=3, random_state=0
    ).fit(X, y)
    folder = tmp_path_factory.mktemp("feed")
    export_bundle(router, folder / "heart.onnx", X)
    return router, X, folder


def recipe():
    """The guide's block that asks onnxruntime without us."""
    text = GUIDE.read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```", text, re.S)
    return next(block for block in found if "InferenceSession" in block)


@pytest.mark.parametrize("kind", MISSING)
def test_the_recipe_of_the_guide_takes_missing_texts(tested, kind):
    router, X, folder = tested
    rows = X.assign(**{"test?": MISSING[kind](X["test?"].tolist())})
    asked = X.assign(sex="?", age_group="60+")
    asked.loc[::3, ["sex", "age_group"]] = ["male", "60+"]
    asked.loc[2::3, "age_group"] = "?"
    expected = router.predict(asked)
    wrong = missing = 0
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        for start in range(0, len(X), 3):
            scope = {"X": rows[start:]}
            exec(recipe(), scope)
            wrong += int((scope["label"] != expected[start : start + 3]).sum())
            missing += int(pd.isna(X["test?"][start : start + 3]).sum())
    assert missing > 60
    assert wrong == 0


TABLES = {
    "pandas": lambda X: X,
    "polars": pl.from_pandas,
    "pyarrow": lambda X: pa.Table.from_pandas(X, preserve_index=False),
    "records": lambda X: X.astype(object).where(X.notna(), None).to_dict("records"),
    "without a group column": lambda X: X.drop(columns="sex"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_feed_is_ready_for_onnxruntime(tested, kind):
    router, X, folder = tested
    X = X.copy()
    X.loc[:9, "sex"] = "?"
    X.loc[5:15, "age_group"] = None
    bundle, session = (
        Bundle.load(folder / "heart.onnx"),
        onnxruntime.InferenceSession(folder / "heart.onnx"),
    )
    feed = bundle.feed(TABLES[kind](X))
    assert set(feed) == {value.name for value in session.get_inputs()}
    label, probabilities, route = session.run(["label", "probabilities", "route"], feed)
    told = X.assign(sex="?") if kind == "without a group column" else X
    assert (label == router.predict(told)).all()
    assert np.abs(probabilities - router.predict_proba(told)).max() < 1e-5
    assert (route == router.routing_table_.look_up(router.schema_.encode(told))).all()


@pytest.mark.parametrize("report", ["texts", "codes"])
def test_feed_of_a_table_of_numbers(report, tmp_path):
    rng = np.random.default_rng(1)
    X = np.column_stack([rng.normal(size=(90, 2)), rng.integers(0, 3, 90)])
    y = X[:, 0] * (X[:, 2] - 1) > 0
    router = FairUseRouter(LogisticRegression(), [2], policy="best", cv=2).fit(X, y)
    export_bundle(router, tmp_path / "r.onnx", X, report=report)
    bundle = Bundle.load(tmp_path / "r.onnx")
    X[:5, 2] = np.nan
    feed = bundle.feed(X)
    assert {name: tensor.shape for name, tensor in feed.items()} == {
        "X": (90, 2),
        "report": (90, 1),
    }
    label = onnxruntime.InferenceSession(tmp_path / "r.onnx").run(["label"], feed)[0]
    assert (label.astype(bool) == router.predict(X)).all()


def test_feed_refuses_what_predict_refuses(tested):
    _, X, folder = tested
    bundle = Bundle.load(folder / "heart.onnx")
    with pytest.raises(ValueError, match="other columns"):
        bundle.feed(X.drop(columns="test?"))
    with pytest.raises(ValueError, match="not seen in training"):
        bundle.feed(X.assign(sex="other"))
    with pytest.raises(ValueError, match="missing"):
        bundle.feed(X.assign(**{"x (mg/l)": np.nan}))
