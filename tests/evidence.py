"""Evidence for the policies, and what may be known of it by loops over its rows."""

from dataclasses import replace

import numpy as np
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from fairuse_router.candidates.scores import Scores
from fairuse_router.inference.compare import Rows
from fairuse_router.metrics import Predictions, get_metric
from fairuse_router.routing.policies.evidence import Evidence, Settings

NAMES = ("generic", "onehot", "decoupled")


def gather(
    target,
    groups,
    m,
    predictions,
    scored,
    unavailable,
    metric,
    min_group_size,
    weight=None,
    clusters=None,
    margins=None,
    **settings,
):
    """Evidence from what tests make: one dict for each kind of score."""
    scores = {
        name: Scores(p, scored[name], None, (margins or {}).get(name))
        for name, p in predictions.items()
    }
    rows = Rows(target, groups, m, weight, clusters)
    return Evidence(rows, scores, [metric], Settings(min_group_size, **settings), unavailable)


def change(evidence, *, predictions=None, metric=None, **parts):
    """The same evidence with other labels, weights, clusters, predictions, metric or settings."""
    names = {"target": "y", "weight": "weight", "clusters": "clusters"}
    rows = {names[k]: parts.pop(k) for k in list(parts) if k in names}
    told = {} if predictions is None else predictions
    scores = {
        name: replace(own, predictions=told.get(name, own.predictions))
        for name, own in evidence.scores.items()
    }
    everyone = evidence.scores["generic"].scored
    scores |= {name: Scores(p, everyone) for name, p in told.items() if name not in scores}
    return replace(
        evidence,
        rows=replace(evidence.rows, **rows),
        scores=scores,
        metrics=evidence.metrics if metric is None else [metric],
        settings=replace(evidence.settings, **parts),
    )


def predictions_of(evidence):
    return {name: own.predictions for name, own in evidence.scores.items()}


def scored_of(evidence):
    return {name: own.scored for name, own in evidence.scores.items()}


def make_evidence(seed, metric="error", *, m=5, n=500, spread=1.0, alpha=0.1, weight=None):
    """Candidates whose margins are right to a degree that differs from group to group."""
    rng = np.random.default_rng(seed)
    groups = rng.choice(np.arange(-1, m), n, p=skewed(m + 1))
    truth = rng.normal(size=n)
    target = (truth + rng.normal(size=n) > 0).astype(int)
    predictions, scored = {}, {}
    for name in NAMES:
        skill = 0.6 + (0.6 + spread * rng.normal(size=m + 1)) * (name != "generic")
        margin = skill[groups] * truth + 0.7 * rng.normal(size=n)
        p = 1 / (1 + np.exp(-margin))
        predictions[name] = Predictions.from_proba(p)
        scored[name] = rng.random(n) > 0.03
    return gather(
        target,
        groups,
        m,
        predictions,
        scored,
        {"decoupled": {m - 1: "too few"}},
        get_metric(metric),
        20,
        weight,
        alpha=alpha,
    )


def skewed(k):
    share = 0.75 ** np.arange(k)
    return share / share.sum()


def rows_of(evidence, g, name):
    """Rows of a group on which a candidate and generic were both scored, as a list."""
    return [
        i
        for i in range(len(evidence.rows.y))
        if evidence.rows.groups[i] == g
        and evidence.scores[name].scored[i]
        and evidence.scores["generic"].scored[i]
        and (evidence.rows.weight is None or evidence.rows.weight[i] > 0)
    ]


def may_serve(evidence, g, name):
    enough = len(rows_of(evidence, g, name)) >= evidence.settings.min_group_size
    return enough and g not in evidence.unavailable.get(name, {})


def ece(y, p, w):
    total = 0.0
    for k in range(10):
        inside = [
            i for i in range(len(y)) if (k / 10 < p[i] <= (k + 1) / 10) or (k == 0 and p[i] == 0)
        ]
        total += abs(sum(w[i] * (p[i] - y[i]) for i in inside))
    return total / sum(w)


def risk(evidence, name, rows):
    y = evidence.rows.y[rows]
    p = evidence.predictions(name).proba[rows, 1]
    w = np.ones(len(rows)) if evidence.rows.weight is None else evidence.rows.weight[rows]
    metric = evidence.metric.name
    if metric == "error":
        return np.average(evidence.predictions(name).label[rows] != y, weights=w)
    if metric == "brier":
        return brier_score_loss(y, p, sample_weight=w)
    if metric == "log_loss":
        return log_loss(y, p, sample_weight=w, labels=[0, 1])
    if metric == "auc":
        return 1 - roc_auc_score(y, p, sample_weight=w)
    return ece(y, p, w)
