"""Honest gains: the routing's gain, corrected for having been chosen on the same rows."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population

# small tables keep tests quick; that they are small is said in test_parts_of_a_correction
pytestmark = pytest.mark.filterwarnings("ignore:policy='certified' on")


def fitted(policy="best", n_resamples=40, effect="none", n=400, seed=0, **fit):
    population = make_population(n, n_groups=4, effect=effect, random_state=seed)
    router = FairUseRouter(
        LogisticRegression(),
        population.group_columns,
        policy=policy,
        n_resamples=n_resamples,
        random_state=seed,
    )
    return router.fit(population.to_array(), population.y, **fit)


def test_naive_is_what_the_audit_of_the_choice_says():
    router = fitted()
    routed = [r for r in router.audit_.rationality if r.candidate == "routed"]
    honest = router.honest_gains_
    (overall,) = [r for r in router.audit_.overall if r.candidate == "routed"]
    assert honest.overall.naive == pytest.approx(overall.gain)
    for r in routed:
        assert honest.groups[r.group].naive == pytest.approx(r.gain)
    known = {name: g.gain for name, g in honest.groups.items() if g.gain is not None}
    assert known[honest.least] == min(known.values())


def test_choosing_among_noise_looks_better_than_it_is():
    # no group effect: what the policy "best" gains is luck, and the correction takes it away
    routers = [fitted(effect="none", seed=seed) for seed in range(8)]
    naive = np.array([r.honest_gains_.overall.naive for r in routers])
    fair = np.array([r.honest_gains_.overall.gain for r in routers])
    assert (naive >= 0).all()
    assert naive.mean() > 0.005
    assert fair.mean() < naive.mean() - 0.005
    for router in routers:
        assert router.honest_gains_.overall.low <= router.honest_gains_.overall.gain


@pytest.mark.parametrize("policy", ["best", "priced"])
@pytest.mark.parametrize("seed", range(4))
def test_every_interval_holds_its_figure(policy, seed):
    honest = fitted(policy, seed=seed).honest_gains_
    shown = [g for g in honest.named().values() if g.gain is not None]
    assert len(shown) >= 5
    for gain in shown:
        assert gain.low <= gain.gain <= gain.high


def test_text_and_json():
    honest = fitted(policy="priced").honest_gains_
    text = str(honest)
    assert max(map(len, text.splitlines())) <= 80
    assert "naive" in text
    assert "all groups" in text
    assert f"least: {honest.least}"[:30] in text
    assert "describe this fitted router" in text
    again = json.loads(json.dumps(honest.to_dict(), allow_nan=False))
    assert again["n_resamples"] == 40
    assert set(again["groups"]) == set(honest.groups)


def test_none_unless_asked_for_and_none_when_certified():
    assert fitted(n_resamples=0).honest_gains_ is None
    assert fitted(policy="certified").honest_gains_ is None


def test_clusters_are_drawn_whole_and_seeds_repeat():
    clusters = np.arange(400) // 2
    first, second = (fitted(clusters=clusters).honest_gains_ for _ in range(2))
    assert first == second
    assert first != fitted().honest_gains_


def test_negative_resamples_are_refused():
    with pytest.raises(ValueError, match="n_resamples=-1 is not allowed"):
        fitted(n_resamples=-1)
