"""Policies against straightforward rewrites of their rules: loops, one number at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
from evidence import (
    NAMES,
    gather,
    make_evidence,
    may_serve,
    predictions_of,
    risk,
    rows_of,
    scored_of,
)
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from benchmarks.rivals import shrunken
from fairuse_router.metrics import Predictions, get_metric
from fairuse_router.routing.policies.rules import choose, choose_certified, nominate

LOGISTIC = LogisticRegression(solver="newton-cholesky")


# best
@pytest.mark.parametrize("metric", ["error", "brier", "log_loss", "auc", "ece"])
@pytest.mark.parametrize("weighted", [False, True])
def test_best_is_the_largest_gain_with_ties_to_generic(metric, weighted):
    seen = set()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        weight = rng.uniform(0, 2, 500) * (rng.random(500) > 0.05) if weighted else None
        evidence = make_evidence(seed, metric, weight=weight)
        choices = choose("best", evidence)
        for g in range(evidence.rows.m):
            gains = {"generic": 0.0}
            for name in NAMES[1:]:
                if may_serve(evidence, g, name):
                    rows = rows_of(evidence, g, name)
                    gains[name] = risk(evidence, "generic", rows) - risk(evidence, name, rows)
            best = max(gains, key=gains.get)  # the first of equals: generic, then in order
            assert choices[g].candidate == best, (seed, g, gains)
            seen.add(best)
    assert seen == set(NAMES)


def tiny(generic, onehot, decoupled, **changes):
    """Four rows of one group, of class 0, and the labels that each candidate predicts."""
    labels = dict(zip(NAMES, (generic, onehot, decoupled), strict=True))
    settings = {
        "target": np.zeros(4, dtype=int),
        "groups": np.zeros(4, dtype=int),
        "m": 1,
        "predictions": {name: Predictions(np.array(label)) for name, label in labels.items()},
        "scored": dict.fromkeys(NAMES, np.ones(4, dtype=bool)),
        "unavailable": {},
        "metric": get_metric("error"),
        "min_group_size": 4,
    }
    return gather(**{**settings, **changes})


def test_best_by_hand():
    good, bad, half = [0] * 4, [1] * 4, [1, 1, 0, 0]
    assert choose("best", tiny(half, half, half))[0].candidate == "generic"
    assert choose("best", tiny(half, half[::-1], bad))[0].candidate == "generic"
    assert choose("best", tiny(bad, half, half))[0].candidate == "onehot"
    assert choose("best", tiny(bad, half, good))[0].candidate == "decoupled"
    lacks = tiny(bad, half, good, unavailable={"decoupled": {0: "why not"}})
    assert choose("best", lacks)[0].candidate == "onehot"
    none = {name: {0: "why not"} for name in NAMES[1:]}
    refused = choose("best", tiny(bad, half, good, unavailable=none))[0]
    assert refused.candidate == "generic"
    assert refused.reason == "no other candidate can serve the group: why not"
    few = choose("best", tiny(bad, half, good, min_group_size=5))[0]
    assert few.candidate == "generic"
    assert few.reason == "too few rows to choose: 4, min_group_size is 5"


def test_best_takes_no_rounding_error_for_a_gain():
    y = np.array([0, 1] * 50)
    p = np.random.default_rng(0).uniform(0.1, 0.9, 100)
    generic = Predictions.from_proba(p)
    for metric in ("brier", "log_loss"):
        for moved, chosen in ((4e-16, "generic"), (1e-6, "onehot")):
            better = Predictions.from_proba(np.where(y == 1, p + moved, p - moved))
            evidence = gather(
                y,
                np.zeros(100, dtype=int),
                1,
                {"generic": generic, "onehot": better},
                dict.fromkeys(("generic", "onehot"), np.ones(100, dtype=bool)),
                {},
                get_metric(metric),
                4,
            )
            assert evidence.gains(evidence.metric, "onehot")[0] > 0
            assert choose("best", evidence)[0].candidate == chosen, (metric, moved)


def test_rows_that_were_not_scored_do_not_choose():
    scored = {name: np.ones(4, dtype=bool) for name in NAMES}
    scored["decoupled"] = np.array([True, True, False, False])
    evidence = tiny([0, 0, 1, 1], [1] * 4, [0, 0, 0, 0], scored=scored, min_group_size=2)
    assert choose("best", evidence)[0].candidate == "generic"  # equal on the two that count


@pytest.mark.parametrize("policy", ["priced", "best", "tested", "assign_generic"])
def test_no_rivals_and_unknown_policies(policy):
    evidence = make_evidence(0)
    alone = gather(
        evidence.rows.y,
        evidence.rows.groups,
        5,
        {"generic": evidence.predictions("generic")},
        {"generic": evidence.scores["generic"].scored},
        {},
        evidence.metric,
        20,
    )
    assert {c.candidate for c in choose(policy, alone)} == {"generic"}
    with pytest.raises(ValueError, match=r"policy='hope' is not known\. Allowed: priced, best"):
        choose("hope", evidence)


# shrunken
def two_priors(d, squares, n):
    """The rule of one candidate over its groups: lists of numbers in, (m1, sd1, m2, sd2) out."""
    groups = list(d)
    m = len(groups)
    if not m:
        return {}
    v = sum(squares[g] for g in groups) / sum(n[g] for g in groups)
    s2 = {g: (squares[g] + 10 * v) / ((n[g] + 10) * n[g]) for g in groups}
    w = {g: 1 / s2[g] for g in groups}
    sw = sum(w.values())
    mu0 = sum(w[g] * d[g] for g in groups) / sw
    q = sum(w[g] * (d[g] - mu0) ** 2 for g in groups)
    tau2 = 0.0
    if m > 1:
        tau2 = max(0.0, (q - (m - 1)) / (sw - sum(x * x for x in w.values()) / sw))
    total = sum(1 / (s2[g] + tau2) for g in groups)
    mu = sum(d[g] / (s2[g] + tau2) for g in groups) / total
    vmu = 1 / total

    def posterior(g, mu, vmu, tau2):
        b = s2[g] / (s2[g] + tau2)
        return (1 - b) * d[g] + b * mu, math.sqrt((1 - b) * s2[g] + b * b * vmu)

    first = {g: posterior(g, mu, vmu, tau2) for g in groups}
    if mu <= 0:
        return {g: (*first[g], *first[g]) for g in groups}
    own = max(0.0, sum(w[g] * (d[g] ** 2 - s2[g]) for g in groups) / sw)
    return {g: (*first[g], *posterior(g, 0.0, 0.0, own)) for g in groups}


def proper_loss(evidence, name, i):
    if evidence.metric.regression:
        return (evidence.rows.y[i] - evidence.predictions(name).label[i]) ** 2
    if evidence.predictions(name).proba is None:
        return float(evidence.predictions(name).label[i] != evidence.rows.y[i])
    return (evidence.predictions(name).proba[i, 1] - evidence.rows.y[i]) ** 2


def clipped_log_loss(evidence, name, i):
    p = evidence.predictions(name).proba[i, evidence.rows.y[i]]
    return -math.log(min(max(p, 1e-6), 1 - 1e-6))


def row_moments(evidence, name, loss):
    d, squares, n = {}, {}, {}
    for g in range(evidence.rows.m):
        if may_serve(evidence, g, name):
            gains = [
                loss(evidence, "generic", i) - loss(evidence, name, i)
                for i in rows_of(evidence, g, name)
            ]
            d[g] = sum(gains) / len(gains)
            squares[g] = sum((x - d[g]) ** 2 for x in gains)
            n[g] = len(gains)
    return d, squares, n


def delong(y, p, q):
    """Gain in AUC of q over p, and its variance (DeLong et al. 1988), by counting pairs."""
    ones, zeros = np.flatnonzero(y == 1), np.flatnonzero(y == 0)

    def half(a, b):
        return 1.0 if a > b else 0.5 if a == b else 0.0

    wins = np.array([[[half(s[i], s[j]) for j in zeros] for i in ones] for s in (p, q)])
    by_one, by_zero = wins.mean(axis=2), wins.mean(axis=1)
    s_one, s_zero = np.cov(by_one), np.cov(by_zero)
    cov = s_one / len(ones) + s_zero / len(zeros)
    auc = wins.mean(axis=(1, 2))
    return auc[1] - auc[0], cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]


def auc_moments(evidence, name):
    d, squares, n = {}, {}, {}
    for g in range(evidence.rows.m):
        if may_serve(evidence, g, name):
            rows = rows_of(evidence, g, name)
            scores = [evidence.predictions(c).proba[rows, 1] for c in ("generic", name)]
            d[g], variance = delong(evidence.rows.y[rows], *scores)
            n[g] = len(rows)
            squares[g] = variance * n[g] ** 2  # so that squares / n^2 is the variance of the gain
    return d, squares, n


def shrunken_by_loops(evidence):
    by_auc = evidence.metric.name == "auc"
    z = 1.0 if by_auc else 1.645
    best = dict.fromkeys(range(evidence.rows.m), ("generic", 0.0))
    for name in NAMES[1:]:
        if by_auc:
            d, squares, n = auc_moments(evidence, name)
        else:
            d, squares, n = row_moments(evidence, name, proper_loss)
        for g, (m1, sd1, m2, sd2) in two_priors(d, squares, n).items():
            sure = m1 > z * sd1 and m2 > 0.5 * sd2
            if by_auc:
                gains = [
                    clipped_log_loss(evidence, "generic", i) - clipped_log_loss(evidence, name, i)
                    for i in rows_of(evidence, g, name)
                ]
                sure = sure and sum(gains) > 0
            if sure and m1 > best[g][1]:
                best[g] = (name, m1)
    return [best[g][0] for g in range(evidence.rows.m)]


@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_shrunken_is_the_two_prior_rule(spread):
    seen = []
    for seed in range(25):
        evidence = make_evidence(seed, spread=spread)
        chosen = [c.candidate for c in shrunken(evidence)]
        assert chosen == shrunken_by_loops(evidence), seed
        seen += chosen
    share = seen.count("generic") / len(seen)
    assert 0.2 < share < 0.98  # both outcomes are covered
    assert set(seen) == set(NAMES)


def test_shrunken_for_auc_uses_delong_and_log_loss():
    seen = []
    for seed in range(6):
        evidence = make_evidence(seed, "auc", n=350)
        chosen = [c.candidate for c in shrunken(evidence)]
        assert chosen == shrunken_by_loops(evidence), seed
        seen += chosen
    assert len(set(seen)) == 3


def test_shrunken_never_deploys_an_infinite_loss_in_the_metric():
    # onehot is far better by the Brier score, but sure of one wrong outcome in group 0
    y, groups = np.tile([0, 1], 200), np.repeat([0, 1], 200)
    generic, good = np.full(400, 0.5), np.where(y == 1, 0.9, 0.1)
    sure = good.copy()
    sure[0] = 1.0

    def chosen(metric, **rivals):
        predictions = {"generic": generic, **rivals}
        return shrunken(
            gather(
                y,
                groups,
                2,
                {name: Predictions.from_proba(p) for name, p in predictions.items()},
                dict.fromkeys(predictions, np.ones(400, dtype=bool)),
                {},
                get_metric(metric),
                20,
            ),
        )

    assert [c.candidate for c in chosen("error", onehot=sure)] == ["onehot", "onehot"]
    first, second = chosen("log_loss", onehot=sure)
    assert (first.candidate, second.candidate) == ("generic", "onehot")
    worse = np.where(y == 1, 0.8, 0.2)
    first, second = chosen("log_loss", onehot=sure, decoupled=worse)
    assert (first.candidate, second.candidate) == ("decoupled", "onehot")


def test_shrunken_without_probabilities_uses_errors():
    for seed in range(6):
        base = make_evidence(seed, spread=2.0)
        labels = {name: Predictions(p.label) for name, p in predictions_of(base).items()}
        evidence = gather(
            base.rows.y, base.rows.groups, 5, labels, scored_of(base), {}, base.metric, 20
        )
        assert [c.candidate for c in shrunken(evidence)] == shrunken_by_loops(evidence)


def test_shrunken_with_one_group_and_with_none_fit_to_serve():
    for seed in range(5):
        evidence = make_evidence(seed, m=1, n=120)
        assert [c.candidate for c in shrunken(evidence)] == shrunken_by_loops(evidence)
    small = make_evidence(0, n=30)
    assert {c.candidate for c in shrunken(small)} == {"generic"}


def test_identical_candidates_are_no_gain():
    evidence = make_evidence(0)
    same = dict.fromkeys(NAMES, evidence.predictions("generic"))
    for policy in ("best", "priced", "tested"):
        for metric in ("error", "auc"):
            alike = gather(
                evidence.rows.y,
                evidence.rows.groups,
                5,
                same,
                scored_of(evidence),
                {},
                get_metric(metric),
                20,
            )
            assert {c.candidate for c in choose(policy, alike)} == {"generic"}


@pytest.mark.parametrize("policy", ["best", "priced"])
@pytest.mark.parametrize("metric", ["error", "auc"])
def test_rows_of_weight_zero_are_no_evidence(policy, metric):
    for seed in range(3):
        kept = np.random.default_rng(seed).random(500) > 0.3
        dropped = make_evidence(seed, metric).take(np.flatnonzero(kept))
        weighted = make_evidence(seed, metric, weight=kept.astype(float))
        assert [c.candidate for c in choose(policy, weighted)] == [
            c.candidate for c in choose(policy, dropped)
        ]


def test_a_row_of_weight_two_gains_as_two_rows():
    for metric in ("error", "brier", "auc", "ece"):
        for seed in range(4):
            times = np.random.default_rng(seed).integers(1, 4, 500)
            twice = make_evidence(seed, metric).take(np.repeat(np.arange(500), times))
            weighted = make_evidence(seed, metric, weight=times.astype(float))
            assert [c.candidate for c in choose("best", weighted)] == [
                c.candidate for c in choose("best", twice)
            ]


def test_rows_given_twice_as_one_cluster_are_no_new_evidence():
    for seed in range(10):
        once = make_evidence(seed)
        copies = np.repeat(np.arange(500), 3)
        thrice = once.take(copies)
        clustered = replace(thrice, rows=replace(thrice.rows, clusters=copies))
        expected = [c.candidate for c in shrunken(once)]
        assert [c.candidate for c in shrunken(clustered)] == expected


# policies that test
def holm(p, weight, alpha):
    """Groups rejected by Holm's procedure with weights, one step at a time."""
    rejected, left = set(), set(p)
    while left:
        g = min(left, key=lambda k: p[k] / weight[k])
        if p[g] > alpha * weight[g] / sum(weight[k] for k in left):
            break
        rejected.add(g)
        left.remove(g)
    return rejected


def mcnemar(evidence, g, name, side):
    rows = rows_of(evidence, g, name)
    y = evidence.rows.y[rows]
    wrong = [evidence.predictions(c).label[rows] != y for c in ("generic", name)]
    gained, lost = int((wrong[0] & ~wrong[1]).sum()), int((~wrong[0] & wrong[1]).sum())
    k = gained if side == "gain" else lost
    n = gained + lost
    return binomtest(k, n, alternative="greater").pvalue if n else 1.0


def deployed_if_shown(nominees, evidence):
    p, weight, served = {}, {}, evidence.served(nominees)
    for g, nominee in enumerate(nominees):
        if nominee.candidate != "generic":
            p[g] = mcnemar(served, g, "nominee", "gain")
            weight[g] = len(rows_of(served, g, "nominee"))
    shown = holm(p, weight, evidence.settings.alpha)
    return [n.candidate if g in shown else "generic" for g, n in enumerate(nominees)]


def test_tested_is_exact_mcnemar_with_weighted_holm():
    seen = []
    for seed in range(12):
        evidence = make_evidence(seed, n=800, spread=1.5)
        expected = deployed_if_shown(nominate(evidence), evidence)
        assert [c.candidate for c in choose("tested", evidence)] == expected, seed
        seen += expected
    assert set(seen) == set(NAMES)


def test_assign_generic_withdraws_the_first_rival_on_shown_violations():
    seen = []
    for seed in range(12):
        evidence = make_evidence(seed, n=800, spread=2.0)
        able = [g for g in range(5) if may_serve(evidence, g, "onehot")]
        p = {g: mcnemar(evidence, g, "onehot", "violation") for g in able}
        bad = holm(p, dict.fromkeys(able, 1.0), evidence.settings.alpha)
        expected = ["onehot" if g in able and g not in bad else "generic" for g in range(5)]
        assert [c.candidate for c in choose("assign_generic", evidence)] == expected, seed
        seen += expected
    assert set(seen) == {"generic", "onehot"}


def test_certified_nominates_on_some_rows_and_tests_on_others():
    seen = []
    for seed in range(12):
        both = make_evidence(seed, n=2000, spread=1.5)
        inner, outer = both.take(np.arange(1200)), both.take(np.arange(1200, 2000))
        expected = deployed_if_shown(nominate(inner), outer)
        assert [c.candidate for c in choose_certified(inner, outer)] == expected, seed
        seen += expected
    assert set(seen) == set(NAMES)
