"""Temptations: the best misreport of each group, its size, and whether it is more than noise."""

import numpy as np
import pytest
from forced import force, serve
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter
from fairuse_router.audit import temptation_text, temptations


@pytest.fixture(scope="module")
def router(rows):
    return FairUseRouter(LogisticRegression(), rows.groups, cv=2).fit(rows.frame, rows.y)


def test_the_best_misreport_is_found_and_shown(many_rows, router):
    """Old men are served by the model of old women, though their own would serve them better."""
    wrong = force(router, ("decoupled",))
    wrong.candidates_["decoupled"].model_of_group[2] = 0
    serve(wrong, wrong.routing_table_)
    X, y = many_rows.frame, many_rows.y
    audit = wrong.audit(X, y, metrics=["error", "log_loss"])
    found = temptations(audit)
    assert [(t.metric, t.group) for t in found] == [
        (metric, group) for metric in ("error", "log_loss") for group in audit.groups
    ]
    for t in found[:4]:
        mine = (X[["sex", "age"]].agg(", ".join, axis=1) == t.group).to_numpy()
        risks = {}
        for code in wrong.schema_.report_codes:
            sex, age = wrong.schema_.report_texts(code)
            label = wrong.predict(X[mine].assign(sex=sex, age=age))
            risks[f"{sex}, {age}"] = np.mean(label != y[mine])
        others = {name: r for name, r in risks.items() if name != t.group}
        assert t.gain == pytest.approx(risks[t.group] - min(others.values()))
        assert others[t.report] == min(others.values())
        assert t.as_good == sum(r == min(others.values()) for r in others.values()) - 1
        assert t.low <= t.gain <= t.high
    old_men = found[2]
    assert (old_men.kind, old_men.n) == ("gain left", 240)
    assert old_men.gain > 0.1
    assert old_men.p_corrected <= 0.1
    assert audit.temptations() == found
    text = temptation_text(audit)
    assert audit.temptation_text() == text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "gain left" in text
    assert "log_loss" in text


def test_a_temptation_that_is_not_shown_is_called_noise(many_rows, router):
    mine = force(router, ("decoupled",))
    few = slice(0, 60)
    audit = mine.audit(many_rows.frame[few], many_rows.y[few])
    found = temptations(audit)
    assert {t.kind for t in found} <= {"none", "noise"}
    for t in found:
        assert (t.gain > 0) == (t.kind == "noise")


def test_generic_for_all_tempts_nobody(many_rows, router):
    audit = force(router, ("generic",)).audit(many_rows.frame, many_rows.y)
    assert {(t.gain, t.kind) for t in temptations(audit)} == {(0.0, "none")}
    assert "in 4 nothing beats the truth" in " ".join(temptation_text(audit).split())


def test_out_of_fold_rows_compare_no_reports(router):
    with pytest.raises(ValueError, match=r"pass router\.audit\(X_test, y_test\)"):
        temptations(router.audit_)
    with pytest.raises(ValueError, match=r"no truthfulness.*use router\.audit\(X, y\)"):
        router.audit_.temptation_text()
