"""The fitted router: what its table, its routes and its audits say is what its models do."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB

from fairuse_router import FairUseRouter, RoutingTable

# small tables keep tests quick; that they are small is said in test_parts_of_a_correction
pytestmark = pytest.mark.filterwarnings("ignore:policy='certified' on")

LOGISTIC = LogisticRegression(solver="newton-cholesky")


def router(estimator=LOGISTIC, groups=("sex", "age"), **settings):
    return FairUseRouter(estimator, list(groups), **{"cv": 3, "policy": "best", **settings})


@pytest.fixture(scope="module")
def fitted(rows):
    return router().fit(rows.frame, rows.y)


def features(rows):
    return rows.frame[["x", "z"]]


# candidates
def test_candidates_are_the_estimator_on_features_and_dummies(rows, fitted):
    frame = rows.frame
    onehot = pd.get_dummies(frame[["sex", "age"]]).to_numpy(dtype=float)
    cells = np.column_stack(
        [rows.cells == c for c in ("F/old", "F/young", "M/old", "M/young")]
    ).astype(float)
    X = features(rows).to_numpy()
    for name, added in (("generic", X[:, :0]), ("onehot", onehot), ("intersectional", cells)):
        (model,) = fitted.candidates_[name].models
        by_hand = LogisticRegression(solver="newton-cholesky").fit(np.hstack([X, added]), rows.y)
        np.testing.assert_allclose(model.coef_, by_hand.coef_, rtol=1e-6, atol=1e-9)
    for g, cell in enumerate(("F/old", "F/young", "M/old", "M/young")):
        own = rows.cells == cell
        by_hand = LogisticRegression(solver="newton-cholesky").fit(X[own], rows.y[own])
        model = fitted.candidates_["decoupled"].models[g]
        np.testing.assert_allclose(model.coef_, by_hand.coef_, rtol=1e-6, atol=1e-9)
    assert list(fitted.candidates_) == ["generic", "onehot", "intersectional", "decoupled"]


def test_dummies_have_names_that_people_can_read(fitted):
    candidate = fitted.candidates_["onehot"]
    assert candidate.added_names == ("sex_F", "sex_M", "age_old", "age_young")
    assert fitted.candidates_["intersectional"].added_names[0] == "sex_F & age_old"


# routes
def test_route_names_the_model_that_serves_each_row(rows, fitted):
    routed = fitted.route(rows.frame)
    assert len(routed) == len(rows.y)
    by_cell = {cell: set(routed.candidate[rows.cells == cell]) for cell in set(rows.cells)}
    assert by_cell["M/old"] == {"decoupled"}
    record = {"/".join(g.report): g for g in fitted.routing_table_.groups}
    for i in range(0, 320, 7):
        mine = record[rows.cells[i]]
        assert routed.report[i] == mine.report
        assert routed.candidate[i] == mine.candidate
        assert routed.reason[i] == mine.reason
    for backend in ("pandas", "polars", "pyarrow"):
        frame = routed.to_frame(backend)
        assert frame.shape == (320, 8)
        assert [str(name) for name in frame["candidate"]] == list(routed.candidate)


def test_withheld_reports_go_to_generic_and_say_why(rows, fitted):
    frame = rows.frame[:4].assign(sex=["?", "M", None, "F"], age=["?", np.nan, "old", "old"])
    routed = fitted.route(frame)
    assert routed.report == [("?", "?"), ("M", "?"), ("?", "old"), ("F", "old")]
    assert list(routed.candidate[:3]) == ["generic"] * 3
    assert routed.reason[0] == "everything is withheld: generic needs no group attribute"
    assert routed.reason[1] == "the groups it may come from are served differently: generic"
    generic = fitted.candidates_["generic"].models[0]
    expected = generic.predict_proba(features(rows)[:3])
    np.testing.assert_allclose(fitted.predict_proba(frame)[:3], expected, rtol=1e-12)


def test_withholding_an_attribute_of_one_level_keeps_the_route(rows):
    frame = rows.frame.assign(country="here", sex=rows.cells)[["x", "sex", "z", "country"]]
    fitted = router(groups=["sex", "country"]).fit(frame, rows.y)
    own = frame[rows.cells == "M/old"]
    hidden = own.assign(country="?")
    assert set(fitted.route(own).candidate) == {"decoupled"}
    assert np.array_equal(fitted.predict_proba(hidden), fitted.predict_proba(own))
    assert set(fitted.route(hidden).reason) == {"all groups it may come from share this route"}


# the table
def out_of_fold(rows, estimator, n_splits=3):
    """Probability of class 1 per candidate, by plain loops over the router's own folds."""
    strata = np.unique(rows.cells + rows.y.astype(str), return_inverse=True)[1]
    X = features(rows).to_numpy()
    dummies = pd.get_dummies(rows.frame[["sex", "age"]]).to_numpy(dtype=float)
    answers = {name: np.zeros(len(rows.y)) for name in ("generic", "onehot", "decoupled")}
    for train, test in StratifiedKFold(n_splits).split(X, strata):
        for name, added in (("generic", dummies[:, :0]), ("onehot", dummies)):
            XD = np.hstack([X, added])
            answers[name][test] = estimator.fit(XD[train], rows.y[train]).predict_proba(XD[test])[
                :, 1
            ]
        for cell in set(rows.cells):
            own, other = train[rows.cells[train] == cell], test[rows.cells[test] == cell]
            answers["decoupled"][other] = estimator.fit(X[own], rows.y[own]).predict_proba(
                X[other]
            )[:, 1]
    return answers


RISKS = {
    "error": lambda y, p: np.mean((p > 0.5) != y),
    "brier": brier_score_loss,
    "auc": lambda y, p: 1 - roc_auc_score(y, p),
}


@pytest.mark.parametrize("metric", RISKS)
def test_risks_of_the_table_are_those_of_a_plain_cross_validation(rows, metric):
    model = router(GaussianNB(), metric=metric).fit(rows.frame, rows.y)
    answers = out_of_fold(rows, GaussianNB())
    for record in model.routing_table_.groups:
        own = rows.cells == "/".join(record.report)
        assert record.rows == own.sum()
        for name, p in answers.items():
            assert record.risks[name] == pytest.approx(RISKS[metric](rows.y[own], p[own]))
        assert record.risks["routed"] == record.risks[record.candidate]
        assert record.gain == pytest.approx(record.risks["generic"] - record.risks["routed"])
        assert record.gain >= 0
        if record.low is None:  # equal ranks leave an AUC no variance to make an interval of
            assert (metric, record.candidate) == ("auc", "generic")
        else:
            assert record.low <= record.gain <= record.high
        assert record.candidate == "generic" or record.gain > 0


def test_the_table_can_be_read_in_a_terminal(rows, fitted):
    text = str(fitted.routing_table_)
    assert max(map(len, text.splitlines())) <= 80
    heads = ["group", "rows", "generic", "one-hot", "intersectional", "decoupled", "routed"]
    assert heads in [line.split() for line in text.splitlines()]
    for record in fitted.routing_table_.groups:
        assert ", ".join(record.report) in text
        assert f"-> {record.candidate}" in text
        for name in ("generic", "onehot", "decoupled", "routed"):
            assert f"{100 * record.risks[name]:.1f}%" in text
    assert "Whoever withholds an attribute is served by generic: the policy 'best'" in text
    auc = router(metric="auc").fit(rows.frame, rows.y).routing_table_
    shown = f"{1 - auc.groups[2].risks['decoupled']:.3f}"  # the area, not the risk
    assert shown in str(auc)
    assert shown in auc.to_html()


def test_the_table_as_a_frame_and_as_json(fitted):
    table = fitted.routing_table_
    for backend in ("pandas", "polars", "pyarrow"):
        frame = table.to_frame(backend)
        names = list(frame.columns) if backend != "pyarrow" else frame.column_names
        assert names[:4] == ["sex", "age", "rows", "candidate"]
        assert {"risk_generic", "risk_routed", "gain", "low", "high", "reason"} <= set(names)
        assert frame.shape[0] == 4
    again = RoutingTable.from_json(table.to_json())
    assert again == table
    assert str(again) == str(table)
    assert again.to_dict() == table.to_dict()


def test_html_escapes_what_the_data_say(rows):
    evil = "<script>alert('x')</script>&"
    frame = rows.frame.assign(sex=rows.frame["sex"].replace("F", evil))
    frame = frame.rename(columns={"age": "<b>age"})
    page = router(groups=["sex", "<b>age"]).fit(frame, rows.y)._repr_html_()
    assert "<script>alert(" not in page
    assert "<b>age" not in page
    assert "&lt;script&gt;" in page


def test_odd_texts_are_levels_like_any_other(rows):
    frame = rows.frame.assign(sex=np.where(rows.frame["sex"] == "F", 'a "b", c', "日本 / ?"))
    expected = router(GaussianNB()).fit(rows.frame, rows.y)
    odd = router(GaussianNB()).fit(frame, rows.y)
    assert np.array_equal(odd.predict_proba(frame), expected.predict_proba(rows.frame))
    assert odd.route(frame[:1]).report == [('a "b", c', "old")]
    assert RoutingTable.from_json(odd.routing_table_.to_json()) == odd.routing_table_
    assert len({*odd.schema_.group_names()}) == 4


# the audit
def test_an_audit_is_of_what_is_deployed(rows, fitted):
    audit = fitted.audit(rows.frame, rows.y, metrics=["error", "auc"])
    risks = {(r.metric, r.candidate, r.group): r.risk for r in audit.risks}
    labels, proba = fitted.predict(rows.frame), fitted.predict_proba(rows.frame)[:, 1]
    generic = fitted.candidates_["generic"].models[0].predict(features(rows))
    for g, record in enumerate(fitted.routing_table_.groups):
        own = rows.cells == "/".join(record.report)
        name = fitted.schema_.group_names()[g]
        y = rows.y[own]
        assert risks["error", "routed", name] == pytest.approx(np.mean(labels[own] != y))
        assert risks["error", "generic", name] == pytest.approx(np.mean(generic[own] != y))
        assert risks["auc", "routed", name] == pytest.approx(1 - roc_auc_score(y, proba[own]))
    assert risks["error", "routed", None] == pytest.approx(np.mean(labels != rows.y))
    assert risks["error", "routed", None] == pytest.approx(1 - fitted.score(rows.frame, rows.y))


def test_truthfulness_is_the_gain_over_another_report(rows, fitted):
    audit = fitted.audit(rows.frame, rows.y)
    own = rows.cells == "M/old"
    truth = np.mean(fitted.predict(rows.frame[own]) != rows.y[own])
    found = {t.other: t.gain for t in audit.truthfulness if t.group == "M, old"}
    for sex in ("F", "M", "?"):
        for age in ("old", "young", "?"):
            lie = fitted.predict(rows.frame[own].assign(sex=sex, age=age))
            if f"{sex}, {age}" in found:
                gain = np.mean(lie != rows.y[own]) - truth
                assert found[f"{sex}, {age}"] == pytest.approx(gain)
    assert len(found) >= 7  # all reports but its own
    assert all(gain > 0.2 for gain in found.values())


def test_rows_that_withhold_are_no_evidence_in_an_audit(rows, fitted):
    frame = rows.frame.copy()
    frame.loc[::5, "sex"] = "?"
    told = frame["sex"] != "?"
    audit = fitted.audit(frame, rows.y)
    assert audit.n_partial == (~told).sum()
    alone = fitted.audit(frame[told], rows.y[told])
    alone_of_groups = replace(
        audit, n_partial=0, everybody=None, withheld=None, evidence=alone.evidence
    )
    assert alone_of_groups.to_json() == alone.to_json()


def test_an_audit_says_what_rows_it_is_of(rows, fitted):
    assert "out-of-fold" in str(fitted.audit_)
    assert "out-of-fold" not in str(fitted.audit(rows.frame, rows.y))
    held_out = router(policy="certified").fit(rows.frame, rows.y)
    assert "certify" in str(held_out.audit_)


def test_weights_count_in_score_and_audit(rows, fitted):
    twice = np.where(np.arange(320) % 3 == 0, 2.0, 1.0)
    copies = np.repeat(np.arange(320), twice.astype(int))
    weighted = fitted.audit(rows.frame, rows.y, sample_weight=twice)
    repeated = fitted.audit(rows.frame.iloc[copies], rows.y[copies])
    assert [r.risk for r in weighted.risks] == pytest.approx([r.risk for r in repeated.risks])
    assert fitted.score(rows.frame, rows.y, twice) == pytest.approx(
        fitted.score(rows.frame.iloc[copies], rows.y[copies])
    )


def test_certified_deploys_the_models_that_were_certified(many_rows):
    """60% of the rows train, 40% are opened once; nothing is refitted."""
    model = router(GaussianNB(), policy="certified", random_state=0)
    model.fit(many_rows.frame, many_rows.y)
    trained = sum(m.class_count_.sum() for m in model.candidates_["decoupled"].models)
    assert trained == model.candidates_["generic"].models[0].class_count_.sum() == 576
    assert {r.n for r in model.audit_.risks if r.group is None} == {384}
    assert model.routing_table_.groups[2].candidate != "generic"
    assert [g.rows for g in model.routing_table_.groups] == [240] * 4
    assert model.honest_gains_ is None


def test_a_classifier_refitted_as_a_regressor_forgets_its_classes():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
    router = FairUseRouter(LogisticRegression(), [1]).fit(X, X[:, 0] > 0)
    router.set_params(estimator=LinearRegression(), metric="squared_error").fit(X, X[:, 0] + 1)
    assert not hasattr(router, "classes_")
    assert router.predict(X) == pytest.approx(X[:, 0] + 1)
