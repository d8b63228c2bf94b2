"""The disclosure plan: it asks least, ends where a full report would, and says what less costs."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairuse_router.groups import GroupSchema
from fairuse_router.inference import combine_intervals
from fairuse_router.routing import Change, GroupRecord, RoutingTable
from fairuse_router.routing.asking import settled, spread, trade_offs

NAMES = ("sex", "age", "hiv", "site", "race")


def make_table(levels, served, rows=None, gains=None, *, half=0.01, metric="error"):
    """A table whose groups `served` (numbers) have models of their own, the rest generic."""
    schema = GroupSchema(
        NAMES[: len(levels)],
        tuple(range(len(levels))),
        tuple(tuple(f"{NAMES[j][0]}{i}" for i in range(n)) for j, n in enumerate(levels)),
    )
    m = schema.n_groups
    rows = [50] * m if rows is None else rows
    gains = [0.02] * m if gains is None else gains
    records = [
        GroupRecord(
            schema.report_texts(code),
            rows[g],
            "onehot" if g in served else "generic",
            "forced",
            {"generic": 0.3, "routed": 0.3},
            gains[g] if g in served else 0.0,
            gains[g] - half if g in served else -half,
            gains[g] + half if g in served else half,
        )
        for g, code in enumerate(schema.group_codes)
    ]
    return RoutingTable.from_choices(schema, records, policy="best", metric=metric, alpha=0.1)


@st.composite
def tables(draw, most_groups=60):
    levels = []
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.integers(1, 4))
        if np.prod(levels, initial=n) <= most_groups:
            levels.append(n)
    m = int(np.prod(levels))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    served = set(np.flatnonzero(rng.random(m) < draw(st.sampled_from([0.1, 0.4, 0.8]))).tolist())
    rows = rng.integers(0, 200, m).tolist()
    return make_table(levels, served, rows, rng.normal(0.01, 0.02, m).tolist())


def cheapest(table, weight, code):
    """Questions left for the people under a report, by trying every adaptive order."""
    schema = table.schema
    groups = schema.completions(code)
    ends = {int(table.grid[tuple(schema.group_codes[g])]) for g in groups}
    if ends == {int(table.grid[tuple(code)])}:
        return 0.0
    options = []
    for j in range(len(code)):
        if code[j] == 0:
            after = [(*code[:j], i + 1, *code[j + 1 :]) for i in range(len(schema.levels[j]))]
            options.append(sum(cheapest(table, weight, c) for c in after))
    return weight[groups].sum() + min(options)


@settings(max_examples=60, deadline=None)
@given(tables(most_groups=30))
def test_no_adaptive_order_asks_less(table):
    weight = table.weights()
    least = cheapest(table, weight, (0,) * len(table.schema.levels)) / weight.sum()
    assert table.disclosure_plan().asked_per_person == pytest.approx(least)


@settings(max_examples=60, deadline=None)
@given(tables(), st.data())
def test_following_the_plan_ends_where_a_full_report_does(table, data):
    plan, schema = table.disclosure_plan(), table.schema
    asked = np.zeros(schema.n_groups)
    for g, code in enumerate(schema.group_codes):
        answers = {}
        while (step := plan.next(answers)).ask is not None:
            answers[step.ask] = schema.report_texts(code)[schema.attributes.index(step.ask)]
        assert step.route == table.grid[tuple(code)]
        asked[g] = len(answers)
    mean = (asked * table.weights()).sum() / table.weights().sum()
    assert mean == pytest.approx(plan.asked_per_person)


@settings(max_examples=60, deadline=None)
@given(tables(), st.data())
def test_a_form_that_knows_the_tree_only_serves_whoever_declines(table, data):
    plan, schema = table.disclosure_plan(), table.schema
    node = json.loads(plan.to_json())["tree"]
    told = dict.fromkeys(schema.attributes, "?")
    answers = {}
    while "ask" in node:
        name = node["ask"]
        assert plan.next(answers).ask == name
        levels = list(node["branches"])
        assert told[name] == "?"
        assert name not in answers  # nothing is asked twice
        answer = data.draw(st.sampled_from([*levels, "?"]))
        answers[name] = told[name] = answer
        node = node["declined"] if answer == "?" else node["branches"][answer]
    codes = schema.encode(np.array([list(told.values())], dtype=object))
    assert node["route"] == table.look_up(codes)[0] == plan.next(answers).route
    # and whatever the person may still tell would lead to the same model
    for extra in itertools.product(*(range(n) for n in schema.shape)):
        more = [
            extra[j] if answers.get(name) is None else codes[0, j]
            for j, name in enumerate(schema.attributes)
        ]
        full = all(
            c > 0 or name in answers for c, name in zip(more, schema.attributes, strict=True)
        )
        if full:
            assert table.grid[tuple(more)] == node["route"]


def test_sex_is_asked_of_the_young_only():
    table = make_table([2, 2], served={0, 2})
    plan = table.disclosure_plan()
    assert plan.next({}).ask == "age"
    assert plan.next({"age": "a0"}).ask == "sex"
    old = plan.next({"age": "a1"})
    assert (old.ask, old.candidate, old.rows) == (None, "generic", 100)
    assert plan.next({"age": "?"}).ask is None  # generic, whatever the sex
    assert plan.next({"sex": float("nan")}).candidate == "generic"
    assert plan.asked_per_person == 1.5


def test_group_sizes_decide_which_question_comes_first():
    few_old = make_table([2, 2], served={0}, rows=[10, 10, 500, 10])
    assert few_old.disclosure_plan().next({}).ask == "sex"  # most are s1, and done at once
    few_young = make_table([2, 2], served={0}, rows=[10, 500, 10, 10])
    assert few_young.disclosure_plan().next({}).ask == "age"


def test_one_model_for_all_asks_nothing():
    plan = make_table([2, 3], served=set()).disclosure_plan()
    assert plan.asked_per_person == 0
    assert plan.next({}).ask is None
    assert "nobody need be asked" in " ".join(str(plan).split())


def test_the_next_question_refuses_what_it_does_not_know():
    table = make_table([2, 2], served={0})
    plan = table.disclosure_plan()
    with pytest.raises(ValueError, match="names 'height'; the group attributes are"):
        plan.next({"height": "tall"})
    with pytest.raises(TypeError, match="answers is a str; pass a dict of attribute to level"):
        plan.next("F")
    with pytest.raises(ValueError, match="'s9' is not known"):
        plan.next({"sex": "s9"})
    lenient = replace(table, schema=replace(table.schema, handle_unknown="withhold"))
    assert lenient.disclosure_plan().next({"sex": "s9"}).report == ("?", "?")


def test_small_counts_of_a_bundle_count_as_one_row():
    table = make_table([2, 2], served={0}, rows=[50, None, 50, 50])
    assert table.weights().tolist() == [50, 1, 50, 50]
    empty = make_table([2, 2], served=set(), rows=[0] * 4)
    assert empty.weights().tolist() == [1] * 4


# giving up gains
@settings(max_examples=40, deadline=None)
@given(tables(most_groups=9))
def test_trades_are_the_best_of_all_subsets(table):
    """Against brute force over every set of groups that might go back to generic."""
    weight, m = table.weights(), table.schema.n_groups
    served = [g for g in range(m) if table.groups[g].candidate != "generic"]
    if len(served) > 8:
        return
    most = {g: weight[g] * max(table.groups[g].high, 0.0) for g in served}
    per = weight.reshape([len(v) for v in table.schema.levels])
    lost = np.zeros(m)
    lost[served] = [most[g] for g in served]
    loss = spread(lost.reshape(per.shape), np.sum)
    loss = np.where(table.grid == 0, loss, np.inf)
    front = trade_offs(settled(table.grid), spread(per, np.sum), loss)
    for n in range(len(served) + 1):
        for some in itertools.combinations(served, n):
            other = table.to_generic(dict.fromkeys(some, ""), "collapsed")
            asked = other.disclosure_plan().asked_per_person * weight.sum()
            within = [t.asked for t in front if t.loss <= sum(most[g] for g in some) + 1e-9]
            assert min(within) <= asked + 1e-6


@settings(max_examples=60, deadline=None)
@given(
    tables(), st.sampled_from([0.0, 0.002, 0.01, 0.03, 1.0]), st.sampled_from(["everyone", "group"])
)
def test_collapsing_keeps_to_the_tolerance_and_never_asks_more(table, tolerance, per):
    plan = table.disclosure_plan(collapse=tolerance, per=per)
    share = table.weights() / table.weights().sum()
    gone = [g for g in range(len(share)) if plan.table.groups[g] != table.groups[g]]
    parts = [(r.gain, r.low, r.high) for r in (table.groups[g] for g in gone)]
    assert plan.asked_per_person <= table.disclosure_plan().asked_per_person + 1e-9
    assert gone == list(plan.price.groups)
    assert len(plan.table.history) == len(gone)
    if per == "group":
        assert all(high <= tolerance for _, _, high in parts)
    elif gone:
        gain, low, high = np.array(parts).T
        total = combine_intervals(gain, low, high, share[gone])
        assert total[2] <= tolerance
        assert plan.price.given_up == pytest.approx(total[0])
    if tolerance == 1.0:
        assert plan.asked_per_person == 0 or all(r > 0 for r in table.grid.ravel()[:1])


@settings(max_examples=30, deadline=None)
@given(tables())
def test_the_tolerance_that_the_curve_names_leads_there(table):
    curve = table.disclosure_plan().curve()
    asked = [point.asked for point in curve]
    assert asked == sorted(asked, reverse=True)
    for point in curve:
        assert table.disclosure_plan(collapse=max(point.at_most, 0)).asked_per_person <= (
            point.asked + 1e-9
        )


def test_collapsing_asks_no_race_of_men():
    """The example of section 5 of Suriyakumar et al. (2023), with a gain that is worth little."""
    gains = [0.05, 0.06, 0.07, 0.001, 0.0, 0.002]
    table = make_table([2, 3], served={0, 1, 2, 3, 5}, gains=gains, half=0.004)
    assert table.disclosure_plan().asked_per_person == 2
    plan = table.disclosure_plan(collapse=0.006, per="group")
    assert plan.next({"sex": "s1"}).ask is None
    assert plan.next({"sex": "s0"}).ask == "age"
    assert plan.asked_per_person == 1.5
    assert plan.price.given_up == pytest.approx((0.001 + 0.002) / 6)
    assert [c.report for c in plan.table.history] == [("s1", "a0"), ("s1", "a2")]
    assert [g.candidate for g in plan.table.groups] == ["onehot"] * 3 + ["generic"] * 3
    assert len(plan.table.routes) == 4
    text = " ".join(str(plan).split())
    assert "Collapsed: (s1, a0); (s1, a2) went back to generic, which saves 0.50" in text


def test_a_gain_that_is_not_known_is_never_given_up():
    table = make_table([2], served={0}, gains=[float("nan"), 0])
    unknown = replace(table.groups[0], gain=None, low=None, high=None)
    table = replace(table, groups=(unknown, table.groups[1]))
    for per in ("everyone", "group"):
        assert table.collapse(1.0, per) == table


@pytest.mark.parametrize(
    ("tolerance", "per", "message"),
    [
        (-0.1, "group", "0 or more"),
        (float("nan"), "group", "0 or more"),
        (0.1, "person", "pass 'everyone'"),
    ],
)
def test_collapse_refuses_what_it_cannot_keep(tolerance, per, message):
    with pytest.raises(ValueError, match=message):
        make_table([2, 2], served={0}).collapse(tolerance, per)
    with pytest.raises(TypeError, match="pass a number"):
        make_table([2, 2], served={0}).collapse("much")


# changing a table
def test_a_group_goes_back_to_generic_and_nothing_else_does():
    table = make_table([2, 1], served={0, 1})  # one level of age: (s0, ?) shares the route
    assert table.grid.tolist() == [[0, 0], [1, 1], [2, 2]]
    after = table.to_generic({0: "violated"}, "withdrawn", gain={0: -0.1})
    assert after.grid.tolist() == [[0, 0], [0, 0], [1, 1]]
    assert after.groups[1] == table.groups[1]
    assert after.routes == (table.routes[0], table.routes[2])
    assert after.history == (
        Change("withdrawn", ("s0", "a0"), "onehot", "violated", 50, -0.1, 0.01, 0.03),
    )
    assert after.groups[0].gain == 0.0
    twice = after.to_generic({1: "too"}, "withdrawn")
    assert [c.report[0] for c in twice.history] == ["s0", "s1"]
    assert "Since then back to generic: (s0, a0) from onehot, withdrawn; (s1" in str(twice)


def test_history_survives_json_and_old_tables_have_none():
    table = make_table([2, 2], served={0, 3}).to_generic({3: "why"}, "collapsed")
    assert RoutingTable.from_json(table.to_json()) == table
    old = json.loads(table.to_json())
    del old["history"]
    assert RoutingTable.from_dict(old).history == ()


# what people see
@settings(max_examples=30, deadline=None)
@given(tables(), st.sampled_from([None, 0.01]))
def test_text_fits_a_terminal(table, collapse):
    text = str(table.disclosure_plan(collapse=collapse))
    assert all(len(line) <= 80 for line in text.splitlines()), text


def test_text_shows_the_tree_and_what_less_would_cost():
    plan = make_table([2, 2], served={0, 2}).disclosure_plan()
    assert str(plan).splitlines() == [
        "Disclosure plan: 1.50 of 2 attributes asked per person, the least that leads",
        "everybody to the same route as a full report.",
        "",
        "everyone (200 rows): ask age",
        "  a0 (100 rows): ask sex",
        "    s0 (50 rows) -> onehot, gain +2.0% [+1.0%, +3.0%]",
        "    s1 (50 rows) -> onehot, gain +2.0% [+1.0%, +3.0%]",
        "  a1 (100 rows) -> generic",
        "",
        "To ask less (means per person, error; tolerance: the collapse= that leads",
        "there):",
        "  asked      gain  given up   at most   tolerance",
        "   1.50     +1.0%     +0.0%     +0.0%           0  <- this plan",
        "   0.00     +0.0%     -1.0%     -1.4%     0.01354",
    ]


def test_an_infinite_gain_is_a_number_in_the_text_and_a_word_in_json():
    plan = make_table([2, 2], {0, 2}, gains=[-math.inf, 0, math.inf, 0], metric="log_loss")
    plan = plan.disclosure_plan()
    text = str(plan)
    assert "-> onehot, gain -inf" in text
    assert "-> onehot, gain +inf" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    tree = json.loads(plan.to_json())["tree"]
    ends = tree["branches"]["a0"]["branches"]
    assert [ends[level]["gain"] for level in ("s0", "s1")] == ["-inf", "inf"]


def test_an_infinite_gain_without_an_interval_is_shown_alone():
    table = make_table([2], {0}, gains=[-math.inf, 0], metric="log_loss")
    groups = (replace(table.groups[0], low=None, high=None), table.groups[1])
    plan = replace(table, groups=groups).disclosure_plan()
    assert "  s0 (50 rows) -> onehot, gain -inf" in str(plan).splitlines()
    end = json.loads(plan.to_json())["tree"]["branches"]["s0"]
    assert (end["gain"], end["low"], end["high"]) == ("-inf", None, None)


def test_tree_is_drawn_with_every_question_and_end():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    ax = make_table([2, 3], served={0, 5}).disclosure_plan().plot()
    texts = [t.get_text() for t in ax.texts]
    assert [t for t in texts if t.endswith("?")].count("sex?") >= 1
    assert "onehot  (50)" in texts
    assert {"s0", "s1", "a0", "a1", "a2"} <= set(texts)
    pyplot.close(ax.figure)


def in_part(strengths, rows):
    """A table of 2 x 3 groups, of which some are served by a part of multilevel."""
    table = make_table([2, 3], set(strengths), rows)
    records = [
        replace(r, candidate="multilevel", strength=strengths[g]) if g in strengths else r
        for g, r in enumerate(table.groups)
    ]
    return RoutingTable.from_choices(
        table.schema, records, policy="priced", metric="error", alpha=0.1
    )


def test_tree_says_how_much_of_a_correction_is_used_and_has_room_for_it():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    rows = [1234, 50, 123_456_789, 50, 40, 50]
    plan = in_part({0: 0.25, 1: 0.5, 2: 0.75, 3: 1.0, 5: 0.3}, rows).disclosure_plan()
    ax = plan.plot()
    boxes = {t.get_text(): t.get_bbox_patch() for t in ax.texts if t.get_bbox_patch()}
    assert set(boxes) - {"sex?", "age?"} == {
        "a quarter of multilevel  (1,234)",
        "half of multilevel  (50)",
        "three quarters of multilevel  (123,456,789)",
        "multilevel  (50)",
        "generic  (40)",
        "0.3 of multilevel  (50)",
    }
    ax.figure.draw_without_rendering()
    for text, box in boxes.items():
        assert box.get_window_extent().x1 <= ax.bbox.x1, text
    ends = json.loads(plan.to_json())["tree"]["branches"]["s0"]["branches"]
    assert [end["strength"] for end in ends.values()] == [0.25, 0.5, 0.75]
    pyplot.close(ax.figure)
