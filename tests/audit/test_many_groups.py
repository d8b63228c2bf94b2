"""Audits of many groups: comparisons in columns, and what a bundle keeps of them."""

from dataclasses import replace

import numpy as np
import pytest
from audited import audit_rows, full_audit, measure

from fairuse_router.audit import Audit
from fairuse_router.audit.bounded import bounded
from fairuse_router.audit.gain_table import GainTable
from fairuse_router.bundle.file.hidden import write_audit
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import Predictions, get_metric


@pytest.fixture(scope="module")
def many():
    """An audit of 60 groups, of which the last envies the first."""
    rng = np.random.default_rng(0)
    m, n = 60, 6000
    schema = GroupSchema(("code",), (0,), (tuple(f"g{i:02d}" for i in range(m)),))
    groups, y = rng.integers(0, m, n), rng.integers(0, 2, n)

    def flipped(share):
        return Predictions(np.where(rng.random(n) < share, 1 - y, y))

    under = [flipped(0.02 if h == 0 else 0.3) for h in range(m)]
    own = flipped(0.3)
    moments = measure(y, own, under.__getitem__, groups, m, [get_metric("error")])
    models = {"generic": flipped(0.3), "onehot": own}
    truth = {"?": flipped(0.3), **dict(zip(schema.group_names(), under, strict=True))}
    return audit_rows(
        y,
        models,
        groups,
        schema,
        misreports={"onehot": moments},
        routed=own,
        truthfulness=truth,
    )


def test_a_table_is_a_sequence_of_records(many):
    table = many.envy_freeness
    records = tuple(table)
    assert isinstance(table, GainTable)
    assert len(table) == len(records) == 60 * 59
    assert table == records
    assert records == table
    assert hash(table) == hash(records)
    assert table[0] == records[0]
    assert table[-1] == records[-1]
    assert table[5:9] == records[5:9]
    with pytest.raises(IndexError):
        table[len(table)]
    assert table != records[:-1]
    assert Audit.from_json(many.to_json()) == many


def test_bounded_lists_the_worst_and_counts_all(many):
    short = bounded(many)
    assert short.rationality == many.rationality
    assert len(many.envy_freeness) == 3540
    assert len(short.envy_freeness) <= 21
    worst = min(many.envy_freeness, key=lambda r: (r.verdict != "violation", r.gain))
    assert worst in short.envy_freeness
    assert {r.group for r in short.truthfulness} == set(many.groups)
    assert short.summary() == many.summary()
    assert [t.report for t in short.temptations()] == [t.report for t in many.temptations()]
    assert [t.kind for t in short.temptations()] == [t.kind for t in many.temptations()]
    assert str(short) == str(many)
    assert Audit.from_json(short.to_json()) == short
    assert bounded(short) == short
    assert len(short.to_json()) < len(many.to_json()) / 20


def test_few_groups_are_listed_one_and_all():
    audit = full_audit()[0]
    assert bounded(audit) is audit
    assert "counted" not in audit.to_dict()


def test_hidden_groups_count_as_untested(many):
    name = many.groups[3]
    data = write_audit(many, frozenset([name]), 0)
    short = Audit.from_dict(
        {**data, "risks": [r for r in data["risks"] if r["group"] != name]}
        | {k: [r for r in data[k] if r["group"] != name] for k in ("rationality", "overall")}
        | {k: [r for r in data[k] if r["n"] is not None] for k in ("envy_freeness", "truthfulness")}
    )
    (counts,) = (c.counts for c in short.counted if c.kind == "envy_freeness")
    assert counts.asked == 3540
    assert counts.untested == 2 * 59
    assert all(r.group != name and r.other != name for r in short.envy_freeness)


def test_an_audit_without_its_routing_keeps_no_counts_of_it(many):
    from fairuse_router.audit.audit import without_routing

    left = without_routing(bounded(many))
    assert {c.candidate for c in left.counted} == {"onehot"}
    assert left.summary()[0] == many.summary()[0]
    assert replace(left, counted=()).envy_freeness == left.envy_freeness
