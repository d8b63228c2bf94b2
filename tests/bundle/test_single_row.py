"""Single rows, which are read without a frame in between, are answered and refused as many are."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.bundle.file.single import SingleRow

GROUPS = ["sex", "site"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    n = 240
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "sex": rng.choice(["F", "M", "?"], n, p=[0.5, 0.45, 0.05]),
            "k": rng.integers(0, 5, n),
            "colour": rng.choice(["red", "blue"], n),
            "site": rng.choice([1, 2], n),
            "y": rng.integers(0, 2, n),
        }
    ).astype({"sex": object, "colour": object})


@pytest.fixture(scope="module", params=["numbers", "mixed", "exact"])
def bundle(request, rows, tmp_path_factory):
    columns = (
        ["x", "sex", "k", "site"]
        if request.param != "mixed"
        else ["x", "sex", "k", "colour", "site"]
    )
    model = LogisticRegression()
    if request.param == "mixed":
        encoded = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["colour"]), (StandardScaler(), ["x", "k"])
        )
        model = make_pipeline(encoded, model)
    router = FairUseRouter(model, GROUPS, cv=3).fit(rows[columns], rows.y)
    path = tmp_path_factory.mktemp(request.param) / "r.onnx"
    precision = "exact" if request.param == "exact" else "fast"
    export_bundle(router, path, rows[columns], precision=precision)
    return Bundle.load(path), rows[columns]


def as_records(X):
    return [
        {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
        for row in X.to_dict("records")
    ]


def test_single_rows_are_answered_as_many_are(bundle):
    bundle, X = bundle
    proba, labels = bundle.predict_proba(X), bundle.predict(X)
    records, frame = as_records(X), pl.from_pandas(X)
    reader = SingleRow(bundle.layout, bundle.schema)
    for i in range(40):
        kinds = (X.iloc[i : i + 1], frame[i : i + 1], [records[i]])
        for row in kinds:
            assert reader.read(row) is not None
            assert np.array_equal(bundle.predict_proba(row)[0], proba[i])
            assert bundle.predict(row)[0] == labels[i]
            feed, codes = reader.read(row)
            many = bundle.feed(X.iloc[[i, i]])
            for name, tensor in feed.items():
                assert tensor.dtype == many[name].dtype
                assert tensor.shape == (1, *many[name].shape[1:])
                assert np.array_equal(tensor[0], many[name][0])
            assert codes.tolist() == bundle.schema.encode(X.iloc[i : i + 1]).tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"x": np.nan},
        {"x": np.inf},
        {"x": "many"},
        {"x": 1e300},
        {"x": None},
        {"sex": "X"},
        {"sex": None},
        {"site": 3},
        {"site": 1.0},
        {"k": 2.5},
        {"k": True},
        {"k": "3"},
    ],
)
def test_odd_cells_are_taken_or_refused_as_in_many_rows(bundle, change):
    bundle, X = bundle
    (record,) = as_records(X[:1])
    odd = {**record, **change}

    def answer(rows):
        try:
            return bundle.predict_proba(rows)[0].tolist()
        except ValueError as error:
            return str(error).replace("and 1 others", "and 0 others")

    assert answer([odd]) == answer([odd, odd])
    frame = pd.DataFrame([odd], dtype=object)
    assert answer(frame) == answer(pd.concat([frame, frame], ignore_index=True))


def test_rows_with_other_columns_are_refused_as_ever(bundle):
    bundle, X = bundle
    (record,) = as_records(X[:1])
    with pytest.raises(ValueError, match="other columns"):
        bundle.predict([{**record, "z": 1}])
    with pytest.raises(ValueError, match="other columns"):
        bundle.predict([{k: v for k, v in record.items() if k != "x"}])
    without = {k: v for k, v in record.items() if k != "sex"}
    assert bundle.predict([without]) == bundle.predict([{**record, "sex": "?"}])
    with pytest.raises(ValueError, match="other columns"):
        bundle.predict(X[:1][list(reversed(X.columns))])
