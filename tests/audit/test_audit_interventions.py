"""The remedies for harmed groups (Table 2 of Suriyakumar et al. 2023) against a worked example."""

import numpy as np
import pytest
from audited import audit_rows

from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import Predictions

# errors among 20 rows per group, 40 for D; nothing is decoupled for D
SCHEMA = GroupSchema(("group",), (0,), (("A", "B", "C", "D"),))
SIZES = {"A": 20, "B": 20, "C": 20, "D": 40}
ERRORS = {
    "generic": {"A": 6, "B": 6, "C": 6, "D": 2},
    "onehot": {"A": 2, "B": 8, "C": 7, "D": 22},
    "decoupled": {"A": 4, "B": 3, "C": 9, "D": 0},
}
#        gain, assign generic, assign decoupled, best of three, which
WORKED = {
    "A": (0.2, 0.2, 0.2, 0.2, "onehot"),
    "B": (-0.1, 0.0, 0.15, 0.15, "decoupled"),
    "C": (-0.05, 0.0, 0.0, 0.0, "generic"),
    "D": (-0.5, 0.0, 0.0, 0.0, "generic"),
}


def worked(**settings):
    groups = np.repeat(np.arange(4), list(SIZES.values()))
    place = np.concatenate([np.arange(n) for n in SIZES.values()])
    models = {}
    for name, counts in ERRORS.items():
        wrong = place < np.repeat(list(counts.values()), list(SIZES.values()))
        models[name] = Predictions(wrong.astype(int))
    can = {"decoupled": np.array([True, True, True, False])}
    return audit_rows(np.zeros(100, int), models, groups, SCHEMA, available=can, **settings)


def numbers(record):
    return (record.gain, record.assign_generic, record.assign_decoupled, record.best_of_three)


def test_worked_example():
    records = worked().interventions("onehot")
    assert [r.group for r in records] == ["A", "B", "C", "D", None]
    for r in records[:4]:
        *expected, best = WORKED[r.group]
        assert numbers(r) == pytest.approx(tuple(expected)), r.group
        assert (r.best, r.violated, r.n) == (best, expected[0] < 0, SIZES[r.group])
        assert r.risk == pytest.approx(ERRORS["onehot"][r.group] / SIZES[r.group])
    whole = records[-1]
    assert whole.gain == pytest.approx((20 - 39) / 100)
    assert (whole.assign_generic, whole.assign_decoupled, whole.best_of_three) == (None,) * 3
    assert (whole.n, whole.best) == (100, None)


def test_by_verdict_chance_is_left_alone():
    audit = worked()
    verdicts = {r.group: r.verdict for r in audit.rationality if r.candidate == "onehot"}
    assert verdicts["B"] == verdicts["C"] == "undetermined"
    assert verdicts["D"] == "violation"
    by = {r.group: r for r in audit.interventions("onehot", rule="verdict")}
    assert [by[g].violated for g in "ABCD"] == [False, False, False, True]
    assert numbers(by["B"]) == pytest.approx((-0.1, -0.1, -0.1, 0.15))
    assert numbers(by["D"]) == pytest.approx((-0.5, 0.0, 0.0, 0.0))


def test_what_is_unknown_stays_unknown():
    audit = worked()
    absent = audit.interventions("decoupled")[3]
    assert (absent.n, absent.risk, absent.violated) == (0, None, False)
    assert numbers(absent) == (None, None, None, 0.0)
    assert absent.best == "generic"
    y, groups = np.zeros(6, int), np.array([0, 0, 0, 1, 1, 1])  # one class; C and D without rows
    half = Predictions.from_proba(np.full(6, 0.5))
    one = audit_rows(y, {"generic": half, "onehot": half}, groups, SCHEMA, metrics=("auc",))
    for r in one.interventions():
        assert (r.risk, *numbers(r), r.best, r.violated) == (None,) * 6 + (False,)


def test_view_frame_and_errors():
    audit = worked(metrics=("error",))
    text = audit.interventions_text("onehot")
    assert max(map(len, text.splitlines())) <= 80
    assert "B" + " " * 23 + "20   40.0%  -10.0% !   +0.0%    +15.0%  +15.0% decoupled" in text
    assert "flatters" in text
    assert "which may be chance" in text
    assert "corrected test" in audit.interventions_text("onehot", rule="verdict")
    frame = audit.to_frame(table="interventions")
    assert frame.shape == (10, 11)  # two candidates, four groups and all rows
    assert frame["violated"].sum() == 5  # B, C, D and all rows by onehot; C by decoupled
    for call, message in (
        (lambda: audit.interventions("generic"), r"Allowed: onehot, decoupled"),
        (lambda: audit.interventions("onehot", rule="hope"), r"Allowed: estimate, verdict"),
        (lambda: audit.interventions_text("mine"), r"candidate='mine'"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
