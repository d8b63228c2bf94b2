"""Plans where partial reports have routes: what is asked first, where it stops, what it costs."""

import json

import numpy as np
import pytest

from fairuse_router.groups import GroupSchema
from fairuse_router.routing import GroupRecord, RoutingTable, order_questions, settled, spread
from fairuse_router.routing.paying import may_stop, sent_as_they_are

SCHEMA = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("<60", "60+")))


def make_table(gains, rows, *, keeps=(), further=None):
    """A table from gains and rows by report; generic where a report has no gain."""
    records = {}
    for code in SCHEMA.report_codes:
        text = SCHEMA.report_texts(code)
        gain = gains.get(text)
        base = next((b for r, b in keeps if r == text), None)
        records[text] = GroupRecord(
            text,
            rows[text],
            "generic" if gain is None else "multilevel",
            "by hand",
            gain=gain or 0.0,
            low=(gain or 0.0) / 2,
            high=2 * (gain or 0.0),
            base=base,
            keeps=base is not None,
            further=(further or {}).get(text, {}),
        )
    full = [records[SCHEMA.report_texts(code)] for code in SCHEMA.group_codes]
    partial = [records[SCHEMA.report_texts(c)] for c in SCHEMA.report_codes if not c.all()]
    kept = {"policy": "priced", "metric": "error", "alpha": 0.1}
    return RoutingTable.from_choices(SCHEMA, full, partial=partial, **kept)


ROWS = {
    ("?", "?"): 450,
    ("?", "<60"): 210,
    ("?", "60+"): 210,
    ("F", "?"): 220,
    ("M", "?"): 210,
    ("F", "<60"): 100,
    ("F", "60+"): 100,
    ("M", "<60"): 100,
    ("M", "60+"): 100,
}
ALL = {("F", "<60"): 0.05, ("F", "60+"): 0.04, ("M", "<60"): 0.03, ("M", "60+"): 0.02}


def test_what_gains_most_is_asked_first():
    # every full report has a route of its own, so that both are asked: sex alone brings more
    table = make_table({**ALL, ("F", "?"): 0.03, ("?", "<60"): 0.01}, ROWS)
    plan = table.disclosure_plan()
    assert plan.next({}).ask == "sex"
    assert plan.asked_per_person == 2.0
    other = make_table({**ALL, ("F", "?"): 0.01, ("?", "<60"): 0.03}, ROWS)
    assert other.disclosure_plan().next({}).ask == "age"


def test_it_stops_where_no_further_answer_pays():
    # women gain 5 points by telling their sex; telling age on top brings them none
    gains = {**ALL, ("F", "?"): 0.05, ("F", "<60"): 0.05, ("F", "60+"): 0.04}
    table = make_table(gains, ROWS)
    plan = table.disclosure_plan()
    assert plan.next({"sex": "F"}).ask is None
    assert plan.next({"sex": "M"}).ask == "age"
    assert plan.asked_per_person == pytest.approx(1.5)
    assert "or to where no further answer pays" in " ".join(str(plan).split())
    # without the estimate, by routes alone, both would be asked
    people = spread(np.full((2, 2), 100.0), np.sum)
    assert order_questions(settled(table.grid), people).per_person == 2.0
    assert may_stop(table)[1, 0]
    assert not may_stop(table)[2, 0]


def test_a_report_that_keeps_its_base_is_not_asked_on():
    keeps = [(("F", "<60"), ("F", "?")), (("F", "60+"), ("F", "?"))]
    table = make_table({**ALL, ("F", "?"): 0.05, ("F", "60+"): 0.05}, ROWS, keeps=keeps)
    assert len(table.routes) == 4  # generic, women, and two of men
    assert table.disclosure_plan().next({"sex": "F"}).ask is None


def test_the_next_answer_has_a_gain_and_an_interval():
    further = {("?", "?"): {"sex": (0.03, 0.01, 0.05), "age": (0.01, -0.01, 0.02)}}
    table = make_table({**ALL, ("F", "?"): 0.03}, ROWS, further=further)
    step = table.disclosure_plan().next({})
    assert (step.ask, step.gain, step.low, step.high) == ("sex", 0.03, 0.01, 0.05)
    assert table.disclosure_plan().next({"sex": "F"}).gain is None  # not weighed
    assert "ask sex, gain +3.0% [+1.0%, +5.0%]" in str(table.disclosure_plan())
    tree = json.loads(table.disclosure_plan().to_json())["tree"]
    assert tree["next"] == [0.03, 0.01, 0.05]
    again = RoutingTable.from_json(table.to_json())
    assert again.disclosure_plan().next({}) == step


def test_collapsing_takes_partial_reports_along_and_counts_who_sent_them():
    table = make_table({**ALL, ("F", "?"): 0.03}, ROWS)
    sent = sent_as_they_are(table)
    assert sent[1, 0] == 20  # 220 women, 200 of whom told their age
    assert sent[0, 0] == 0
    assert sent.sum() == 450
    less = table.collapse(1.0)
    assert not less.grid.any()
    assert {change.report for change in less.history} >= {("F", "?"), ("F", "<60")}
    price = table.disclosure_plan(collapse=1.0).price
    expected = (400 * 0.035 + 20 * 0.03) / 450
    assert price.given_up == pytest.approx(expected)
    # at a tolerance that keeps women, men alone go back, and (F, ?) stays
    some = table.collapse(0.03)
    assert some.grid[1, 0] == table.grid[1, 0]
