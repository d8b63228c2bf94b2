"""Cards: every number comes from the table or an audit, and no text of the data is markup."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from sklearn.linear_model import LogisticRegression

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.card import Card, plot_corrections, plot_gains
from fairuse_router.card.forest import Forest, Line
from fairuse_router.datasets import make_population
from fairuse_router.grids import shown
from fairuse_router.routing.policies.promises import PROMISES
from fairuse_router.routing.policies.rules import POLICIES

# small tables keep tests quick; that they are small is said in test_parts_of_a_correction
pytestmark = pytest.mark.filterwarnings("ignore:policy='certified' on")


@pytest.fixture(scope="module")
def fitted():
    law = make_population(600, n_groups=4, effect="slopes", random_state=1)
    X, y = law.to_frame(), law.y
    router = FairUseRouter(
        LogisticRegression(), list(law.group_columns), policy="best", n_resamples=30
    )
    router.fit(X[:400], y[:400])
    return router, router.audit(X[400:], y[400:], metrics=["error", "auc"])


def test_claim_and_choice_are_told_apart(fitted):
    router, audit = fitted
    claim, choice = Card.of(router, audit).to_markdown(), Card.of(router).to_markdown()
    assert f"{audit.n} held-out rows, which no model has seen" in claim
    assert "this is evidence of the choice, not a claim" in choice
    assert "not a claim" not in claim
    with pytest.raises(ValueError, match=r"audit is router.audit_, whose rows chose the routes"):
        Card.of(router, router.audit_)
    with pytest.raises(ValueError, match=r"audit has the groups \['a'\]"):
        Card.of(router, replace(audit, groups=("a",)))


def test_numbers_are_those_of_the_audit(fitted):
    router, audit = fitted
    text = Card.of(router, audit, min_cell=0).to_markdown()
    for record in audit.summary():
        risk = f"{100 * record.risk:.1f}%" if record.metric == "error" else f"{1 - record.risk:.3f}"
        assert re.search(rf"\| {record.candidate} \| {risk} \|", text)
    for record, name in zip(
        router.routing_table_.groups, router.schema_.group_names(), strict=True
    ):
        assert f"| {name} | {record.rows} | {record.candidate} |".replace("<", r"\<") in text
    honest = router.honest_gains_.overall
    assert f"| all groups | {100 * honest.naive:+.1f}% | {100 * honest.gain:+.1f}% (" in text


def test_other_things_than_routers_audits_and_tables(fitted):
    router, audit = fitted
    for call, message in (
        (lambda: Card.of(audit), "router must be a fitted FairUseRouter; got Audit"),
        (lambda: Card.of(router, router.routing_table_), "audit is a RoutingTable; pass router"),
        (lambda: plot_gains(router), "audit is a FairUseRouter; pass an Audit"),
        (lambda: plot_corrections(audit), "table is a Audit; pass router.routing_table_"),
    ):
        with pytest.raises(TypeError, match=message):
            call()


def test_there_and_back(fitted, tmp_path):
    card = Card.of(*fitted, title="T", description="D")
    again = Card.from_dict(json.loads(card.to_json()))
    assert again.to_markdown() == card.to_markdown()
    assert again.audit == card.audit
    for ending in ("md", "html", "json"):
        card.save(tmp_path / f"card.{ending}")
        assert (tmp_path / f"card.{ending}").stat().st_size > 1000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["card.html", "card.json", "card.md"]
    with pytest.raises(ValueError, match=r"ends in '.pdf'; allowed: .md, .html, .json"):
        card.save(tmp_path / "card.pdf")


def test_texts_of_the_data_are_no_markup():
    rng = np.random.default_rng(0)
    X = np.array([["<b>|x|</b>", "[a](b)"][i % 2] for i in range(200)], dtype=object)[:, None]
    X = np.hstack([X, rng.normal(size=(200, 1)).astype(object)])
    router = FairUseRouter(LogisticRegression(), [0]).fit(X, rng.integers(0, 2, 200))
    card = Card.of(router, title="<script>")
    assert "<script>" not in card.to_html()
    assert "&lt;b&gt;|x|&lt;/b&gt;" in card.to_html()
    text = card.to_markdown()
    assert r"\<b\>\|x\|\</b\>" in text
    assert r"\[a\](b)" in text


def test_every_policy_has_its_promise(fitted):
    assert set(PROMISES) == set(POLICIES)
    table = fitted[0].routing_table_
    for policy, (_, promise) in PROMISES.items():
        text = Card(replace(table, policy=policy)).to_markdown()
        assert (
            promise.replace("`", "").split("(")[0].replace(">", r"\>").replace("_", r"\_") in text
        )


def test_certified_is_called_exact_only_where_it_is():
    law = make_population(600, n_groups=4, effect="slopes", random_state=1)
    X, y = law.to_frame(), law.y
    groups = list(law.group_columns)

    def promise(weight=None, **settings):
        router = FairUseRouter(
            LogisticRegression(), groups, policy="certified", random_state=0, **settings
        ).fit(X, y, weight)
        text = Card.of(router).to_markdown()
        return text[text.index("Promise: ") :].split("\n")[0]

    assert "exact for the error of independent rows without weights" in promise()
    for given in ({"weight": np.ones(600)}, {"metric": "log_loss"}):
        assert "exact" not in promise(**given)
        assert "as far as its test (paired t) keeps its level" in promise(**given)
    assert "(of auc)" in Card(_table(metric="auc")).to_markdown()
    assert "exact" not in Card(_table(metric="auc")).to_markdown()


def _table(**changes):
    law = make_population(200, n_groups=4, random_state=1)
    router = FairUseRouter(LogisticRegression(), list(law.group_columns), cv=2)
    return replace(router.fit(law.to_frame(), law.y).routing_table_, policy="certified", **changes)


def test_tests_and_rows_left_out_are_named(fitted):
    router, audit = fitted
    text = Card.of(router, replace(audit, n_partial=3)).to_markdown()
    assert "Tests: mid-p McNemar (error)." in text
    assert "Tests: DeLong (auc)." in text
    assert "no model has seen; 3 more rows withhold something." in text
    kept = {
        name: tuple(r for r in getattr(audit, name) if r.metric == "auc")
        for name in ("risks", "overall", "rationality", "truthfulness")
    }
    other = replace(audit, metrics=("auc",), envy_freeness=(), **kept)
    assert "Envy-freeness is not tested" not in Card.of(router, other).to_markdown()


def test_picture_shows_every_group(fitted):
    pytest.importorskip("matplotlib").use("Agg")
    _, audit = fitted
    ax = plot_gains(audit, metric="error")
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert [label.rsplit(" (", 1)[0] for label in reversed(labels)] == list(audit.groups)
    gains = [r.gain for r in audit.rationality if (r.metric, r.candidate) == ("error", "routed")]
    points = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1]
    assert points == pytest.approx([100 * g for g in reversed(gains)])
    with pytest.raises(ValueError, match="candidate='x' with metric='error' is not in the audit"):
        plot_gains(audit, "x")


@pytest.mark.parametrize("level", ["$20k-$50k", "$$a$$", r"$\frac{1}$", "a$b", "$", "\u202eb\x1b"])
def test_levels_in_pictures_are_texts(level):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"x": rng.normal(size=200), "income $": np.where(rng.uniform(size=200) < 0.5, level, "b")}
    )
    y = (X["x"] * np.where(X["income $"] == "b", 1, -1) > 0).astype(int)
    router = FairUseRouter(
        LogisticRegression(), ["income $"], policy="priced", cv=2, random_state=0
    )
    table = router.fit(X, y).routing_table_
    pictures = [
        plot_gains(router.audit_),
        plot_corrections(table),
        table.disclosure_plan().plot(),
    ]
    for ax in pictures:
        ax.figure.canvas.draw()
        texts = [t for t in ax.figure.findobj(Text) if t.get_text()]
        assert not [t for t in texts if t._preprocess_math(t.get_text())[1]]
        assert any(shown(level) in t.get_text() for t in texts)
        pyplot.close(ax.figure)


# the card stands alone
def test_the_verdict_says_who_gains_and_whether_anybody_loses(fitted):
    router, audit = fitted
    card = Card.of(router, audit, min_cell=0)
    mine = [r for r in audit.rationality if (r.metric, r.candidate) == ("error", "routed")]
    told = [
        r
        for r, g in zip(mine, router.routing_table_.groups, strict=True)
        if g.candidate != "generic"
    ]
    shown = sum(r.verdict == "gain" for r in told)
    words = ["none", "one", "two", "three", "four"]
    verb = "are" if shown > 1 else "is"
    start = f"{words[shown].capitalize()} of four groups {verb} shown"
    assert card.verdict().startswith(start)
    assert "Nobody is shown to lose." in card.verdict()
    assert card.verdict().endswith(f"That is by {audit.n} rows that no model has seen.")
    assert "no audit on held-out rows is at hand" in Card.of(router).verdict()
    shown = {"verdict": "violation", "p_gain": 1.0, "p_violation": 0.001, "p_corrected": 0.002}
    lost = tuple(replace(r, **shown) if r == told[0] else r for r in audit.rationality)
    bad = Card.of(router, replace(audit, rationality=lost), min_cell=0).verdict()
    assert "One is shown to lose by it." in bad
    silent = router.with_table(router.routing_table_.collapse(1.0))
    assert Card.of(silent).verdict().startswith("All four groups are served as if they had told")


def test_a_card_of_a_file_says_what_the_card_of_its_router_says(fitted, tmp_path):
    router, audit = fitted
    law = make_population(600, n_groups=4, effect="slopes", random_state=1)
    export_bundle(router, tmp_path / "r.onnx", law.to_frame(), audit=audit, candidates="all")
    bundle = Bundle.load(tmp_path / "r.onnx")
    mine, theirs = Card.of(bundle), Card.of(router, audit)
    assert mine.verdict() == theirs.verdict()
    assert mine.audit == theirs.audit
    assert mine.selection == theirs.selection
    assert mine.table.groups == theirs.table.groups
    text = mine.to_markdown()
    assert bundle.metadata["fairuse_router.sha256"] in text
    for title in ("Verdict", "The words", "What people are asked", "Limits", "By TRIPOD+AI"):
        assert f"## {title}" in text
    assert "Envy-freeness: no group would be served better by the predictions of another" in (
        mine.to_html()
    )


def test_a_folded_line_of_the_plan_is_one_point_and_who_serves_has_its_strength():
    law = make_population(3000, effect="interaction", random_state=1)
    X, name = law.to_frame(), law.group_attributes[1]
    X[name] = X[name].replace({"b2": "a level whose name leaves no place beside it for a gain"})
    table = FairUseRouter(LogisticRegression(), law.group_attributes, random_state=0)
    table = table.fit(X, law.y).routing_table_
    assert "\n          " in str(table.disclosure_plan())  # it has a folded line
    text = Card(table, title="T").to_markdown()
    lines = [line for line in text.split("\n") if "\u2023" in line]
    assert lines
    assert all(re.search(r"\u2023 [^\u2023]+ rows\\?\)", line) for line in lines)
    assert "| half of multilevel |" in text


def test_small_cells_are_hidden_on_cards(fitted):
    router, audit = fitted
    rows = sorted(record.rows for record in router.routing_table_.groups)
    card = Card.of(router, audit, min_cell=rows[0] + 1)
    hidden = [g.report for g in card.table.groups if g.rows is None]
    assert len(hidden) == 2
    for name in (", ".join(report) for report in hidden):
        assert all(r.n is r.gain is None for r in card.audit.rationality if r.group == name)
        assert f"| {name} | hidden |".replace("<", r"\<") in card.to_markdown()
    assert card.verdict()


def test_pictures_are_in_the_page_and_agree_with_its_table(fitted):
    router, audit = fitted
    page = Card.of(router, audit, min_cell=0).to_html()
    pictures = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page)]
    assert len(pictures) >= 2
    texts = ["".join(t.itertext()) for t in pictures[0].iter("{http://www.w3.org/2000/svg}text")]
    for record in audit.rationality[: len(audit.groups)]:
        assert f"{record.group} ({record.n})" in texts
    assert pictures[0].get("role") == "img"
    assert "data:image/svg+xml;base64," in Card.of(router, audit).to_markdown()


def test_names_are_folded_and_many_lines_are_left_out():
    long = "a very long name of a group, with many levels, of many attributes, <none> cut"
    lines = [Line(f"{long} {i}", i / 100, i / 100 - 0.1, i / 100 + 0.1, "gain") for i in range(90)]
    svg = Forest("t", "gain", lines).to_svg()
    tree = ElementTree.fromstring(svg)
    texts = [t.text for t in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert "50 groups between, not drawn" in texts
    assert long in " ".join(texts)
    kept = [i for i in range(90) if f"cut {i}" in " ".join(texts)]
    assert kept == [*range(20), *range(70, 90)]
    empty = Forest("t", "gain", [Line("x", None, None, None, "undetermined")]).to_svg()
    assert "not shown or not known" in empty
    ElementTree.fromstring(Forest("t", "gain", [Line("x", float("inf"), 0, 1, "same")]).to_svg())
