"""What options are worth: against loops, and laws that a price must keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fairuse_router.inference import SLOPES, slope_posterior
from fairuse_router.inference.directions import Direction
from fairuse_router.inference.expected_gain import SquaredErrors
from fairuse_router.inference.priced import DirectionEvidence, direction_evidence, worth


def draw(m=3, options=2, seed=0):
    rng = np.random.default_rng(seed)
    best = rng.uniform(-0.5, 1.5, size=m)
    size = rng.uniform(10, 500, size=m)
    log_lik = -0.05 * size[:, None] * (SLOPES - best[:, None]) ** 2
    strength = np.linspace(0.5, 1, options)[:, None]
    gain = 0.03 * strength * (2 * SLOPES - strength) + np.zeros((m, 1, 1))
    reach = rng.uniform(0.05, 0.3, size=(m, options))
    return DirectionEvidence(log_lik, gain, reach, size, size / size.sum())


def test_worth_is_its_definition_by_loops():
    seen = draw()
    found = worth(seen, 2.0)
    pool = slope_posterior(seen.log_lik)
    sceptic = slope_posterior(seen.log_lik, highest_mean=0.2)
    for g in range(3):
        kappa = 0.02 + 0.3 / np.sqrt(seen.size[g])
        for i in range(2):
            gain = sum(pool[g, r] * seen.gain[g, i, r] for r in range(33))
            harm = sum(
                sceptic[g, r] * norm.cdf((-0.002 - seen.gain[g, i, r]) / (kappa * seen.reach[g, i]))
                for r in range(33)
            )
            np.testing.assert_allclose(found.gain[g, i], gain)
            np.testing.assert_allclose(found.harm[g, i], harm)
            counted = min(gain, 0) if gain < 0.001 else gain
            np.testing.assert_allclose(found.value[g, i], 100 * seen.share[g] * counted - 2 * harm)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), low=st.floats(0.05, 5), factor=st.floats(1, 20))
def test_a_higher_price_harms_no_more(seed, low, factor):
    # what is chosen at a higher price has no larger probability of harm, and no larger gain
    seen = draw(m=4, options=4, seed=seed)
    sums = []
    for price in (low, low * factor):
        found = worth(seen, price)
        best = found.value.argmax(axis=1)
        rows = np.flatnonzero(found.value.max(axis=1) > 0)
        sums.append(
            (
                found.harm[rows, best[rows]].sum(),
                (seen.share[:, None] * found.gain)[rows, best[rows]].sum(),
            )
        )
    assert sums[1][0] <= sums[0][0] + 1e-12
    assert sums[1][1] <= sums[0][1] + 1e-12


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), unit=st.floats(1e-3, 1e3))
def test_units_move_nothing(seed, unit):
    seen = draw(seed=seed)
    scaled = DirectionEvidence(
        seen.log_lik, unit * seen.gain, unit * seen.reach, seen.size, seen.share
    )
    once, again = worth(seen, 2.0), worth(scaled, 2.0, unit)
    np.testing.assert_allclose(again.value, once.value, atol=1e-9)
    np.testing.assert_allclose(again.harm, once.harm, atol=1e-9)


def test_more_rows_like_these_make_surer():
    seen = draw(seed=1)
    harm = [worth(seen.times(k), 2.0).harm for k in (1, 10, 1000)]
    right = (seen.log_lik.argmax(axis=1) > 20)[:, None] & np.ones((1, 2), dtype=bool)
    assert (harm[2][right] < 0.01).all()
    assert (harm[2][right] <= harm[0][right]).all()


def regression(n=600, seed=0, groups=3):
    rng = np.random.default_rng(seed)
    base, delta = rng.normal(size=n), rng.normal(size=n)
    y = base + 0.8 * delta + rng.normal(size=n)
    direction = Direction(y, base, base + delta, 1.0)
    return direction, rng.integers(groups, size=n), SquaredErrors(base, (base + delta)[None, :])


def test_the_scale_of_weights_rows_of_nobody_and_empty_groups():
    direction, groups, measure = regression()
    weight = np.random.default_rng(0).uniform(0.5, 2, size=600)
    once = direction_evidence(direction, groups, 4, measure, weight=weight)
    again = direction_evidence(direction, groups, 4, measure, weight=weight / weight.sum())
    for name in ("log_lik", "gain", "reach", "size", "share"):
        np.testing.assert_allclose(getattr(once, name), getattr(again, name), rtol=1e-9)
    assert once.size[3] == once.share[3] == 0
    assert (once.log_lik[3] == 0).all()
    assert np.isfinite(worth(once, 2.0).value).all()
    nobody = np.where(np.arange(600) < 300, -1, groups)
    half = direction_evidence(direction, nobody, 4, measure)
    assert half.share.sum() == pytest.approx(0.5)


def test_rows_given_three_times_in_one_cluster_count_once():
    direction, groups, _ = regression()
    index = np.repeat(np.arange(600), 3)
    thrice = Direction(direction.y[index], direction.base[index], direction.full[index], 1.0)
    measure = SquaredErrors(thrice.base, thrice.full[None, :])
    found = direction_evidence(thrice, groups[index], 3, measure, clusters=index)
    alone = direction_evidence(
        direction, groups, 3, SquaredErrors(direction.base, direction.full[None, :])
    )
    np.testing.assert_allclose(found.log_lik, alone.log_lik, rtol=1e-9)
    np.testing.assert_allclose(found.size, alone.size)
    np.testing.assert_allclose(worth(found, 2.0).value, worth(alone, 2.0).value)


@pytest.mark.parametrize("weighted", [False, True])
def test_evidence_of_larger_groups_is_the_sum_of_its_parts(weighted):
    rng = np.random.default_rng(0)
    n = 300
    base, y = rng.normal(size=n), rng.normal(size=n)
    direction = Direction(y, base, base + rng.normal(size=n), 1.3)
    measure = SquaredErrors(base, np.array([base + 0.5, base - 0.2 * rng.normal(size=n)]))
    parts = rng.integers(-1, 7, size=n)
    into = np.array([0, 1, -1, 1, 2, 0, 2])
    large = np.where(parts >= 0, into[parts], -1)
    weight = rng.uniform(0.2, 3, size=n) if weighted else None
    w = np.ones(n) if weight is None else weight
    size = np.array([w[large == c].sum() ** 2 / (w[large == c] ** 2).sum() for c in range(3)])
    small = direction_evidence(direction, parts, 7, measure, weight=weight)
    whole = direction_evidence(direction, large, 3, measure, weight=weight)
    found = small.together(into, size)
    for name in ("log_lik", "gain", "reach", "size", "share"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), err_msg=name)
