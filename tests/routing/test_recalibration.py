"""Recalibrated routes: intercept and slope on a candidate's own margin, where that pays."""

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from blends import draw, fitted, routed
from evidence import NAMES
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from fairuse_router import Bundle, FairUseRouter, RoutingTable, export_bundle
from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.pool import Pool
from fairuse_router.candidates.recalibrated import lines_of, with_recalibrated
from fairuse_router.candidates.scores import Scores, answer
from fairuse_router.metrics import get_metric
from fairuse_router.routing.policies.evidence import Choice, Evidence
from fairuse_router.routing.policies.recalibration import recalibrated_where_it_pays
from fairuse_router.rows import TrainingRows

NEW = "recalibrated decoupled"
CLIP = 0.005


def rows_of(y, groups, weight=None):
    y = np.asarray(y)
    classes = None if y.dtype.kind == "f" else np.unique(y)
    return TrainingRows(
        np.zeros((len(y), 1)),
        groups,
        y,
        y,
        classes,
        int(groups.max()) + 1,
        codes=groups[:, None] + 1,
        weight=weight,
    )


def pool_of(margin, rows):
    """Generic that knows nothing, and a candidate of some margin."""
    regression = rows.classes is None
    told = {"generic": np.zeros(len(margin)), "decoupled": margin}
    every = np.ones(len(margin), dtype=bool)
    scores = {name: Scores(answer(z, regression), every) for name, z in told.items()}
    model = LinearRegression() if regression else LogisticRegression()
    served = np.zeros(rows.n_groups, dtype=np.int64)
    return Pool({n: Candidate(n, (model,), served) for n in told}, scores, {n: {} for n in told})


def offered(margin, y, groups, metric="log_loss"):
    """Whether each group's route by the candidate is recalibrated, and the evidence."""
    rows = rows_of(y, groups)
    pool = with_recalibrated(pool_of(margin, rows), rows)
    evidence = Evidence(rows.outcomes, pool.scores, [get_metric(metric)], unavailable={})
    choices = [Choice("decoupled", "chosen")] * rows.n_groups
    found = recalibrated_where_it_pays(choices, evidence)
    return np.array([c.candidate == NEW for c in found]), evidence, found


@pytest.mark.parametrize("weighted", [False, True])
def test_lines_are_the_logistic_and_linear_regressions_of_statsmodels(weighted):
    rng = np.random.default_rng(0)
    z, groups = rng.normal(size=400), rng.integers(0, 2, 400)
    weight = rng.integers(1, 4, 400).astype(float) if weighted else None
    y = (rng.random(400) < expit(0.3 + 0.5 * z + groups * z)).astype(int)
    number = 1 + 2 * z + groups * z + rng.normal(size=400)
    for target, family in ((y, sm.families.Binomial()), (number, sm.families.Gaussian())):
        found = lines_of(z, rows_of(target, groups, weight), np.arange(400))
        for g in (0, 1):
            own = groups == g
            counts = None if weight is None else weight[own]
            model = sm.GLM(target[own], sm.add_constant(z[own]), family, freq_weights=counts)
            np.testing.assert_allclose(found[g], model.fit(tol=1e-12).params, rtol=1e-7)


def test_few_rows_of_a_class_and_margins_that_do_not_rank_have_no_line():
    rng = np.random.default_rng(1)
    z, groups = rng.normal(size=300), np.repeat([0, 1, 2], 100)
    y = (rng.random(300) < expit(z)).astype(int)
    y[groups == 1] = np.arange(100) < 9
    y[groups == 2] = z[groups == 2] < 0.3 * rng.normal(size=100)
    found = lines_of(z, rows_of(y, groups), np.arange(300))
    assert np.isfinite(found[:, 0]).tolist() == [True, False, False]
    rows = rows_of(y, groups)
    pool = with_recalibrated(pool_of(z, rows), rows)
    assert sorted(pool.unavailable[NEW]) == [1, 2]
    assert "fewer than 10 rows of a class" in pool.unavailable[NEW][1]
    assert pool.candidates[NEW].model_of_group.tolist() == [0, -1, -1]
    assert not pool.scores[NEW].scored[groups > 0].any()


def test_scores_do_not_come_from_the_rows_that_they_are_of():
    """In sample, two numbers fitted to 100 calibrated rows gain a unit of log-likelihood."""
    fitted_gain, scored_gain = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=100)
        y = (rng.random(100) < expit(z)).astype(int)
        rows = rows_of(y, np.zeros(100, dtype=np.int64))
        line = lines_of(z, rows, np.arange(100))[0]
        told = with_recalibrated(pool_of(z, rows), rows).scores[NEW].predictions.proba[:, 1]
        loss = [-np.log(np.where(y == 1, p, 1 - p)).sum() for p in (expit(z), told)]
        own = expit(line[0] + line[1] * z)
        fitted_gain.append(loss[0] + np.log(np.where(y == 1, own, 1 - own)).sum())
        scored_gain.append(loss[0] - loss[1])
    assert 0.6 < np.mean(fitted_gain) < 1.4  # half a chi-square of 2 degrees of freedom
    assert np.mean(scored_gain) < -0.6


@pytest.mark.parametrize("metric", ["log_loss", "brier", "ece", "error", "net_benefit@0.2"])
def test_what_is_told_twice_as_surely_is_recalibrated(metric):
    rng = np.random.default_rng(3)
    z, groups = 1.5 * rng.normal(size=3000), np.repeat([0, 1, 2], [1500, 1000, 500])
    shift = 0.0 if metric in ("log_loss", "brier", "ece") else 2.0
    y = (rng.random(3000) < expit(z - shift)).astype(int)
    taken, evidence, found = offered(2 * z, y, groups, metric)
    assert taken.all()
    assert (evidence.gains(get_metric(metric), NEW) > evidence.gains(evidence.metric, "decoupled"))[
        taken
    ].all()
    assert re.fullmatch(r"chosen; recalibrated, which should gain another \+0?\S+", found[0].reason)


def test_ranks_gain_nothing_so_that_nothing_is_taken():
    rng = np.random.default_rng(3)
    z, groups = rng.normal(size=2000), np.repeat([0, 1], 1000)
    y = (rng.random(2000) < expit(z)).astype(int)
    assert not offered(3 * z, y, groups, "auc")[0].any()


def test_calibrated_margins_are_left_alone():
    """Of 200 samples, groups of 300, 150 and 50 rows; wrongly taken in few of them."""
    taken = np.zeros(3)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        z, groups = 1.5 * rng.normal(size=500), np.repeat([0, 1, 2], [300, 150, 50])
        taken += offered(z, (rng.random(500) < expit(z)).astype(int), groups)[0]
    assert taken.max() <= 2


def test_a_part_of_a_route_and_a_group_served_otherwise():
    rng = np.random.default_rng(4)
    z, groups = 1.5 * rng.normal(size=2000), np.repeat([0, 1], 1000)
    rows = rows_of((rng.random(2000) < expit(z)).astype(int), groups)
    pool = with_recalibrated(pool_of(3 * z, rows), rows)
    evidence = Evidence(rows.outcomes, pool.scores, [get_metric("log_loss")])
    choices = [Choice("generic", "no gain"), Choice("decoupled", "chosen", 0.75)]
    kept, new = recalibrated_where_it_pays(choices, evidence)
    assert kept == choices[0]
    assert (new.candidate, new.strength) == (NEW, 1.0)
    assert NEW not in evidence.rivals
    assert NAMES[2] in evidence.rivals


def copies(n, seed):
    """Six noisy copies of what matters, which naive Bayes counts six times; three groups."""
    rng = np.random.default_rng(seed)
    group, x = rng.choice(list("abc"), n, p=[0.5, 0.3, 0.2]), rng.normal(size=n)
    frame = pd.DataFrame(
        x[:, None] + 0.5 * rng.normal(size=(n, 6)), columns=[f"x{j}" for j in range(6)]
    )
    frame["group"] = group
    slope = np.select([group == "a", group == "b"], [1.5, -1.5], 0.8)
    return frame, (rng.random(n) < expit(slope * x)).astype(int)


def test_naive_bayes_of_their_own_is_recalibrated_and_logistic_regression_is_not():
    X, y = copies(1500, 0)
    fresh, labels = copies(6000, 1)
    settings = {"metric": "brier", "policy": "best", "cv": 3, "random_state": 0}
    names = ("generic", "decoupled")
    routers = {
        (kind, recalibrate): FairUseRouter(
            kind(), ["group"], candidates=names, recalibrate=recalibrate, **settings
        ).fit(X, y)
        for kind in (GaussianNB, LogisticRegression)
        for recalibrate in (False, True)
    }
    served = {key: [r.candidate for r in v.routing_table_.groups] for key, v in routers.items()}
    assert NEW in served[GaussianNB, True]
    assert NEW not in served[LogisticRegression, True]
    router, plain = routers[GaussianNB, True], routers[GaussianNB, False]
    pairs = zip(served[GaussianNB, False], served[GaussianNB, True], strict=True)
    changed = [g for g, (old, new) in enumerate(pairs) if old != new]
    for g in changed:
        own = (fresh["group"] == "abc"[g]).to_numpy()
        told = [r.predict_proba(fresh[own])[:, 1] for r in (plain, router)]
        before, after = (np.mean((p - labels[own]) ** 2) for p in told)
        assert after < before - 0.03
    record = router.routing_table_.groups[changed[0]]
    assert "; recalibrated, which should gain another" in record.reason
    assert record.risks[NEW] < record.risks["decoupled"]
    assert max(map(len, str(router.routing_table_).splitlines())) <= 80
    assert RoutingTable.from_json(router.routing_table_.to_json()) == router.routing_table_
    asked = fresh[fresh["group"] == "abc"[changed[0]]][:1]
    assert NEW in str(router.route(asked))
    assert "recalibrated" in str(router.explain(asked))
    honest = FairUseRouter(
        GaussianNB(), ["group"], candidates=names, recalibrate=True, n_resamples=10, **settings
    ).fit(X, y)
    assert honest.honest_gains_.overall.gain > 0


def line_by_hand(router, X, groups, name, strength):
    """Margin of a recalibrated route, from its definition."""
    classes = getattr(router, "classes_", None)
    features, _ = router.columns_.split(X)

    def margin(name):
        method = "predict" if classes is None else "predict_proba"
        told = router.candidates_[name].evaluate(features, groups, method, classes)
        return told if classes is None else logit(np.clip(told[:, 1], CLIP, 1 - CLIP))

    models = router.candidates_[f"recalibrated {name}"].models
    a, b = models[0].intercept[groups], models[0].weights[groups, 0]
    z0 = margin("generic")
    z = z0 + strength * (a + b * margin(name) - z0)
    return z if classes is None else expit(z)


@pytest.mark.parametrize("case", ["bayes", "forest", "regression"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_what_is_served_is_the_line_and_the_bundle_says_the_same(case, strength, tmp_path):
    classes = 0 if case == "regression" else 2
    X, y, groups = draw(classes)
    estimator = {
        "bayes": GaussianNB(),
        "forest": RandomForestClassifier(10, min_samples_leaf=3, random_state=0),
        "regression": LinearRegression(),
    }[case]
    names = ("generic", "onehot", "intersectional", "decoupled")
    metric = "log_loss" if classes else "squared_error"
    router = fitted(
        estimator, X, y, groups, candidates=names, metric=metric, recalibrate=True, policy="best"
    )
    bases = ("decoupled", "onehot", "intersectional")
    served = router.candidates_[NEW].model_of_group
    parts = [
        (f"recalibrated {bases[g % 3]}", strength) if served[g] >= 0 else ("generic", 1.0)
        for g in range(4)
    ]
    router = routed(router, parts)
    ids = router.schema_.group_ids(router.columns_.split(X)[1])
    told = router.predict(X) if not classes else router.predict_proba(X)[:, 1]
    for g in np.flatnonzero(served >= 0).tolist():
        rows = np.flatnonzero(ids == g)
        want = line_by_hand(router, X[rows], ids[rows], bases[g % 3], strength)
        np.testing.assert_allclose(told[rows], want, rtol=1e-9)
    export_bundle(router, tmp_path / "b.onnx", X, precision="exact")
    bundle = Bundle.load(tmp_path / "b.onnx")
    np.testing.assert_array_equal(bundle.route(X).candidate, router.route(X).candidate)
    if classes:
        np.testing.assert_allclose(bundle.predict_proba(X)[:, 1], told, atol=1e-12)
        np.testing.assert_array_equal(bundle.predict(X), router.predict(X))
    else:
        np.testing.assert_allclose(bundle.predict(X), told, rtol=1e-12)


def test_the_bundle_keeps_recalibrated_candidates_beside_those_that_serve(tmp_path):
    X, y = copies(800, 5)
    router = FairUseRouter(
        GaussianNB(), ["group"], metric="log_loss", policy="best", recalibrate=True, random_state=0
    ).fit(X, y)
    export_bundle(router, tmp_path / "b.onnx", X, candidates="all", precision="exact")
    bundle = Bundle.load(tmp_path / "b.onnx")
    fresh, labels = copies(500, 6)
    own, theirs = (r.audit(fresh, labels, metrics=["log_loss"]) for r in (router, bundle))
    assert NEW in {record.candidate for record in theirs.risks}
    for a, b in zip(own.rationality, theirs.rationality, strict=True):
        assert (a.candidate, a.group) == (b.candidate, b.group)
        assert a.gain == pytest.approx(b.gain, abs=1e-9)


class TooSure(ClassifierMixin, BaseEstimator):
    """A fitted model of others, on the user's own columns, that claims three times the log-odds."""

    def __init__(self, told=True):
        self.told = told
        self.classes_ = np.array([0, 1])

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        z = 3 * X["x"].to_numpy(dtype=float)
        if self.told:
            z = z * np.where(X["group"] == "a", 1.0, -1.0)
        p = expit(z)
        return np.column_stack([1 - p, p])

    def predict(self, X):
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)


@pytest.mark.parametrize("policy", ["priced", "tested", "certified"])
def test_models_of_others_are_recalibrated_by_every_policy(policy):
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"group": rng.choice(["a", "b"], 3000), "x": rng.normal(size=3000)})
    z = frame["x"] * np.where(frame["group"] == "a", 1.0, -1.0)
    y = (rng.random(3000) < expit(z)).astype(int).to_numpy()
    models = {"generic": TooSure(False), "own": TooSure()}
    router = FairUseRouter(
        None,
        ["group"],
        candidates=models,
        cv="prefit",
        metric="log_loss",
        policy=policy,
        recalibrate=True,
    ).fit(frame, y)
    table = router.routing_table_
    assert table.groups[1].candidate == "recalibrated own"
    assert table.groups[1].strength == 1
    rows = frame["group"] == "b"
    assert np.abs(router.predict_proba(frame[rows])[:, 1] - expit(z[rows])).mean() < 0.03


def test_a_threshold_cuts_recalibrated_probabilities_too():
    X, y = copies(1500, 8)
    router = FairUseRouter(
        GaussianNB(),
        ["group"],
        candidates=("generic", "decoupled"),
        metric="log_loss",
        policy="best",
        threshold=0.3,
        recalibrate=True,
        random_state=0,
    ).fit(X, y)
    assert NEW in [r.candidate for r in router.routing_table_.groups]
    told = router.predict_proba(X)[:, 1]
    np.testing.assert_array_equal(router.predict(X), (told >= 0.3).astype(int))


def test_what_has_no_margin_is_refused_in_words():
    X, y, groups = draw(3)
    with pytest.raises(ValueError, match=r"for two classes or a regression; y has 3 classes"):
        fitted(LogisticRegression(), X, y, groups, recalibrate=True)
    X, y, groups = draw(2)
    names = ("generic", "onehot")
    with pytest.raises(ValueError, match=r"needs probabilities"):
        fitted(LinearSVC(), X, y, groups, recalibrate=True, candidates=names)
    with pytest.raises(TypeError, match=r"recalibrate='yes' is not allowed: pass True or False"):
        fitted(LogisticRegression(), X, y, groups, recalibrate="yes")
    frame = pd.DataFrame({"group": ["a", "b"] * 50, "x": np.linspace(-1, 1, 100)})
    models = {"generic": TooSure(False), "own": TooSure(), "recalibrated own": TooSure()}
    router = FairUseRouter(
        None, ["group"], candidates=models, cv="prefit", recalibrate=True, policy="best"
    )
    with pytest.raises(ValueError, match=r"Give it another name"):
        router.fit(frame, np.arange(100) // 50)
