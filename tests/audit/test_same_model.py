"""A model is not tested against itself: the gain is 0, no interval, counted nowhere."""

from dataclasses import replace

import numpy as np
import pytest
from audited import SCHEMA, select
from forced import force, serve
from small_routers import router

from fairuse_router.audit import Routing, audit_rows
from fairuse_router.candidates.scores import Scores
from fairuse_router.card import Card, plot_gains
from fairuse_router.inference.compare import Rows
from fairuse_router.metrics import Predictions, get_metric
from fairuse_router.routing.policies.evidence import Evidence

METRICS = [get_metric(name) for name in ("error", "auc", "brier", "ece")]


def audited(routes, seed=0):
    """Four groups; the routing answers by onehot where the route of a row is not 0."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(4), 60)
    z = rng.normal(0, 1.5, 240)
    y = (rng.random(240) < 1 / (1 + np.exp(-z))).astype(int)
    p = [1 / (1 + np.exp(-z - scale * rng.normal(size=240))) for scale in (2.0, 0.3)]
    scores = {
        name: Scores(Predictions.from_proba(own), np.ones(240, dtype=bool))
        for name, own in zip(("generic", "onehot"), p, strict=True)
    }
    routes = np.asarray(routes)
    mixed = Predictions.from_proba(np.where(routes != 0, p[1], p[0]))
    evidence = Evidence(Rows(y, groups, 4), scores, METRICS)
    return evidence, mixed, routes


def test_groups_served_by_generic_are_the_same_and_no_test():
    evidence, mixed, routes = audited(np.repeat([0, 1, 0, 0], 60))
    audit = audit_rows(evidence, SCHEMA, None, Routing(mixed, routes))
    for metric in METRICS:
        own = select(audit.rationality, candidate="routed", metric=metric.name)
        assert [r.verdict == "same" for r in own] == [True, False, True, True]
        assert {(r.gain, r.low, r.high, r.p_gain) for r in own if r.verdict == "same"} == {
            (0.0, None, None, None)
        }
        # the family is one test: Holm over groups that are no test would double or triple this
        alone = own[1]
        assert alone.p_corrected == pytest.approx(
            min(1.0, 2 * min(alone.p_gain, alone.p_violation))
        )
        (counts,) = (
            s.rationality
            for s in audit.summary()
            if (s.metric, s.candidate) == (metric.name, "routed")
        )
        assert (counts.same, counts.untested) == (3, 0)
        assert str(counts).endswith("=3")
    assert {r.verdict for r in select(audit.overall, candidate="routed")} != {"same"}


def test_groups_with_some_rows_of_another_route_are_tested():
    routes = np.repeat([0, 1, 0, 0], 60)
    routes[0] = 1
    evidence, mixed, routes = audited(routes)
    audit = audit_rows(evidence, SCHEMA, None, Routing(mixed, routes))
    own = select(audit.rationality, candidate="routed", metric="brier")
    assert [r.verdict == "same" for r in own] == [False, False, True, True]


def test_generic_for_all_is_the_same_as_generic():
    evidence, mixed, routes = audited(np.zeros(240, dtype=int))
    audit = audit_rows(evidence, SCHEMA, None, Routing(mixed, routes))
    assert {r.verdict for r in select(audit.rationality, candidate="routed")} == {"same"}
    assert {r.verdict for r in select(audit.overall, candidate="routed")} == {"same"}
    unknown = audit_rows(evidence, SCHEMA, None, Routing(mixed))  # chance may make models agree
    assert {r.verdict for r in select(unknown.rationality, candidate="routed")} == {"undetermined"}


def test_reports_that_share_a_route_are_the_same_for_who_files_them(many_rows):
    model = router().fit(many_rows.frame[:480], many_rows.y[:480])
    force(model, ("decoupled", "generic"))
    X, y = many_rows.frame[480:], many_rows.y[480:]
    audit = model.audit(X, y)
    schema, table = model.schema_, model.routing_table_
    route = {schema.report_name(c): int(table.look_up(c[None])[0]) for c in schema.report_codes}
    assert len(audit.truthfulness) == 4 * 8
    for r in audit.truthfulness:
        assert (r.verdict == "same") == (route[r.group] == route[r.other]), (r.group, r.other)
    served = {r.group: r.verdict for r in select(audit.rationality, candidate="routed")}
    assert [v == "same" for v in served.values()] == [False, True, False, True]
    assert "=2" in str(audit)
    assert all(len(line) <= 80 for line in str(audit).splitlines())


def test_tables_cards_and_pictures_say_so(many_rows):
    model = router(policy="best").fit(many_rows.frame, many_rows.y)
    everyone = [replace(g, candidate="generic") for g in model.routing_table_.groups]
    table = type(model.routing_table_).from_choices(
        model.schema_, everyone, policy="best", metric="error", alpha=0.1
    )
    serve(model, table)
    audit = replace(model.audit(many_rows.frame, many_rows.y), evidence="held-out rows")
    assert {r.verdict for r in audit.truthfulness} == {"same"}
    text = Card.of(model, audit).to_markdown()
    assert "same" in text
    plot_gains(audit)


def test_the_table_of_a_fit_has_no_interval_for_generic(rows):
    model = router(policy="priced", partial="generic", min_group_size=300).fit
    with pytest.warns(UserWarning, match="No group has min_group_size"):
        fitted = model(rows.frame, rows.y)
    for record in fitted.routing_table_.groups:
        assert (record.candidate, record.gain, record.low, record.high) == (
            "generic",
            0.0,
            0.0,
            0.0,
        )
