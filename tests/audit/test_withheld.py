"""Audits of those who withhold: by the report they sent, and everybody together."""

import numpy as np
import pandas as pd
import pytest
from lattices import LOGISTIC

from fairuse_router import FairUseRouter
from fairuse_router.audit import Audit
from fairuse_router.bundle.file.hidden import write_audit
from fairuse_router.card import Card
from fairuse_router.datasets import make_population


@pytest.fixture(scope="module")
def world():
    population = make_population(1500, n_groups=6, effect="slopes", random_state=4)
    router = FairUseRouter(
        LOGISTIC, population.group_attributes, candidates=("generic", "onehot"), random_state=0
    ).fit(population.to_frame(), population.y)
    assert any(r.candidate != "generic" for r in router.routing_table_.partial)
    fresh = population.sample(900, random_state=1)
    X, rng = fresh.to_frame(), np.random.default_rng(0)
    for name in population.group_attributes:
        X.loc[rng.random(len(X)) < 0.2, name] = "?"
    return router, X, fresh.y


def test_everybody_is_audited(world):
    router, X, y = world
    audit = router.audit(X, y)
    routed, generic = (
        router.predict(X),
        router.candidates_["generic"]
        .models[0]
        .predict(X.drop(columns=list(router.schema_.attributes))),
    )
    risks = {(r.candidate, r.group): (r.n, r.risk) for r in audit.everybody.risks}
    silent = (X[list(router.schema_.attributes)] == "?").any(axis=1).to_numpy()
    for name, said in (("generic", generic), ("routed", routed)):
        assert risks[name, None] == (900, pytest.approx(np.mean(said != y)))
        for group, rows in (("everything told", ~silent), ("something withheld", silent)):
            wrong = np.mean(said[rows] != y[rows])
            assert risks[name, group] == (rows.sum(), pytest.approx(wrong))
    (whole,) = audit.everybody.overall
    assert whole.gain == pytest.approx(np.mean(generic != y) - np.mean(routed != y))
    assert audit.n == (~silent).sum()
    assert audit.n_partial == silent.sum()


def test_those_who_withhold_are_audited_by_the_report_they_sent(world):
    router, X, y = world
    withheld = router.audit(X, y).withheld
    sent = X[list(router.schema_.attributes)].agg(", ".join, axis=1)
    partial = sent[sent.str.contains("?", regex=False)]
    assert set(withheld.groups) == set(partial)
    assert sum(r.n for r in withheld.rationality) == len(partial)
    told = {r.group: r for r in withheld.rationality}
    served = dict(zip(partial, router.route(X.loc[partial.index]).candidate, strict=True))
    generic = router.candidates_["generic"].models[0]
    for name, record in told.items():
        rows = np.flatnonzero(sent == name)
        assert record.n == len(rows)
        if served[name] == "generic":
            assert record.verdict == "same"
            continue
        plain = generic.predict(X.iloc[rows].drop(columns=list(router.schema_.attributes)))
        gain = np.mean(plain != y[rows]) - np.mean(router.predict(X.iloc[rows]) != y[rows])
        assert record.gain == pytest.approx(gain)
    # truthfulness: partial reporters against every other report, those that tell more included
    others = {r.other for r in withheld.truthfulness if r.group == "?, ?"}
    assert len(others) == router.schema_.n_reports - 1
    # and withholding, of everybody who tells everything
    parts = {r.other for r in router.audit(X, y).truthfulness if r.group == "a0, b0"}
    assert {"a0, ?", "?, b0", "?, ?"} <= parts


def test_the_text_and_the_file_tell_of_them(world):
    router, X, y = world
    audit = router.audit(X, y)
    text = str(audit)
    assert max(map(len, text.splitlines())) <= 80
    for told in ("900 held-out rows", "something withheld", "by the report that was sent"):
        assert told in text
    # one line over all rows, none again over those that withhold: another family of tests may
    # give the same rows another verdict
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("all  ")] == [
        ["all", "900"]
    ]
    again = Audit.from_json(audit.to_json())
    assert again == audit
    assert str(again) == text
    full = router.audit(X[~X.eq("?").any(axis=1)], y[~X.eq("?").any(axis=1)])
    assert full.withheld is None
    assert full.everybody is None
    assert "withheld" not in full.to_dict()


def test_numbers_of_few_who_withhold_are_left_out_of_files(world):
    router, X, y = world
    audit = router.audit(X, y)
    rows = sorted((r.n, r.group) for r in audit.withheld.rationality)
    data = write_audit(audit, frozenset(), rows[0][0] + 1)
    shown = {r["group"]: r["risk"] for r in data["withheld"]["risks"]}
    hidden = {name for _, name in rows[:2]}  # the next smallest, too: totals would tell
    assert {name for name, risk in shown.items() if risk is None} == hidden


def test_a_table_that_changes_forgets_them(world):
    router, _, _ = world
    other = router.with_table(router.routing_table_.collapse(0.0))
    assert other.audit_.withheld is None


def test_by_a_site_candidates_are_compared_on_rows_that_they_answer(world):
    router, X, y = world
    site = pd.Series(np.where(np.arange(len(X)) % 3, "north", "south"), name="site")
    audit = router.audit(X, y, by=site)
    assert audit.attributes == ("site",)
    assert audit.groups == ("north", "south")
    rows = {r.candidate: r.n for r in audit.risks if r.group is None}
    full = int((~X.eq("?").any(axis=1)).sum())
    assert rows["routed"] == rows["generic"] == 900
    assert rows["onehot"] == full
    told = " ".join(str(audit).split())
    assert "Of 900 rows, risks and gains are of fewer:" in told
    assert f"onehot on {full}" in told
    with pytest.raises(ValueError, match=r"by has the shape \(899,\) for 900 rows"):
        router.audit(X, y, by=site[1:])


def test_rows_of_training_are_told_from_others(world):
    router, X, y = world
    assert router.audit(X, y).evidence == "held-out rows"
    population = make_population(1500, n_groups=6, effect="slopes", random_state=4)
    seen = population.to_frame()[:600]
    both = pd.concat([seen, X[:400]], ignore_index=True)
    audit = router.audit(both, np.concatenate([population.y[:600], y[:400]]))
    assert audit.evidence == "rows, 60% of training"
    assert "which flatters them: no claim" in " ".join(str(audit).split())
    with pytest.raises(ValueError, match="the models have seen them"):
        Card.of(router, audit)
    arrays = FairUseRouter(LOGISTIC, population.group_columns, random_state=0)
    arrays.fit(population.to_array(), population.y)
    assert arrays.audit(population.to_array(), population.y).evidence == "rows, 100% of training"


def test_explanations_walk_the_answers_in_the_plans_order(world):
    router, X, _ = world
    plan, names = router.routing_table_.disclosure_plan(), router.schema_.attributes
    people = router.explain(X[:40])
    for i, person in enumerate(people):
        told = {n: X.iloc[i][n] for n in names if X.iloc[i][n] != "?"}
        assert {t.attribute: t.level for t in person.walk} == told
        nothing = router.predict_proba(X[i : i + 1].assign(**dict.fromkeys(names, "?")))[0, 1]
        moved = sum(t.change for t in person.walk)
        expected = router.predict_proba(X[i : i + 1])[0, 1] - nothing
        assert moved == pytest.approx(expected, abs=1e-9)
        assert person.next == plan.next(told)
        first = plan.next({}).ask
        if first in told:
            record = router.routing_table_.partial[0]  # of whoever tells nothing
            assert person.walk[0].attribute == first
            walked = person.walk[0]
            assert (walked.gain, walked.low, walked.high) == record.further[first]
    assert "In the plan's order:" in str(people)
    assert max(map(len, str(people).splitlines())) <= 80
