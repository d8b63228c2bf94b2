"""GroupSchema: levels, codes, the grid of reports, encodings."""

import datetime
import enum
import json
import re
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.naive_bayes import GaussianNB

from fairuse_router import FairUseRouter, GroupSchema, audit_predictions, audit_sums
from fairuse_router.levels import level_text

ROWS = {"sex": ["F", "M", "F", "?"], "age": [1, 0, None, 1]}
BACKENDS = {
    "pandas": lambda d: pd.DataFrame(d),
    "pandas-nullable": lambda d: pd.DataFrame(d).convert_dtypes(),
    "polars": lambda d: pl.DataFrame(d),
    "pyarrow": lambda d: pa.table(d),
    "numpy": lambda d: np.array(list(zip(*d.values(), strict=True)), dtype=object),
}


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


def columns_of(table):
    return [0, 1] if isinstance(table, np.ndarray) else ["sex", "age"]


def test_every_backend_gives_the_same_levels_and_codes(backend):
    table = backend(ROWS)
    schema = GroupSchema.from_table(table, columns_of(table))
    assert schema.levels == (("F", "M"), ("0", "1"))
    assert schema.encode(table).tolist() == [[1, 2], [2, 1], [1, 0], [0, 2]]


def test_category_order_is_kept():
    order = ["old", "young", "?"]
    for column in (
        pd.DataFrame({"a": pd.Categorical(["young", "old", None], categories=order)}),
        pl.DataFrame({"a": pl.Series(["young", "old", None], dtype=pl.Enum(order))}),
    ):
        schema = GroupSchema.from_table(column, "a")
        assert schema.levels == (("old", "young"),)
        assert schema.encode(column).ravel().tolist() == [2, 1, 0]


def test_unused_and_foreign_categories():
    train = pd.DataFrame({"a": pd.Categorical(["x"], categories=["x", "y"])})
    schema = GroupSchema.from_table(train, "a")
    assert schema.levels == (("x", "y"),)
    other = pd.DataFrame({"a": pd.Categorical(["y", None], categories=["z", "y"])})
    assert schema.encode(other).ravel().tolist() == [2, 0]


def test_numbers_are_sorted_as_numbers():
    schema = GroupSchema.from_table(np.array([[10], [9], [100]]), [0])
    assert schema.levels == (("9", "10", "100"),)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "True"),
        (np.False_, "False"),
        (1, "1"),
        (np.int8(3), "3"),
        (2.0, "2"),
        (0.5, "0.5"),
        ("a, 'b' \"c\" é", "a, 'b' \"c\" é"),
        ("", None),
        (None, None),
        (float("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (b"F", "F"),
    ],
)
def test_level_text(value, text):
    assert level_text(value) == text


def test_withheld_none_makes_the_mark_a_level():
    table = np.array([["?"], ["a"], [None]], dtype=object)
    schema = GroupSchema.from_table(table, [0], withheld=None)
    assert schema.levels == (("?", "a"),)
    assert schema.encode(table).ravel().tolist() == [1, 2, 0]


def test_bool_and_one_stay_apart():
    table = np.array([[True], [1], [False]], dtype=object)
    schema = GroupSchema.from_table(table, [0])
    assert set(schema.levels[0]) == {"True", "1", "False"}
    texts = [schema.levels[0][c - 1] for c in schema.encode(table).ravel()]
    assert texts == ["True", "1", "False"]


@pytest.mark.parametrize(
    ("table", "columns", "kwargs", "match"),
    [
        (pd.DataFrame({"a": ["x"]}), "b", {}, "'b' is not a column of X"),
        (np.array([["x"]]), "a", {}, "array without column names"),
        (np.array([["x"]]), [3], {}, "out of range"),
        (np.array([["x"]]), [], {}, "empty"),
        (np.array([["x"]]), [0, 0], {}, "twice"),
        (np.array([["x"]]), [0.5], {}, "by str or int"),
        (np.array([[1], ["1"]], dtype=object), [0], {}, "share the text '1'"),
        (np.arange(101.0)[:, None] + 0.5, [0], {}, "continuous"),
        (np.array([["?"], [None]], dtype=object), [0], {}, "withholds it"),
        (np.array([["x"]]), [0], {"handle_unknown": "ignore"}, "handle_unknown"),
        (np.array([[["x"]]], dtype=object)[0, :, :1], [0], {}, None),
        (np.arange(99).repeat(4).reshape(99, 4), [0, 1, 2, 3], {}, "1,000,000"),
    ],
)
def test_bad_columns(table, columns, kwargs, match):
    if match is None:
        assert GroupSchema.from_table(table, columns).levels == (("x",),)
        return
    with pytest.raises((ValueError, TypeError), match=match):
        GroupSchema.from_table(table, columns, **kwargs)


ALIKE = r"alone: 'sex' has 'Female' and 'female'; 'sex' has 'male' and 'male '\. Each is"


def test_levels_that_differ_by_blanks_or_case_alone_are_warned_of_once():
    sex = ["female", "male", "Female", "male "] * 20
    X, y = pd.DataFrame({"x": np.arange(80.0), "sex": sex}), np.arange(80) % 2
    calls = [
        lambda: FairUseRouter(GaussianNB(), ["sex"], cv=2).fit(X, y),
        lambda: audit_predictions(y, {"generic": y, "other": 1 - y}, X[["sex"]]),
        lambda: audit_predictions(y, {"generic": y, "other": 1 - y}, X["sex"]),
        lambda: audit_sums(
            X.assign(y=y, p=y), y="y", predictions={"generic": "y", "other": "p"}, groups="sex"
        ),
    ]
    for call in calls:
        with pytest.warns(UserWarning, match=ALIKE) as caught:
            call()
        assert len(caught) == 1
    fitted = FairUseRouter(GaussianNB(), ["sex"], cv=2)
    fitted.fit(X.assign(sex=X["sex"].str.strip().str.lower()), y)  # warnings are errors
    assert fitted.schema_.levels == (("female", "male"),)


@pytest.mark.parametrize(
    ("levels", "settings", "told"),
    [
        (["F", "M", " "], {}, "' ' and ''"),
        (["F", "M", "? "], {}, r"'\? ' and '\?'"),
        (["F", "M", "Unknown"], {"withheld": "unknown"}, "'Unknown' and 'unknown'"),
        (["<60", "< 60", "60+"], {}, "'< 60' and '<60'"),
        (["F", "M", "?"], {"withheld": None}, None),
        (["1", "1.0", "01"], {}, None),
    ],
)
def test_marks_and_blanks_within(levels, settings, told):
    schema = GroupSchema.from_table(np.array([levels]).T, [0], **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        schema.warn_of_alike_levels()
    assert len(caught) == (told is not None)
    assert told is None or re.search(f"'x0' has {told}", str(caught[0].message))


def test_sites_that_write_a_level_otherwise_are_warned_of():
    def sums(sex):
        frame = pd.DataFrame({"sex": sex * 10, "y": [0, 1] * 10, "p": [0, 1] * 10})
        return audit_sums(frame, y="y", predictions={"generic": "p", "other": "y"}, groups="sex")

    with pytest.warns(UserWarning, match="'sex' has 'Male' and 'male'"):
        sums(["female", "male"]) + sums(["female", "Male"])


def test_unhashable_level_is_named():
    table = np.empty((1, 1), dtype=object)
    table[0, 0] = ["x"]
    with pytest.raises(TypeError, match="list"):
        GroupSchema.from_table(table, [0])


def test_unseen_level_raises_or_is_withheld():
    train, new = np.array([["a"], ["b"]]), np.array([["c"]])
    with pytest.raises(ValueError, match=r"not seen in training: \['c'\].*Known levels"):
        GroupSchema.from_table(train, [0]).encode(new)
    schema = GroupSchema.from_table(train, [0], handle_unknown="withhold")
    assert schema.encode(new).tolist() == [[0]]


sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def schema_of(sizes):
    levels = tuple(tuple(f"v{i}" for i in range(s)) for s in sizes)
    return GroupSchema(tuple(f"g{j}" for j in range(len(sizes))), tuple(range(len(sizes))), levels)


@given(sizes)
def test_grid_laws(sizes):
    schema = schema_of(sizes)
    assert (schema.report_ids(schema.report_codes) == np.arange(schema.n_reports)).all()
    assert (schema.group_ids(schema.group_codes) == np.arange(schema.n_groups)).all()
    assert (schema.group_ids(schema.report_codes) >= 0).sum() == schema.n_groups
    for code in schema.report_codes:
        told = schema.group_codes[schema.completions(code)]
        assert (told == code)[:, code > 0].all()
        assert len(told) == np.prod([s for s, c in zip(sizes, code, strict=True) if c == 0] or [1])


@given(sizes)
def test_encodings(sizes):
    schema = schema_of(sizes)
    dummies, names = schema.onehot()
    assert dummies.shape == (schema.n_reports, sum(sizes)) == (schema.n_reports, len(names))
    assert (dummies.sum(axis=1) == (schema.report_codes > 0).sum(axis=1)).all()
    cells, names = schema.intersectional()
    assert cells.shape == (schema.n_reports, schema.n_groups) == (schema.n_reports, len(names))
    assert (cells.sum(axis=1) == (schema.report_codes > 0).all(axis=1)).all()
    assert len(set(names)) == len(names)


@given(sizes)
def test_json_round_trip(sizes):
    schema = schema_of(sizes)
    assert GroupSchema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True))
def test_any_text_is_a_level(texts):
    texts = [t for t in texts if t != "?"] or ["x"]
    table = pd.DataFrame({"a 'b', \"ü\"": texts})
    schema = GroupSchema.from_table(table, list(table.columns))
    assert set(schema.levels[0]) == set(texts)
    assert (schema.encode(table) > 0).all()


class Sex(str, enum.Enum):  # noqa: UP042  its text is not its value
    F = "F"
    M = "M"


class Day(enum.IntEnum):
    ONE = 1
    TWO = 2


UTC, BERLIN = datetime.UTC, datetime.timezone(datetime.timedelta(hours=1))
EQUAL = {
    "decimals": [Decimal("1.0"), Decimal("1"), Decimal("1.00"), Decimal("1E0"), 1, 1.0],
    "fractions": [Decimal("1.50"), Decimal("1.5")],
    "hundreds": [Decimal("1E2"), Decimal("100"), 100],
    "instants": [
        datetime.datetime(2020, 1, 1, tzinfo=UTC),
        datetime.datetime(2020, 1, 1, 1, tzinfo=BERLIN),
        pd.Timestamp("2020-01-01", tz="UTC"),
        pd.Timestamp("2020-01-01 05:30", tz="Asia/Kolkata"),
    ],
    "enumerations": [Sex.F, "F", np.str_("F")],
    "numbers": [Day.ONE, 1, np.int64(1), np.float32(1), "1"],
}


@pytest.mark.parametrize("kind", EQUAL)
def test_equal_values_have_one_text_alone_and_in_a_batch(kind):
    values = EQUAL[kind]
    (text,) = {level_text(value) for value in values}
    schema = GroupSchema(("g",), (0,), ((text,),), handle_unknown="withhold")
    for order in (values, values[::-1]):
        table = np.empty((len(values), 1), dtype=object)
        table[:, 0] = order
        assert schema.encode(table).ravel().tolist() == [1] * len(values)
        for row in range(len(values)):
            assert schema.encode(table[row : row + 1]).tolist() == [[1]]
    frame = pd.DataFrame({"g": pd.Series(values[:2] * 5 + ["other"], dtype=object)})
    learned = GroupSchema.from_table(frame.iloc[:10], ["g"])
    assert learned.levels == ((text,),)


class Odd:
    """Equal to others of another text."""

    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return isinstance(other, Odd)

    def __hash__(self):
        return 0

    def __str__(self):
        return self.text


def test_values_of_any_type_are_told_apart_by_their_text():
    table = np.empty((4, 1), dtype=object)
    table[:, 0] = [Odd("a"), Odd("b"), Odd("a"), Odd("b")]
    schema = GroupSchema.from_table(table, [0])
    assert schema.levels == (("a", "b"),)
    assert schema.encode(table).ravel().tolist() == [1, 2, 1, 2]
