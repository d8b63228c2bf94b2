"""The card of an audit: anybody's models, on one page."""

import json

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from fairuse_router import FairUseRouter, audit_predictions
from fairuse_router.card import AuditCard, Card


@pytest.fixture(scope="module")
def audit():
    """Two models of others: told gains for women and loses for men, late is generic itself."""
    rng = np.random.default_rng(0)
    y, sex = rng.integers(0, 2, 600), np.repeat(["F", "M"], 300)

    def wrong(women, men):
        return np.where(rng.random(600) < np.where(sex == "F", women, men), 1 - y, y)

    generic = wrong(0.4, 0.1)
    models = {"generic": generic, "told": wrong(0.1, 0.4), "late": generic}
    return audit_predictions(y, models, sex, metrics=["error", "fnr"])


def test_verdicts_and_numbers_are_those_of_the_audit(audit):
    card = AuditCard.of(audit, title="Theirs", description="Who comes back.", date="2026-01-02")
    told, late, *_ = card.verdict()
    assert told == (
        "told, in error: 1 of 2 groups is shown to gain over generic. 1 group is shown to lose."
    )
    assert late == (
        "late, in error: 0 of 2 groups are shown to gain over generic. No group is shown to lose."
    )
    text = card.to_markdown()
    for record in audit.rationality:
        if record.metric == "error" and record.candidate == "told":
            assert f"| {record.group} | 300 |" in text
            assert f"| {100 * record.gain:+.1f}% (" in text
            assert f"| {record.verdict} |" in text
    assert "Violation: M would gain +" in text
    assert "Who comes back." in text
    assert "Card of 2026-01-02." in text
    # nothing is said of what was not asked, nor of rows that are not known
    for absent in ("Envy-freeness", "Truthfulness", "which no model has seen", "policy"):
        assert absent not in text
    titles = [section.title for section in card.page().sections]
    assert titles[2:8] == [
        *("The words", "Audit: error", "Each group: error, told", "Each group: error, late"),
        *("Audit: fnr", "Each group: fnr, told"),
    ]


def test_there_and_back_and_files(audit, tmp_path):
    card = AuditCard.of(audit)
    again = AuditCard.from_dict(json.loads(card.to_json()))
    assert again == card
    for ending, start in ((".md", "# Audit"), (".html", "<!DOCTYPE html>"), (".json", "{")):
        card.save(tmp_path / f"a{ending}")
        assert (tmp_path / f"a{ending}").read_text(encoding="utf-8").startswith(start)
    with pytest.raises(ValueError, match=r"ends in '.pdf'; allowed: .md, .html, .json"):
        card.save(tmp_path / "a.pdf")


def test_other_baselines_remedies_and_small_groups():
    y, sex = np.array([0, 1] * 50), np.array(["F"] * 48 + ["M"] * 48 + ["X"] * 4)
    models = {"now": np.roll(y, 1), "onehot": y}  # remedies without a decoupled model, too
    audit = audit_predictions(y, models, sex, baseline="now")
    text = AuditCard.of(audit).to_markdown()
    assert "is served worse by its report than by the model now." in text
    assert "Gains over now if groups" in text
    assert "Remedies for the one-hot model: error" in text
    assert "| X | hidden | n/a | n/a | n/a |" in text
    assert "| X | 4 |" not in text
    assert "| X | 4 |" in AuditCard.of(audit, min_cell=0).to_markdown()


def test_of_a_router_and_what_is_no_audit(audit):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
    y = X[:, 0] + rng.normal(size=200) > 0
    router = FairUseRouter(GaussianNB(), [1], cv=2).fit(X[:120], y[:120])
    own = router.audit(X[120:], y[120:])
    text = AuditCard.of(own).to_markdown()
    assert "Truthfulness" in text
    assert "Each group: error, routed" in text
    with pytest.raises(TypeError, match="audit is a FairUseRouter; pass an Audit"):
        AuditCard.of(router)
    with pytest.raises(TypeError, match="audit is a Card; pass an Audit"):
        AuditCard.of(Card.of(router))
