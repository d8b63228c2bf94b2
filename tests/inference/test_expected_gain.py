"""Expected gains: against sums over labels that might come true, and the metrics themselves."""

import itertools

import numpy as np
import pytest
from scipy.special import expit, softmax

from fairuse_router.inference import SLOPES, slope_evidence
from fairuse_router.inference.directions import Direction, GroupRows, temperature
from fairuse_router.inference.expected_gain import (
    AbsoluteErrors,
    Areas,
    Calibration,
    Costs,
    OwnRisk,
    SquaredErrors,
)
from fairuse_router.inference.priced import _look
from fairuse_router.metrics import Predictions, get_metric

LAST = 20  # a slope of the grid


def draw(n=8, seed=0, classes=2):
    rng = np.random.default_rng(seed)
    shape = n if classes == 2 else (n, classes)
    base, delta = rng.normal(size=shape), rng.normal(size=shape)
    return Direction(rng.integers(classes, size=n), base, base + delta)


def everything(n):
    return GroupRows.of(np.zeros(n, dtype=int), 0, None)


def proba_of(z):
    return softmax(z, axis=1) if z.ndim == 2 else np.column_stack([1 - expit(z), expit(z)])


def two_options(direction):
    z = [direction.base, direction.full, (direction.base + direction.full) / 2]
    return [Predictions.from_proba(proba_of(part)) for part in z]


def costs(metric, models, classes):
    n = len(models[0])
    return [
        np.column_stack([get_metric(metric).rowwise(np.full(n, k), p) for k in range(classes)])
        for p in models
    ]


def over_all_labels(direction, statistic):
    """Mean of a statistic of labels over everything that may come true at one slope."""
    z = direction.base + SLOPES[LAST] * (direction.full - direction.base)
    p = proba_of(z)
    total = 0.0
    for labels in itertools.product(range(p.shape[1]), repeat=len(p)):
        y = np.array(labels)
        total += p[np.arange(len(p)), y].prod() * statistic(y)
    return total


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("metric", ["error", "brier", "log_loss"])
def test_costs_are_means_over_all_labels_that_may_come_true(metric, classes):
    direction = draw(5, classes=classes)
    models = two_options(direction)
    told = costs(metric, models, classes)
    _, gain, reach = _look(direction, everything(5), Costs(told[0], np.array(told[1:])))
    risk = get_metric(metric).risk
    for i, option in enumerate(models[1:]):
        want = over_all_labels(
            direction, lambda y, o=option: risk(y, models[0], None) - risk(y, o, None)
        )
        np.testing.assert_allclose(gain[i, LAST], want)
        saved = told[0] - told[i + 1]
        np.testing.assert_allclose(reach[i], np.ptp(saved, axis=1).mean())


def test_reach_is_what_the_formulas_of_two_classes_say():
    direction = draw(50)
    models = two_options(direction)
    z0, z = direction.base, direction.full
    q0, q, s = expit(z0), expit(z), (z > 0).astype(int) - (z0 > 0)
    want = {
        "error": 2 * np.abs(s).mean(),
        "brier": 2 * np.abs(q - q0).mean(),
        "log_loss": np.abs(z - z0).mean(),
    }
    for metric, value in want.items():
        told = costs(metric, models, 2)
        reach = _look(direction, everything(50), Costs(told[0], np.array(told[1:])))[2]
        np.testing.assert_allclose(reach[0], value)


def test_brier_gains_and_likelihoods_are_those_of_the_slope_evidence():
    direction = draw(5000, seed=3)
    rng = np.random.default_rng(0)
    weight, groups = rng.uniform(0, 2, size=5000), rng.integers(2, size=5000)
    clusters = rng.integers(200, size=5000)
    known = slope_evidence(
        direction.y, direction.base, direction.full, groups, 2, weight=weight, clusters=clusters
    )
    told = costs("brier", two_options(direction), 2)
    for g in range(2):
        rows = GroupRows.of(groups, g, weight)
        log_lik, gain, _ = _look(direction, rows, Costs(told[0], np.array(told[1:])))
        size = direction.count(rows, log_lik, clusters)
        np.testing.assert_allclose(size * log_lik, known.log_lik[g], rtol=1e-9)
        np.testing.assert_allclose(gain[0], known.gain[g, 3], atol=1e-12)


def test_two_classes_are_the_softmax_of_two():
    one = draw(40, seed=2)
    two = Direction(
        one.y, *(np.column_stack([np.zeros(40), z]) + 7.0 for z in (one.base, one.full))
    )
    models = two_options(one)
    told = costs("log_loss", models, 2)
    measure, rows = Costs(told[0], np.array(told[1:])), everything(40)
    for a, b in zip(_look(one, rows, measure), _look(two, rows, measure), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    clusters = np.arange(40) // 4
    log_lik = _look(one, rows, measure)[0]
    np.testing.assert_allclose(
        one.count(rows, log_lik, clusters), two.count(rows, log_lik, clusters)
    )


def pairs(scores, p):
    """Expected share of pairs that are ordered rightly, by loops."""
    won = total = 0.0
    for i, j in itertools.permutations(range(len(p)), 2):
        mass = p[i] * (1 - p[j])
        total += mass
        won += mass * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
    return won / total


@pytest.mark.parametrize("tied", [False, True])
def test_areas_are_expected_over_pairs(tied):
    direction = draw(30, seed=1)
    scores = [p.proba[:, 1].round(1) if tied else p.proba[:, 1] for p in two_options(direction)]
    _, gain, reach = _look(direction, everything(30), Areas(scores[0], np.array(scores[1:])))
    p = expit(direction.base + SLOPES[LAST] * (direction.full - direction.base))
    for i, own in enumerate(scores[1:]):
        np.testing.assert_allclose(gain[i, LAST], pairs(own, p) - pairs(scores[0], p))
    ranks = [((s[:, None] > s).sum(axis=1) + (s[:, None] >= s).sum(axis=1)) / 2 for s in scores]
    one = direction.y.mean()
    want = np.abs(ranks[1] - ranks[0]).mean() / (30 * one * (1 - one))
    np.testing.assert_allclose(reach[0], want)


def test_areas_of_several_classes_are_means_of_one_against_the_rest():
    direction = draw(25, seed=4, classes=3)
    scores = [p.proba for p in two_options(direction)]
    gain = _look(direction, everything(25), Areas(scores[0], np.array(scores[1:])))[1]
    p = softmax(direction.base + SLOPES[LAST] * (direction.full - direction.base), axis=1)
    want = np.mean(
        [pairs(scores[1][:, k], p[:, k]) - pairs(scores[0][:, k], p[:, k]) for k in range(3)]
    )
    np.testing.assert_allclose(gain[0, LAST], want)


@pytest.mark.parametrize("classes", [2, 3])
def test_calibration_is_that_of_very_many_rows(classes):
    direction = draw(60, seed=5, classes=classes)
    models = two_options(direction)
    stated = [p.proba[:, 1] if classes == 2 else p.proba.max(axis=1) for p in models]
    own = [np.ones(60, int) if classes == 2 else p.proba.argmax(axis=1) for p in models]
    bins = np.array([np.searchsorted(np.arange(1, 10) / 10, s) for s in stated])
    measure = Calibration(stated[0], np.array(stated[1:]), np.array(own), bins)
    gain = _look(direction, everything(60), measure)[1]
    z = direction.base + SLOPES[LAST] * (direction.full - direction.base)
    p, risk = proba_of(z), get_metric("ece").risk
    rows, y = np.repeat(np.arange(60), classes), np.tile(np.arange(classes), 60)
    found = [risk(y, model[rows], p.ravel()) for model in models]
    np.testing.assert_allclose(gain[:, LAST], [found[0] - f for f in found[1:]], atol=1e-12)


@pytest.mark.parametrize("kind", [SquaredErrors, AbsoluteErrors])
def test_errors_of_a_regression_are_means_over_normal_errors(kind):
    rng = np.random.default_rng(0)
    base, delta = rng.normal(size=20), rng.normal(size=20)
    direction = Direction(rng.normal(size=20), base, base + delta, 0.49)
    options = np.array([base + 0.5 * delta, base + delta])
    gain = _look(direction, everything(20), kind(base, options))[1]
    mean = base + SLOPES[LAST] * delta
    y = mean + 0.7 * rng.normal(size=(400_000, 20))
    power = 2 if kind is SquaredErrors else 1
    before = (np.abs(y - base) ** power).mean()
    for i, option in enumerate(options):
        want = before - (np.abs(y - option) ** power).mean()
        assert gain[i, LAST] == pytest.approx(want, abs=3e-3)
    strength = np.array([0.5, 1.0])[:, None]
    if kind is SquaredErrors:
        closed = np.mean(delta**2) * strength * (2 * SLOPES - strength)
        np.testing.assert_allclose(gain, closed, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_any_risk_that_is_a_mean_over_rows_is_asked_rightly(classes):
    direction = draw(40, seed=6, classes=classes)
    models = two_options(direction)
    told = costs("error", models, classes)
    exact = _look(direction, everything(40), Costs(told[0], np.array(told[1:])))[1]
    changed = np.array([m.label != models[0].label for m in models[1:]])

    def risk(option, index, y, weight):
        return get_metric("error").risk(y, models[option + 1][index], weight)

    found = _look(direction, everything(40), OwnRisk(risk, 2, changed))[1]
    np.testing.assert_allclose(found[:, ::4], exact[:, ::4], atol=1e-12)
    np.testing.assert_allclose(found, exact, atol=0.01)  # interpolated between


def test_blocks_and_weights_are_sums_over_rows():
    direction = draw(5000, seed=8)
    told = costs("error", two_options(direction), 2)
    measure = Costs(told[0], np.array(told[1:]))
    index = np.arange(5000)
    whole = measure.gains(
        direction, index, np.full(5000, 1 / 5000), direction.expected(index, SLOPES)
    )
    found = _look(direction, everything(5000), measure)
    np.testing.assert_allclose(found[1], whole[0], atol=1e-12)
    np.testing.assert_allclose(found[2], whole[1], atol=1e-12)
    weight = np.random.default_rng(0).integers(0, 4, size=5000)
    twice = np.repeat(index, weight)
    told = [t[twice] for t in told]
    again = Direction(*(part[twice] for part in (direction.y, direction.base, direction.full)))
    repeated = _look(again, everything(len(twice)), Costs(told[0], np.array(told[1:])))
    weighted = _look(direction, GroupRows.of(np.zeros(5000, int), 0, weight), measure)
    for a, b in zip(repeated, weighted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_temperature_is_the_likeliest_scale():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4000, 3))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    assert temperature(y, 3 * z) == pytest.approx(1 / 3, abs=0.03)
    assert temperature(y, z - z.mean(axis=1, keepdims=True)) == pytest.approx(1, abs=0.07)
    assert temperature(y, 0.001 * z) == pytest.approx(5)
    weight = (np.arange(4000) % 2).astype(float)
    half = temperature(y[1::2], z[1::2])
    assert temperature(y, z, 7 * weight) == pytest.approx(half, abs=1e-6)
