"""Sites and periods: pooled gains against statsmodels, routes by time, routes without a site."""

import json
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, TimeSeriesSplit
from statsmodels.stats.meta_analysis import combine_effects

from fairuse_router import FairUseRouter
from fairuse_router.audit.places import places_of
from fairuse_router.inference.compare import Rows
from fairuse_router.metrics import Predictions, get_metric
from fairuse_router.routing.policies.rules import POLICIES


def patients(n=900, seed=0, flipped=None):
    """Two groups whose first coefficient differs; it is turned round at the sites `flipped`."""
    rng = np.random.default_rng(seed)
    x, g, site = rng.normal(size=(n, 3)), np.arange(n) % 2, rng.integers(0, 6, n)
    sign = np.where(g == 1, 1.5, -1.5) * np.where(np.isin(site, flipped or []), -1, 1)
    y = (rng.random(n) < 1 / (1 + np.exp(-(sign * x[:, 0] + x[:, 1])))).astype(int)
    return np.column_stack([x, g]), y, site


def fitted(X, y, **settings):
    given = {k: settings.pop(k) for k in ("clusters", "order") if k in settings}
    router = FairUseRouter(LogisticRegression(), [3], random_state=0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return router.fit(X, y, **given)


def test_places_pool_as_statsmodels_does():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    place = rng.integers(0, 5, 2000)
    good = np.where(rng.random(2000) < 0.1 + 0.06 * place, 1 - y, y)
    bad = np.where(rng.random(2000) < 0.35, 1 - y, y)
    rows = Rows(y, np.zeros(2000, int), 1)
    models = Predictions(bad), Predictions(good)
    found = places_of(rows, ["all"], models, place, get_metric("error"), 0.1)
    own = [g for g in found.gains if g.group == "all"]
    theirs = combine_effects(
        np.array([g.gain for g in own]), np.array([g.se for g in own]) ** 2, method_re="dl"
    )
    summary = found.summaries[1]
    assert summary.q == pytest.approx(theirs.q)
    assert summary.i2 == pytest.approx(theirs.i2)
    assert summary.gain == pytest.approx(theirs.mean_effect_re)
    frame = theirs.summary_frame(alpha=0.1)
    ends = frame.loc["random effect", ["ci_low", "ci_upp"]].to_numpy(dtype=float)
    assert (summary.low, summary.high) == pytest.approx(ends, abs=1e-9)
    assert summary.better == sum(g.gain > 0 for g in own) >= 4


def test_a_site_where_the_gain_does_not_hold_is_named():
    X, y, _ = patients()
    router = fitted(X, y)
    new, labels, site = patients(3000, 1, flipped=[4])
    found = router.by_place(new, labels, site)
    text = str(found)
    assert "It loses, by its own interval" in text
    assert "at 4" in text
    assert found.summaries[0].i2 > 0.8
    assert max(map(len, text.splitlines())) <= 80
    json.dumps(found.to_dict())
    for places, why in ((site[:5], "5 entries"), (np.zeros(3000), "names 1 places")):
        with pytest.raises(ValueError, match=why):
            router.by_place(new, labels, places)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_judges_by_site_and_by_time(policy):
    X, y, site = patients(600)
    by_site = fitted(X, y, policy=policy, cv=LeaveOneGroupOut(), clusters=site)
    by_time = fitted(X, y, policy=policy, cv=TimeSeriesSplit(4), order=np.arange(600))
    starts = [(np.arange(a), np.arange(a, a + 120)) for a in (240, 360, 480)]
    rolling = fitted(X, y, policy=policy, cv=starts)
    for router in (by_site, by_time, rolling):
        assert set(router.routing_table_.look_up(np.array([[1], [2]]))) >= {1} or policy in (
            "certified",
            "tested",
        )
        assert router.predict(X[:5]).shape == (5,)


def test_order_sorts_the_rows():
    X, y, _ = patients(600)
    times = np.datetime64("2020-01-01") + np.arange(600)
    shuffled = np.random.default_rng(1).permutation(600)
    straight = fitted(X, y, cv=TimeSeriesSplit(4))
    sorted_ = fitted(X[shuffled], y[shuffled], cv=TimeSeriesSplit(4), order=times[shuffled])
    assert straight.routing_table_ == sorted_.routing_table_
    assert straight.audit_.risks == sorted_.audit_.risks
    with pytest.raises(ValueError, match="order has the shape"):
        fitted(X, y, order=times[:3])
    with pytest.raises(ValueError, match="order is missing in 600"):
        fitted(X, y, order=np.full(600, None))


def test_certified_by_time_opens_the_latest():
    X, y, _ = patients(600)
    later = np.arange(600)[::-1]  # the first rows are the latest
    router = fitted(X, y, policy="certified", cv=TimeSeriesSplit(3), order=later)
    assert router.audit_.n == 240


def test_routes_that_hang_on_one_site_are_told():
    X, y, site = patients(900)
    y = np.where((site != 2) & (X[:, 3] == 1), (X[:, 1] > 0).astype(int), y)
    router = fitted(X, y)
    found = router.without_each(X, y, np.where(site == 2, "B", "A"))
    assert [left.place for left in found.places] == ["A", "B"]
    assert sum(left.n for left in found.places) == 900
    text = str(found)
    assert "Would these routes have been chosen without A" in text
    assert "without B" in text
    json.dumps(found.to_dict())
