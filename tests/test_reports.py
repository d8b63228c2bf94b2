"""Every report has an answer, the same in Python and in the bundle, and explained in words."""

from itertools import product

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from forced import force
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from fairuse_router import Bundle, FairUseRouter, GroupSchema, RoutingTable, export_bundle
from fairuse_router.bundle.file import places
from fairuse_router.routing import GroupRecord
from fairuse_router.routing.routed import unknown_levels

MOST_GROUPS = 64
CANDIDATES = ("generic", "onehot", "intersectional", "decoupled")


@st.composite
def shapes(draw):
    """Levels of 1 to 5 attributes, 2 to 8 each, at most 64 groups."""
    levels = []
    for _ in range(draw(st.integers(1, 5))):
        n = draw(st.integers(2, 8))
        levels.append(n if np.prod(levels, initial=n) <= MOST_GROUPS else 2)
        if np.prod(levels) > MOST_GROUPS:
            levels.pop()
    return tuple(levels)


class World:
    """A router over random group attributes whose groups are served by every kind of model."""

    def __init__(self, shape, seed, handle_unknown, tree):
        rng = np.random.default_rng(seed)
        self.names = [f"g{j}" for j in range(len(shape))]
        self.levels = [[f"{'abcde'[j]}{i}" for i in range(n)] for j, n in enumerate(shape)]
        cells = list(product(*self.levels))
        n = max(240, 6 * len(cells))
        rows = [cells[i % len(cells)] for i in range(n)]
        self.x = rng.normal(size=(n, 2))
        sign = np.array([1 if hash_of(cell) % 2 else -1 for cell in rows])
        y = (sign * self.x[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(int)
        model = (
            DecisionTreeClassifier(max_depth=3, random_state=0) if tree else LogisticRegression()
        )
        self.router = FairUseRouter(
            model,
            self.names,
            candidates=CANDIDATES,
            cv=0.3,
            min_group_size=4,
            handle_unknown=handle_unknown,
            policy="best",
            random_state=seed,
        ).fit(self.frame(self.x, rows), y)
        picks = [CANDIDATES[i] for i in rng.integers(0, 4, 7)]
        force(self.router, picks)

    def frame(self, x, reports) -> pd.DataFrame:
        columns = {"x": x[:, 0].astype(np.float32), "z": x[:, 1].astype(np.float32)}
        groups = {
            name: pd.Series([r[j] for r in reports], dtype=object)
            for j, name in enumerate(self.names)
        }
        return pd.DataFrame({**columns, **groups})

    def random_reports(self, rng, n, gaps):
        """Reports with a third of the answers withheld, missing or unknown."""
        reports = []
        for _ in range(n):
            told = [levels[rng.integers(len(levels))] for levels in self.levels]
            for j in range(len(told)):
                if rng.random() < 0.35:
                    told[j] = gaps[rng.integers(len(gaps))]
            reports.append(told)
        return reports


def hash_of(cell):
    return sum(ord(c) for text in cell for c in text)


def check_agreement(world, tmp_path, seed, gaps):
    """Bundle and router give every report the same answer, route and explanation."""
    rng = np.random.default_rng(seed)
    X = world.frame(world.x, world.random_reports(rng, len(world.x), ["?"]))
    path = tmp_path / "router.onnx"
    export_bundle(world.router, path, X[:20])
    bundle = Bundle.load(path)
    schema = world.router.schema_
    grid = [schema.report_texts(code) for code in schema.report_codes]
    every = world.frame(rng.normal(size=(len(grid), 2)), grid)
    odd = world.frame(rng.normal(size=(50, 2)), world.random_reports(rng, 50, gaps))
    for asked in (every, odd):
        assert np.array_equal(bundle.predict(asked), world.router.predict(asked))
        assert np.abs(bundle.predict_proba(asked) - world.router.predict_proba(asked)).max() < 1e-5
        there, here = bundle.route(asked), world.router.route(asked)
        assert there.report == here.report
        assert np.array_equal(there.route, here.route)
        assert np.array_equal(there.candidate, here.candidate)
        small = np.array([r.rows is None for r in bundle.routing_table.groups]).any()
        if not small:
            assert np.array_equal(there.words, here.words)
        assert all(there.words)


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shapes(), st.integers(0, 10_000), st.booleans())
def test_python_and_bundle_agree_on_every_report(tmp_path, shape, seed, tree):
    world = World(shape, seed, "withhold", tree)
    check_agreement(world, tmp_path, seed, ["?", None, np.nan, "", "never seen"])


@pytest.mark.slow
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shapes(), st.integers(0, 10_000), st.booleans())
def test_python_and_bundle_agree_on_every_report_of_many_schemas(tmp_path, shape, seed, tree):
    world = World(shape, seed, "withhold", tree)
    check_agreement(world, tmp_path, seed, ["?", None, np.nan, "", "never seen"])


@pytest.mark.parametrize("in_one_row", [True, False])
@pytest.mark.parametrize("shape", [(3,), (2, 5), (4, 2, 3)])
def test_codes_find_their_route_and_no_other_number_finds_any(
    tmp_path, monkeypatch, shape, in_one_row
):
    """A code beyond its attribute's levels, or below 0, never lands in another report's place."""
    if not in_one_row:
        monkeypatch.setattr(places, "_LARGEST_GRID", 0)
    world = World(shape, seed=4, handle_unknown="error", tree=False)
    X = world.frame(world.x, world.random_reports(np.random.default_rng(0), len(world.x), ["?"]))
    export_bundle(world.router, tmp_path / "r.onnx", X[:20], report="codes")
    nodes = [node.op_type for node in onnx.load(tmp_path / "r.onnx").graph.node]
    assert ("GatherND" in nodes) is not (in_one_row or len(shape) == 1)
    session = onnxruntime.InferenceSession(tmp_path / "r.onnx", providers=["CPUExecutionProvider"])
    grid, ends = world.router.routing_table_.grid, [np.iinfo(np.int64).min, np.iinfo(np.int64).max]
    known = list(product(*map(range, grid.shape)))
    features = np.zeros((len(known), 2), np.float32)
    (found,) = session.run(["route"], {"X": features, "report": np.array(known)})
    assert np.array_equal(found, grid.ravel())
    every = product(*([-3, -2, -1, *range(size + 3), *ends] for size in grid.shape))
    for codes in set(every) - set(known):
        with pytest.raises(Exception, match="unknown_level_in_report"):
            session.run(["route"], {"X": features[:1], "report": np.array([codes])})
    empty = {"X": features[:0], "report": np.empty((0, len(shape)), np.int64)}
    assert all(len(answer) == 0 for answer in session.run(None, empty))
    with pytest.raises(Exception, match="inputs_differ_in_their_number_of_rows"):
        session.run(["route"], {"X": features[:2], "report": np.array(known[:1])})


@settings(max_examples=40, deadline=None)
@given(shapes(), st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 1.0]))
def test_a_withheld_attribute_decides_nothing(shape, seed, share):
    """A report gets the route that all who may have filed it share, told or not, or generic."""
    rng = np.random.default_rng(seed)
    schema = GroupSchema(
        tuple(f"g{j}" for j in range(len(shape))),
        tuple(range(len(shape))),
        tuple(tuple(f"l{i}" for i in range(n)) for n in shape),
    )
    served = rng.random(schema.n_groups) < share
    records = [
        GroupRecord(schema.report_texts(c), 9, "onehot" if own else "generic", "forced")
        for c, own in zip(schema.group_codes, served, strict=True)
    ]
    table = RoutingTable.from_choices(schema, records, policy="best", metric="error", alpha=0.1)
    routed = table.explain(schema.report_codes)
    for code, route, reason in zip(schema.report_codes, routed.route, routed.reason, strict=True):
        may = (schema.group_codes == code) | (code == 0)
        ends = {int(table.grid[tuple(c)]) for c in schema.group_codes[may.all(axis=1)]}
        assert route == (ends.pop() if len(ends) == 1 and code.any() else 0)
        assert reason


@pytest.mark.parametrize("handle_unknown", ["error", "withhold"])
def test_unknown_levels_are_refused_or_withheld_by_both(tmp_path, handle_unknown):
    world = World((2, 3), 0, handle_unknown, tree=False)
    path = tmp_path / "router.onnx"
    export_bundle(world.router, path, world.frame(world.x[:9], [["a0", "b1"]] * 9))
    bundle, asked = Bundle.load(path), world.frame(world.x[:1], [["a0", "Mars"]])
    if handle_unknown == "error":
        for serve in (world.router.predict, bundle.predict, world.router.route, bundle.route):
            with pytest.raises(ValueError, match="not seen in training: \\['Mars'\\]"):
                serve(asked)
        return
    withheld = world.frame(world.x[:1], [["a0", "?"]])
    assert np.array_equal(world.router.predict_proba(asked), world.router.predict_proba(withheld))
    assert np.array_equal(bundle.predict_proba(asked), bundle.predict_proba(withheld))
    assert bundle.route(asked).report == world.router.route(asked).report == [("a0", "?")]


# words
@pytest.fixture(scope="module")
def router(rows):
    fitted = FairUseRouter(LogisticRegression(), rows.groups, cv=2).fit(rows.frame, rows.y)
    return force(fitted, ("decoupled", "generic", "decoupled", "onehot"))


def test_words_say_which_model_why_what_it_gained_and_how_sure(rows, router):
    words = router.route(rows.frame[:4]).words  # F old, M old, F young, M young
    assert words[0].startswith("(F, old) is served by decoupled: ")
    g = router.routing_table_.groups[0]
    assert g.reason in words[0]
    assert f"For the 80 people like this in training it gained {100 * g.gain:+.1f}%" in words[0]
    assert f"90% interval {100 * g.low:+.1f}% to {100 * g.high:+.1f}%" in words[0]
    flipped = router.routing_table_.groups[2]
    assert flipped.low > 0
    assert words[1].endswith(": a gain.")
    assert words[2].startswith("(F, young) is served by generic: ")
    assert words[2].endswith("nothing is gained or lost by it.")


def test_sureness_follows_from_the_interval(rows, router):
    routed = router.route(rows.frame[:1])
    for low, high, said in (
        (0.01, 0.1, ": a gain."),
        (-0.1, -0.01, ": a loss."),
        (-0.1, 0.1, "luck."),
    ):
        routed.numbers[:, 2:] = low, high
        assert routed.words[0].endswith(said)
    routed.numbers[:, 2:] = np.nan
    assert routed.words[0].endswith("no interval can be given.")
    routed.numbers[:, 1] = np.nan
    assert "cannot be said" in routed.words[0]


def test_reasons_name_unknown_levels_in_every_kind_of_column(rows):
    model = FairUseRouter(LogisticRegression(), ["sex"], cv=2, handle_unknown="withhold")
    X = rows.frame.drop(columns="age")
    model.fit(X, rows.y)
    strange = X[:4].assign(sex=["F", "other", None, "?"])
    for table in (strange, strange.astype({"sex": "category"}), strange.to_numpy(dtype=object)):
        unknown = unknown_levels(model.schema_, table)
        assert unknown == {1: {"sex": "other"}}
        routed = model.routing_table_.explain(model.schema_.encode(table), unknown)
        assert routed.reason[1].startswith("sex = other was not known in training and counts as ")
        assert "known" not in routed.reason[2] + routed.reason[3]
        assert routed.reason[1].endswith(routed.reason[2])
    strict = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, rows.y)
    assert unknown_levels(strict.schema_, X) == {}


def test_generic_says_how_many_fit_unless_that_is_hidden(rows, router):
    routed = router.route(rows.frame[2:3])
    assert "In training 80 people fit this report." in routed.words[0]
    routed.numbers[:, 0] = 1
    assert "In training 1 person fits this report." in routed.words[0]
    routed.numbers[:, 0] = np.nan
    assert "In training" not in routed.words[0]


def test_partial_reports_say_whom_they_stand_for(rows, router):
    asked = rows.frame[:3].assign(sex=["?", None, "F"], age=["old", "?", float("nan")])
    routed = router.route(asked)
    assert routed.rows.tolist() == [160, 320, 160]
    assert routed.gain.tolist() == [0, 0, 0]
    assert "(?, old) is served by generic: the groups it may come from" in routed.words[0]
    assert "everything is withheld" in routed.words[1]


def test_printing_shows_ten_rows_in_80_columns(rows, router):
    text = str(router.route(rows.frame))
    assert text.splitlines()[-1] == "... and 310 more rows: see to_frame()"
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.startswith("0: (F, old) is served by decoupled:")


def test_an_attribute_of_one_level_lends_its_route_to_partial_reports(rows):
    X = rows.frame.drop(columns="age").assign(site="north")
    model = FairUseRouter(LogisticRegression(), ["sex", "site"], cv=2).fit(X, rows.y)
    force(model, ("decoupled",))
    full, partial = model.route(X[:1]), model.route(X[:1].assign(site="?"))
    assert full.route == partial.route > 0
    assert (full.gain, full.low, full.high) == (partial.gain, partial.low, partial.high)
    assert "all groups it may come from share this route" in partial.words[0]
