"""Re-audits watch those who withhold: their routes, how many they are, and their outcomes."""

import numpy as np
import pytest
from lattices import LOGISTIC

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population


@pytest.fixture(scope="module")
def world():
    population = make_population(1500, n_groups=6, effect="slopes", random_state=4)
    X, y = population.to_frame(), population.y
    router = FairUseRouter(
        LOGISTIC, population.group_attributes, candidates=("generic", "onehot"), random_state=0
    ).fit(X, y)
    routed = [r for r in router.routing_table_.partial if r.candidate != "generic"]
    assert routed
    fresh = population.sample(2500, random_state=3)
    return router, fresh.to_frame(), fresh.y, max(routed, key=lambda r: r.rows)


def sending(router, X, record):
    """Rows of everybody who may send a report, sending it."""
    rows = np.ones(len(X), dtype=bool)
    for name, text in zip(router.schema_.attributes, record.report, strict=True):
        rows &= (text == "?") | (X[name] == text).to_numpy()
    asked = X.copy()
    for name, text in zip(router.schema_.attributes, record.report, strict=True):
        asked.loc[rows, name] = text
    return asked, rows


def test_a_route_of_a_partial_report_that_harms_is_withdrawn(world):
    router, X, y, record = world
    asked, rows = sending(router, X, record)
    generic = router.candidates_["generic"].models[0]
    plain = generic.predict(asked.drop(columns=list(router.schema_.attributes)))
    against = np.where(rows, plain, y)  # labels by which generic is always right
    result = router.reaudit(asked, against)
    name = ", ".join(record.report)
    assert name in result.violated
    review = next(r for r in result.routes if r.group == name)
    assert review.report == record.report
    assert review.n == rows.sum()
    assert review.gain == pytest.approx(-np.mean(router.predict(asked)[rows] != plain[rows]))
    assert f"({name})" in str(result)
    less = router.with_table(result.table)
    assert set(less.route(asked[rows]).candidate) == {"generic"}
    assert "withdrawn" in less.route(asked[rows]).reason[0]


def test_how_many_withhold_and_their_outcomes_are_watched(world):
    router, X, y, record = world
    asked, rows = sending(router, X, record)
    name = ", ".join(record.report)
    one = {(s.kind, s.group): s for s in router.reaudit(asked, y).shifts}
    share = one["report share", name]
    assert share.then == 0.0  # in training everybody told everything
    assert share.now == pytest.approx(rows.mean())
    assert share.moved
    rate = one["class rate if withheld", name]
    assert rate.now == pytest.approx(np.mean(y[rows] == 1))
    assert rate.n_then == record.rows
    assert not rate.moved
    # those who withhold are sicker than all who might
    sicker = np.where(rows, 1, y)
    again = {(s.kind, s.group): s for s in router.reaudit(asked, sicker).shifts}
    assert again["class rate if withheld", name].moved
    text = str(router.reaudit(asked, sicker))
    assert f"{name}: share of class 1" in text
    assert max(map(len, text.splitlines())) <= 80
