"""Explanations: every number in them is what the router would say, and the words are true."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from forced import force
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from fairuse_router import FairUseRouter
from fairuse_router.datasets import load_heart
from fairuse_router.routing.explanation import explain_rows
from fairuse_router.routing.routed import unknown_levels

PICKS = ("onehot", "decoupled", "generic", "intersectional")


@pytest.fixture(scope="module")
def router(rows):
    return force(
        FairUseRouter(LogisticRegression(), rows.groups, cv=2, policy="best").fit(
            rows.frame, rows.y
        ),
        PICKS,
    )


def test_every_answer_is_what_the_router_predicts(rows, router):
    X = rows.frame[:8]
    explanation = router.explain(X)
    assert len(explanation) == 8
    for i, person in enumerate(explanation.people):
        answers = (person.given, *person.others)
        assert [a.withheld for a in answers] == [(), ("sex",), ("age",), ("sex", "age")]
        for answer in answers:
            asked = X[i : i + 1].assign(**dict.fromkeys(answer.withheld, "?"))
            p = router.predict_proba(asked)[0]
            assert answer.probabilities == pytest.approx(tuple(p))
            assert answer.prediction == router.predict(asked)[0]
            assert answer.candidate == router.route(asked).candidate[0]
            assert list(answer.report) == list(asked[["sex", "age"]].iloc[0])
            mine = router.predict_proba(X[i : i + 1])[0]
            assert answer.change == pytest.approx(mine[1] - p[1])


def test_who_stands_behind_the_route_is_what_the_table_says(rows, router):
    X = rows.frame[:4]
    for person, code in zip(router.explain(X).people, router.schema_.encode(X), strict=True):
        g = int(router.schema_.group_ids(code[None])[0])
        record = router.routing_table_.groups[g]
        assert person.rows == record.rows == 80
        if record.candidate == "generic":
            assert (person.gain, person.low, person.high) == (0, 0, 0)
        else:
            assert (person.gain, person.low, person.high) == (record.gain, record.low, record.high)
        assert record.reason in person.reason


def test_what_is_withheld_already_is_not_withheld_again(rows, router):
    X = rows.frame[:3].assign(sex=["?", None, "F"], age=["old", "?", "?"])
    one, none, other = router.explain(X).people
    assert [a.withheld for a in (one.given, *one.others)] == [("sex",), ("sex", "age")]
    assert [a.withheld for a in (none.given, *none.others)] == [("sex", "age")]
    assert [a.withheld for a in (other.given, *other.others)] == [("age",), ("sex", "age")]
    assert one.rows == 160
    assert none.rows == 320
    text = str(router.explain(X))
    assert "Row 0 reports age = old: predicted" in text
    assert "Row 1 reports nothing: predicted" in text
    assert "Nothing was told that could be withheld." in text


def test_words_say_what_the_report_changed(rows, router):
    changed = router.predict(rows.frame) != router.predict(rows.frame.assign(sex="?"))
    i = int(np.flatnonzero(changed)[0])
    text = " ".join(str(router.explain(rows.frame[i : i + 1])).split())
    assert "telling it changed the prediction and moved it by" in text
    generic = int(np.flatnonzero(router.route(rows.frame).candidate == "generic")[0])
    text = str(router.explain(rows.frame[generic : generic + 1]))
    assert "Withholding any or all of it would change nothing." in text
    assert "no promise to any one member" in text


def test_the_same_answer_is_said_once(rows, router):
    decoupled = force(pickle.loads(pickle.dumps(router)), ("decoupled",))
    text = str(decoupled.explain(rows.frame[:1]))
    assert text.count("Without") == 1
    assert "Without any or all of it:" in text
    assert "by generic" in text


def test_text_fits_and_data_survive_json(rows, router):
    explanation = router.explain(rows.frame[:20])
    assert all(len(line) <= 80 for line in str(explanation).splitlines())
    plain = json.loads(explanation.to_json())
    assert plain["attributes"] == ["sex", "age"]
    assert plain["classes"] == [0, 1]
    given = plain["people"][0]["given"]
    assert given["probabilities"] == list(explanation[0].given.probabilities)


def test_levels_not_known_in_training_are_named_and_count_as_withheld(rows):
    lenient = FairUseRouter(
        LogisticRegression(), rows.groups, cv=2, policy="best", handle_unknown="withhold"
    )
    lenient = force(lenient.fit(rows.frame, rows.y), PICKS)
    X = rows.frame[:4].assign(
        sex=["other", "other", "?", "F"], age=["old", "ancient", "old", "old"]
    )
    unknown = unknown_levels(lenient.schema_, X)
    explanation = explain_rows(
        lambda codes, method: getattr(lenient, method)(as_reports(X, codes, lenient)),
        lenient.schema_.encode(X),
        lenient.routing_table_,
        lenient.classes_,
        True,
        unknown,
    )
    assert [dict(p.unknown) for p in explanation.people] == [
        {"sex": "other"},
        {"sex": "other", "age": "ancient"},
        {},
        {},
    ]
    text = " ".join(str(explanation).split())
    assert "Row 0 reports sex = other, age = old: predicted" in text
    assert "sex = other was not known in training and counts as withheld; the groups" in text
    assert "Row 1 reports sex = other, age = ancient: predicted" in text
    assert "sex = other and age = ancient were not known in training and count as" in text
    assert text.count("Nothing else was told that could be withheld.") == 1
    assert "reports nothing" not in text
    assert "Row 2 reports age = old: predicted" in text
    assert all(len(line) <= 80 for line in str(explanation).splitlines())
    assert json.loads(explanation.to_json())["people"][0]["unknown"] == {"sex": "other"}


def as_reports(X, codes, router):
    """Rows that report what some codes say."""
    texts = [router.schema_.report_texts(code) for code in codes]
    return X.assign(**{name: [t[j] for t in texts] for j, name in enumerate(["sex", "age"])})


def test_whoever_generic_serves_is_told_how_many_are_alike(rows, router):
    generic = int(np.flatnonzero(router.route(rows.frame).candidate == "generic")[0])
    person = router.explain(rows.frame[generic : generic + 1])[0]
    assert "In training 80 people fit this report." in person.reason


def test_an_infinite_gain_is_valid_json(rows, router):
    ruined = pickle.loads(pickle.dumps(router))
    table = ruined.routing_table_
    groups = tuple(
        replace(g, gain=-np.inf, low=None, high=None) if g.candidate != "generic" else g
        for g in table.groups
    )
    explanation = ruined.with_table(replace(table, groups=groups)).explain(rows.frame[:4])
    assert explanation[0].gain == -np.inf
    people = json.loads(explanation.to_json(), parse_constant=pytest.fail)["people"]
    assert {person["gain"] for person in people} == {"-inf", 0.0}
    assert people[0]["low"] is None
    assert "it gained -inf" in str(explanation)


def test_three_classes_one_attribute_labels_only_and_numbers(rows):
    X, y = rows.frame.drop(columns="age"), np.digitize(rows.frame["x"], [-0.5, 0.5])
    three = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, y.astype(str))
    three = force(three, ("decoupled",))
    person = three.explain(X[:1])[0]
    assert len(person.others) == 1
    p, q = (three.predict_proba(x)[0] for x in (X[:1], X[:1].assign(sex="?")))
    assert person.others[0].change == pytest.approx(np.abs(p - q).sum() / 2)
    assert f"P({person.given.prediction}) = " in str(three.explain(X[:1]))

    bare = force(FairUseRouter(LinearSVC(), ["sex"], cv=2).fit(X, rows.y), ("decoupled",))
    answer = bare.explain(X[:1])[0].others[0]
    assert answer.probabilities is None
    assert answer.change is None

    real = FairUseRouter(clone(LinearRegression()), ["sex"], cv=2, metric="squared_error")
    real = force(real.fit(X, rows.frame["x"] + rows.y), ("decoupled",))
    answer = real.explain(X[:1])[0].others[0]
    both = real.predict(X[:1])[0], real.predict(X[:1].assign(sex="?"))[0]
    assert answer.change == pytest.approx(both[0] - both[1])
    assert all(len(line) <= 80 for line in str(real.explain(X[:5])).splitlines())


def test_a_level_that_training_did_not_have_is_named():
    X, y = load_heart(return_X_y=True, as_frame=True)
    X = X[["sex", "age_group", "thalach", "oldpeak"]]
    router = FairUseRouter(
        LogisticRegression(max_iter=1000),
        ["sex", "age_group"],
        handle_unknown="withhold",
        random_state=0,
    ).fit(X, y)
    stranger = X[:1].assign(sex="other")
    said = "sex = other was not known in training and counts as withheld"
    assert "sex = other" in str(router.explain(stranger))
    assert said in router.route(stranger).reason[0]
    assert "was not known" not in router.route(X[:1]).reason[0]
