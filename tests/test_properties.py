"""Laws of the fitted router over random schemas, estimators and level types.

What a row withheld, or its route ignores, does not move a bit of its output, wherever it stands.
"""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from fairuse_router import FairUseRouter, GroupSchema, RoutingTable
from fairuse_router.routing.records import GroupRecord

COMMON = {
    "deadline": None,
    "derandomize": True,
    "phases": [Phase.generate],  # shrinking would fit hundreds of routers
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
FAST = settings(max_examples=12, **COMMON)
WIDE = settings(max_examples=150, **COMMON)

ESTIMATORS = [
    LogisticRegression(solver="newton-cholesky"),
    DecisionTreeClassifier(max_depth=4, random_state=0),
    GaussianNB(),
    make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky")),
]
ODD_TEXTS = [
    "a",
    "b b",
    'quo"te',
    "it's",
    "com,ma",
    "ünïcødé",
    "日本",
    "?!",
    "-",
    "1.0",
    "None",
    "a_b",
]

PLAIN = ("generic", "onehot", "intersectional", "decoupled")


@st.composite
def levels_of_a_column(draw) -> tuple[str, list[Any]]:
    """The kind of a column, and its levels."""
    kind = draw(st.sampled_from(["str", "int", "bool", "category", "float"]))
    if kind == "bool":
        return kind, [False, True]
    n = draw(st.integers(1 if kind == "str" else 2, 5))
    if kind == "int":
        return kind, sorted(draw(st.sets(st.integers(-9, 99), min_size=n, max_size=n)))
    if kind == "float":
        return kind, [0.5 + j for j in range(n)]
    levels = draw(st.permutations(ODD_TEXTS))[:n]
    return kind, levels if kind == "category" else sorted(levels)


@st.composite
def schemas(draw) -> dict[str, tuple[str, list[Any]]]:
    """One to four group attributes of odd names, at most 48 groups."""
    names = draw(st.permutations(["sex", "a,b", "x y", "quo'te", "größe", "0", "?"]))
    columns = {}
    for name in names[: draw(st.integers(1, 4))]:
        kind, levels = draw(levels_of_a_column())
        if np.prod([len(v) for _, v in columns.values()], initial=len(levels)) <= 48:
            columns[name] = (kind, levels)
    return columns


def column(kind: str, levels: list[Any], codes: np.ndarray) -> pd.Series:
    """A column whose code 0 is missing or "?", and code i the i-th level."""
    gap = None if kind in ("bool", "category") else np.nan if kind in ("float", "int") else "?"
    values = [gap if c == 0 else levels[c - 1] for c in codes]
    if kind == "category":
        return pd.Series(pd.Categorical(values, categories=levels))
    if kind in ("int", "float"):
        return pd.Series(values, dtype=float)
    return pd.Series(values, dtype=object)


class World:
    """A fitted router, its schema, and a way to write rows in it."""

    def __init__(self, schema, estimator, policy, handle_unknown, seed):
        self.schema = schema
        rng = np.random.default_rng(seed)
        n = 160
        codes = np.column_stack([rng.integers(1, len(v) + 1, n) for _, v in schema.values()])
        for j in range(codes.shape[1]):  # every level is seen; some rows withhold
            size = len(list(schema.values())[j][1])
            codes[:size, j] = np.arange(1, size + 1)
        codes[size_of_largest(schema) :][rng.random(n - size_of_largest(schema)) < 0.1, 0] = 0
        x = rng.normal(size=(n, 3))
        sign = np.where((codes.sum(axis=1) + codes[:, 0]) % 3 == 0, -1, 1)
        y = (2 * sign * x[:, 0] + x[:, 1] + 0.3 * rng.normal(size=n) > 0).astype(int)
        y[:2] = [0, 1]
        self.router = FairUseRouter(
            clone(estimator),
            list(schema),
            policy=policy,
            cv=2,
            min_group_size=6,
            handle_unknown=handle_unknown,
        )
        self.router.fit(self.frame(x, codes), np.array(["no", "yes"])[y])
        self.table = self.router.routing_table_

    def frame(self, x, codes) -> pd.DataFrame:
        """Rows with the group columns between the features."""
        data = {"x1": x[:, 0], "x2": x[:, 1]}
        for j, (name, (kind, levels)) in enumerate(self.schema.items()):
            data[name] = column(kind, levels, codes[:, j])
        return pd.DataFrame({**data, "x3": x[:, 2]})

    def reports(self) -> np.ndarray:
        return np.array(list(product(*(range(len(v) + 1) for _, v in self.schema.values()))))

    def route_of(self, code) -> int:
        """Brute force from the groups' records: where a report (k codes) must be sent."""
        sizes = [range(1, len(v) + 1) for _, v in self.schema.values()]
        cells = list(product(*sizes))
        ends = {
            self.end_of(g)
            for g, cell in enumerate(cells)
            if all(c in (0, mine) for c, mine in zip(code, cell, strict=True))
        }
        if self.table.partial and any(code) and not all(code):
            return self.table.record(code).candidate, None  # it has a record of its own
        return ends.pop() if len(ends) == 1 and any(code) else ("generic", None)

    def end_of(self, g):
        name = self.table.groups[g].candidate
        return ("generic", None) if name == "generic" else (name, g)


def size_of_largest(schema) -> int:
    return max(len(levels) for _, levels in schema.values())


@st.composite
def worlds(draw, handle_unknown=None) -> World:
    return World(
        draw(schemas()),
        draw(st.sampled_from(ESTIMATORS)),
        draw(st.sampled_from(["best", "best", "priced"])),
        handle_unknown or draw(st.sampled_from(["error", "withhold"])),
        draw(st.integers(0, 10_000)),
    )


def batch(world, draw, n=None):
    """Random features, and reports with a good share of withheld attributes."""
    n = n or draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    reports = world.reports()
    return rng.normal(size=(n, 3)), reports[rng.integers(0, len(reports), n)]


def same_bits(a, b) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# the laws
def law_of_ignored_columns(world, data):
    """Whatever a row withheld, or its route ignores, moves no bit: alone, and in any batch."""
    router, reports = world.router, world.reports()
    x, codes = batch(world, data.draw, n=data.draw(st.integers(2, 12)))
    place = data.draw(st.integers(0, len(x) - 1))
    route = world.table.look_up(codes[[place]])[0]
    twins = [c for c in reports if world.table.look_up(c[None])[0] == route]
    other = codes.copy()
    other[place] = data.draw(st.sampled_from(twins))
    before, after = world.frame(x, codes), world.frame(x, other)
    for method in (router.predict_proba, router.predict):
        whole, changed = method(before), method(after)
        assert same_bits(np.asarray(whole), np.asarray(changed))
        alone = slice(place, place + 1)
        assert same_bits(method(before[alone]), method(after[alone]))


def law_of_ways_to_withhold(world, data):
    """ "?", None, NaN and a missing value of pandas are one report."""
    x, codes = batch(world, data.draw)
    codes[:, data.draw(st.integers(0, codes.shape[1] - 1))] = 0
    frame = world.frame(x, codes)
    expected = world.router.predict_proba(frame)
    for gap in ("?", None, np.nan, pd.NA, ""):
        other = frame.copy()
        for j, name in enumerate(world.schema):
            values = other[name].astype(object).to_numpy(copy=True)
            values[codes[:, j] == 0] = gap
            other[name] = pd.Series(values, dtype=object)
        assert same_bits(world.router.predict_proba(other), expected)


def law_of_permutation(world, data):
    """Rows are served one by one: their order is the order of the answers."""
    x, codes = batch(world, data.draw)
    order = np.array(data.draw(st.permutations(range(len(x)))))
    frame = world.frame(x, codes)
    for method in (world.router.predict_proba, world.router.predict):
        first, second = method(frame), method(frame.iloc[order])
        if first.dtype.kind == "f":  # a dot product may round by its place in the batch
            np.testing.assert_allclose(second, first[order], rtol=1e-12, atol=1e-15)
        else:
            assert np.array_equal(second, first[order])
    assert np.array_equal(
        world.router.route(frame.iloc[order]).route, world.router.route(frame).route[order]
    )


def law_of_looking_up(world, data):
    """The dense grid says what the groups' records say, for every report."""
    reports = world.reports()
    routes = world.table.look_up(reports)
    for code, route in zip(reports, routes, strict=True):
        found = world.table.routes[route]
        name, g = world.route_of(code)
        record = world.table.record(code)
        shared = bool(world.table.partial) and (not all(code) or record.keeps)
        assert (found.candidate, g if shared else found.group) == (name, g), code
    assert world.table.grid.ravel()[0] == 0
    x = np.zeros((len(reports), 3))
    explained = world.router.route(world.frame(x, reports))
    assert np.array_equal(explained.route, routes)
    assert list(explained.candidate) == [world.table.routes[r].candidate for r in routes]
    assert all(explained.reason)


def law_of_serving(world, data):
    """A row gets what the model of its route says of it, told the group of the route."""
    x, codes = batch(world, data.draw)
    answer = world.router.predict_proba(world.frame(x, codes))
    features = pd.DataFrame(x, columns=["x1", "x2", "x3"])
    for i, code in enumerate(codes):
        name, g = world.route_of(code)
        route = world.router.routing_table_.look_up(code[None])[0]
        if name not in PLAIN or world.router.routing_table_.routes[route].strength < 1:
            continue  # what mixes models is held to its margins in test_blends
        candidate = world.router.candidates_[name]
        row = features[i : i + 1]
        model = candidate.models[0 if g is None else candidate.model_of_group[g]]
        if candidate.added is not None:
            row = row.assign(**dict(zip(candidate.added_names, candidate.added[g], strict=True)))
        own = model.predict_proba(row)[0]
        expected = dict(zip(model.classes_, own, strict=True))
        np.testing.assert_allclose(
            answer[i], [expected.get(c, 0.0) for c in world.router.classes_], rtol=1e-10
        )


def law_of_json(world, data):
    text = world.table.to_json()
    again = RoutingTable.from_json(text)
    assert again == world.table
    assert again.to_json() == text
    assert again.schema == world.router.schema_
    assert np.array_equal(again.grid, world.table.grid)


def law_of_unknown_levels(world, data):
    x, codes = batch(world, data.draw)
    frame = world.frame(x, codes)
    strange, withheld = frame.copy(), frame.copy()
    for name, (kind, _) in world.schema.items():
        hit = np.array(data.draw(st.lists(st.booleans(), min_size=len(x), max_size=len(x))))
        new = {"str": "new level", "category": "new level", "int": -77, "float": 0.25, "bool": 7}
        for target, value in ((strange, new[kind]), (withheld, "?")):
            values = target[name].astype(object).to_numpy(copy=True)
            values[hit] = value
            target[name] = pd.Series(values, dtype=object)
    assert same_bits(world.router.predict_proba(strange), world.router.predict_proba(withheld))
    assert world.router.route(strange).report == world.router.route(withheld).report


LAWS = [
    law_of_ignored_columns,
    law_of_ways_to_withhold,
    law_of_permutation,
    law_of_looking_up,
    law_of_serving,
    law_of_json,
]


@FAST
@given(worlds(), st.data())
def test_laws_of_a_fitted_router(world, data):
    for law in LAWS:
        law(world, data)


@FAST
@given(worlds("withhold"), st.data())
def test_unknown_levels_count_as_withheld(world, data):
    law_of_unknown_levels(world, data)


@pytest.mark.slow
@WIDE
@given(worlds("withhold"), st.data())
def test_laws_over_many_worlds(world, data):
    for law in [*LAWS, law_of_unknown_levels]:
        law(world, data)


# tables of any choices, without a fit
@st.composite
def tables(draw) -> World:
    """A world whose groups are served by anything at all."""
    world = World.__new__(World)
    world.schema = draw(schemas())
    sizes = [range(1, len(v) + 1) for _, v in world.schema.values()]
    cells = list(product(*sizes))
    n = max(len(cells), 2)
    codes = np.array([cells[i % len(cells)] for i in range(n)])
    schema = GroupSchema.from_table(world.frame(np.zeros((n, 3)), codes), list(world.schema))
    names = st.sampled_from(["generic", "onehot", "intersectional", "decoupled"])
    numbers = st.none() | st.floats(allow_nan=False)
    records = [
        GroupRecord(
            schema.report_texts(code),
            draw(st.integers(0, 10_000)),
            draw(names),
            draw(st.text(max_size=5)),
            draw(st.dictionaries(names, numbers, max_size=2)),
            *draw(st.tuples(numbers, numbers, numbers)),
            unavailable=draw(st.dictionaries(names, st.text(max_size=5), max_size=1)),
        )
        for code in schema.group_codes
    ]
    world.table = RoutingTable.from_choices(
        schema, records, policy="best", metric="error", alpha=0.1
    )
    return world


@settings(max_examples=60, **COMMON)
@given(tables())
def test_any_choices_make_a_table_that_keeps_its_word(world):
    reports = world.reports()
    for code, route in zip(reports, world.table.look_up(reports), strict=True):
        found = world.table.routes[route]
        assert (found.candidate, found.group) == world.route_of(code)
    again = RoutingTable.from_json(world.table.to_json())
    assert again == world.table
    assert str(again) == str(world.table)
    assert again.to_html() == world.table.to_html()
    assert again.to_frame().shape[0] == len(world.table.groups)
