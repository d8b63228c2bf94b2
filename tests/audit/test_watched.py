"""Monitoring without labels, and proxies of what was withheld."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import FairUseRouter
from fairuse_router.card import Card


def people(n, seed, keep=1.0, shift=0.0):
    """Two groups; those of group b report with probability `keep`, others withhold 5%."""
    rng = np.random.default_rng(seed)
    g = rng.choice(["a", "b"], n, p=[0.6, 0.4])
    x = rng.normal(size=(n, 2)) + shift
    z = np.where(g == "b", 1.5, -1.5) * x[:, 0] + x[:, 1]
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    silent = rng.random(n) < np.where(g == "b", 1 - 0.95 * keep, 0.05)
    frame = pd.DataFrame({"x": x[:, 0], "z": x[:, 1], "proxy": (g == "b") + rng.normal(0, 0.3, n)})
    frame["sex"] = np.where(silent, "?", g)
    return frame, y


@pytest.fixture(scope="module")
def router():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return FairUseRouter(LogisticRegression(), ["sex"], random_state=0).fit(*people(1500, 0))


def test_a_year_of_weeks_makes_no_noise(router):
    alarms = sum(bool(router.monitor(people(200, week)[0]).alarms) for week in range(1, 53))
    assert alarms <= 1


def test_a_drop_in_reporting_is_found_within_two_weeks(router):
    found = 0
    for seed in range(20):
        fortnight = people(400, 100 + seed, keep=2 / 3)[0]
        look = router.monitor(fortnight)
        found += any(a.kind in ("reports", "withheld") for a in look.alarms)
    assert found >= 18


def test_moved_scores_are_told_by_route(router):
    look = router.monitor(people(400, 3, shift=1.5)[0])
    assert {a.kind for a in look.alarms} == {"scores"}
    text = str(look)
    assert "ALARM" in text
    assert "reaudit" in text
    assert max(map(len, text.splitlines())) <= 80
    json.dumps(look.to_dict())
    with pytest.raises(ValueError, match="looks=0"):
        router.monitor(people(50, 3)[0], looks=0)


def test_another_table_has_no_scores_to_compare_with(router):
    other = router.with_table(router.routing_table_.collapse(1.0))
    assert all(look.p is None for look in other.monitor(people(200, 1)[0]).looks_at[-1:])
    assert router.reference_.scores


def test_proxies_give_away_what_was_withheld(router):
    found = router.leakage(people(600, 1)[0])
    (leak,) = found.leaks
    assert leak.auc > 0.95
    assert leak.word == "given away"
    assert leak.features[0] == "proxy"
    assert leak.low < leak.auc < leak.high
    assert "proxy" in str(found)
    json.dumps(found.to_dict())


def test_what_features_do_not_know_stays_kept():
    frame, y = people(600, 2)
    frame["proxy"] = np.random.default_rng(0).choice(["u", "v"], 600)
    frame["band"] = np.random.default_rng(1).choice(["x", "y", "z"], 600)
    encode = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        router = FairUseRouter(encode, ["sex", "band"], random_state=0, policy="best")
        router.fit(frame[["proxy", "sex", "band"]], y)
    sex, band = router.leakage(frame[["proxy", "sex", "band"]]).leaks
    assert sex.low <= 0.5 + 0.02
    assert sex.word == "kept"
    assert band.low is None
    assert 0.4 < band.auc < 0.6
    few = router.leakage(frame[["proxy", "sex", "band"]][:12])
    assert "fewer than two levels" in few.leaks[1].reason


def test_cards_say_whether_withholding_is_real(router):
    leakage = router.leakage(people(600, 1)[0])
    card = Card.of(router, leakage=leakage)
    assert "Withholding sex is fiction" in card.to_markdown()
    assert Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    assert "Whether withholding" not in Card.of(router).to_html()


def test_who_falls_silent_is_told_among_those_who_report_the_level(router):
    look = router.monitor(people(400, 5, keep=0.5)[0])
    pair = {a.what: a for a in look.looks_at if a.kind == "withheld"}
    silent, of_b = pair["sex"], pair["sex in place of b"]
    assert of_b.p < silent.p
    assert of_b.alarm
    assert of_b.now > 1.5 * of_b.then
    assert of_b.n_now == round(silent.now * 400) + sum(
        round(a.now * 400) for a in look.looks_at if (a.kind, a.what) == ("reports", "b")
    )


def test_nobody_silent_is_no_test(router):
    X = people(400, 5)[0]
    X["sex"] = X["sex"].replace("?", "a")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        told = FairUseRouter(LogisticRegression(), ["sex"], random_state=0).fit(
            X, (X["x"] > 0).astype(int)
        )
    look = told.monitor(X)
    assert [a.p for a in look.looks_at if a.kind == "withheld"] == [None]
