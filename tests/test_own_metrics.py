"""Risks of a user's own: given what they expect, or refused before anything is fitted."""

from functools import partial

import numpy as np
import pytest
import sklearn.metrics as sm
from sklearn.linear_model import LinearRegression, LogisticRegression

from fairuse_router import FairUseRouter, audit_predictions
from fairuse_router.metrics import Metric, Predictions, get_metric, settle

RNG = np.random.default_rng(0)
N = 400
Y = RNG.integers(0, 2, N)
GROUPS = np.repeat(["a", "b"], N // 2)
GOOD = np.where(RNG.uniform(size=N) < 0.05, 1 - Y, Y)
BAD = RNG.integers(0, 2, N)


def misses(y_true, y_pred, sample_weight=None):
    return float(np.average(y_pred[y_true == 1] != 1))


def alarms(y_true, y_pred):
    return float(np.mean(y_pred[y_true == 0] == 1))


def share(y_true, y_pred):
    return float(np.sum((y_pred == 1) & (y_true == 0)) / len(y_true))


def ours(y, predictions, weight):
    return float(np.average(predictions != y, weights=weight))


def three(y, p, w):
    return float(np.average((p == 1) & (y == 0), weights=w))


class Counted(LogisticRegression):
    fits = 0

    def fit(self, *args, **kwargs):
        Counted.fits += 1
        return super().fit(*args, **kwargs)


def router_of(metric, estimator=None, y=None, **settings):
    X = np.column_stack([np.arange(N) % 2, RNG.normal(size=N), RNG.normal(size=N)])
    y = (X[:, 1] > 0).astype(int) if y is None else y(X)
    Counted.fits = 0
    model = Counted() if estimator is None else estimator
    router = FairUseRouter(model, [0], metric=metric, policy="best", cv=2, **settings)
    return router, X, y


@pytest.mark.parametrize("risk", [misses, alarms, share, lambda y, p: np.mean(y != p)])
@pytest.mark.parametrize("names", [(0, 1), (1, 3)])
def test_labels_reach_those_that_ask_for_labels(risk, names, request):
    true, bad, good = (np.array(names)[v] for v in (Y, BAD, GOOD))

    def renamed(y_true, y_pred):
        return risk(*(np.searchsorted(names, v) for v in (y_true, y_pred)))

    own = risk if names == (0, 1) else renamed
    audit = audit_predictions(
        true, {"generic": bad, "good": good}, GROUPS, metrics=own, n_resamples=20
    )
    expected = [
        own(true[m], bad[m]) - own(true[m], good[m]) for m in (GROUPS == "a", GROUPS == "b")
    ]
    assert [r.gain for r in audit.rationality] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "risk"),
    [
        (sm.accuracy_score, lambda y, p: np.mean(y != p)),
        (sm.zero_one_loss, lambda y, p: np.mean(y != p)),
        (sm.make_scorer(sm.zero_one_loss, greater_is_better=False), lambda y, p: np.mean(y != p)),
        (sm.make_scorer(sm.accuracy_score), lambda y, p: np.mean(y != p)),
        (sm.balanced_accuracy_score, lambda y, p: 1 - sm.balanced_accuracy_score(y, p)),
        (sm.f1_score, lambda y, p: 1 - sm.f1_score(y, p)),
        (partial(sm.fbeta_score, beta=2), lambda y, p: 1 - sm.fbeta_score(y, p, beta=2)),
        (sm.make_scorer(sm.fbeta_score, beta=2), lambda y, p: 1 - sm.fbeta_score(y, p, beta=2)),
        (sm.cohen_kappa_score, lambda y, p: 1 - sm.cohen_kappa_score(y, p)),
        (sm.get_scorer("recall"), lambda y, p: 1 - sm.recall_score(y, p)),
    ],
)
@pytest.mark.parametrize("names", [(0, 1), ("no", "yes")])
def test_functions_and_scorers_of_scikit_learn(metric, risk, names):
    y, bad, good = (np.array(names)[v] for v in (Y, BAD, GOOD))
    audit = audit_predictions(
        y, {"generic": bad, "good": good}, GROUPS, metrics=metric, n_resamples=20
    )
    halves = (GROUPS == "a", GROUPS == "b")
    expected = [risk(Y[m], BAD[m]) - risk(Y[m], GOOD[m]) for m in halves]
    assert [r.gain for r in audit.rationality] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "built_in"),
    [
        (sm.roc_auc_score, "auc"),
        (sm.log_loss, "log_loss"),
        (sm.brier_score_loss, "brier"),
        (sm.get_scorer("roc_auc"), "auc"),
        (sm.get_scorer("neg_log_loss"), "log_loss"),
        (sm.get_scorer("neg_brier_score"), "brier"),
    ],
)
@pytest.mark.parametrize("names", [(0, 1), ("no", "yes")])
def test_probabilities_reach_those_that_ask_for_them(metric, built_in, names):
    p = np.clip(0.5 + (Y - 0.5) * 0.5 + RNG.normal(size=N) * 0.2, 0.05, 0.95)
    given = {"generic": np.full(N, 0.5) + RNG.uniform(-0.1, 0.1, N), "good": p}
    y = np.array(names)[Y]
    found, known = (
        [r.gain for r in audit_predictions(y, given, GROUPS, metrics=m, n_resamples=20).rationality]
        for m in (metric, built_in)
    )
    assert found == pytest.approx(known)
    assert get_metric(metric).needs_proba
    with pytest.raises(ValueError, match=r"needs probabilities"):
        audit_predictions(y, {"generic": y, "b": y}, GROUPS, metrics=metric, n_resamples=20)


def test_a_group_without_a_class_is_undetermined():
    p = np.clip(0.5 + (Y - 0.5) * 0.5, 0.05, 0.95)
    y = np.where(GROUPS == "a", 0, Y)
    audit = audit_predictions(
        y, {"generic": 1 - p, "b": p}, GROUPS, metrics=sm.roc_auc_score, n_resamples=20
    )
    assert audit.rationality[0].verdict == "undetermined"
    audit = audit_predictions(
        y, {"generic": BAD * 0, "b": y}, GROUPS, metrics=sm.f1_score, n_resamples=20
    )
    assert audit.rationality[0].verdict == "undetermined"


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param(sm.mean_absolute_error, marks=pytest.mark.slow),
        pytest.param(sm.make_scorer(sm.r2_score), marks=pytest.mark.slow),
        lambda y, p: np.mean(np.abs(y - p)),
        lambda y, p, w: np.average(np.abs(y - p), weights=w),
    ],
)
def test_regressions_are_judged_too(metric):
    router, X, y = router_of(metric, LinearRegression(), lambda X: X[:, 1] + X[:, 0] * X[:, 2])
    router.fit(X, y)
    assert router.routing_table_.groups[1].candidate == "decoupled"
    assert router.audit(X, y, n_resamples=20).rationality
    audit = audit_predictions(
        y, {"generic": y + 1, "b": y + 0.5}, X[:, 0], metrics=metric, n_resamples=20
    )
    assert all(r.gain > 0 for r in audit.rationality)


SLOW = pytest.param(sm.accuracy_score, marks=pytest.mark.slow)


@pytest.mark.parametrize("metric", [misses, SLOW, ours, three, share])
@pytest.mark.parametrize("names", [(0, 1), ("no", "yes")])
def test_routers_choose_audit_and_reaudit_by_them(metric, names):
    if metric is not ours and metric is not sm.accuracy_score and names != (0, 1):
        pytest.skip("it compares with 1")
    router, X, y = router_of(metric, y=lambda X: np.array(names)[(X[:, 1] > 0).astype(int)])
    router.fit(X, y)
    assert router.routing_table_.metric == get_metric(metric).name
    assert router.audit(X, y, n_resamples=20).metrics == (get_metric(metric).name,)


def scorer_like(estimator, X, y):
    return 0.0


def needs_more(y_true, y_pred, beta):
    return 0.0


def fails(y_true, y_pred):
    raise RuntimeError("no such thing")


def an_array(y_true, y_pred):
    return np.zeros(3)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (scorer_like, "is called with a model"),
        (needs_more, "needs beta"),
        (lambda y: 0.0, "takes 1 arguments"),
        (fails, "no such thing"),
        (an_array, "must return one number"),
        (sm.confusion_matrix, "gives no risk"),
        (sm.roc_curve, "gives no risk"),
        (sm.hinge_loss, "gives no risk"),
        (sm.auc, "gives no risk"),
        (
            sm.make_scorer(sm.roc_auc_score, response_method="decision_function"),
            "decision_function",
        ),
        (sm.mean_absolute_error, "does not fit"),
    ],
)
def test_what_cannot_judge_is_refused_before_any_fit(metric, words):
    router, X, y = router_of(metric)
    with pytest.raises((TypeError, ValueError), match=words):
        router.fit(X, y)
    assert Counted.fits == 0


def test_rows_count_as_often_as_they_weigh():
    metric = settle(get_metric(share), Y, np.array([0, 1]), np.full(N, 2.0))
    weight = RNG.integers(0, 4, N).astype(float)
    repeated = np.repeat(np.arange(N), weight.astype(int))
    found = metric.risk(Y, Predictions(BAD), weight)
    assert found == share(Y[repeated], BAD[repeated])
    with pytest.raises(ValueError, match=r"takes no weights, and sample_weight holds fractions"):
        settle(get_metric(share), Y, np.array([0, 1]), np.full(N, 0.5))
    router, X, y = router_of(share)
    with pytest.raises(ValueError, match="takes no weights"):
        router.fit(X, y, sample_weight=np.full(N, 0.5))
    assert Counted.fits == 0


def test_predictions_compare_as_their_labels():
    p = Predictions(np.array([0, 1, 1]))
    assert (p == 1).tolist() == (p == 1).tolist() == [False, True, True]
    assert (p != 1).tolist() == [True, False, False]
    assert (np.array([1, 1, 0]) == p).tolist() == [False, True, False]
    assert (p > 0).tolist() == (p >= 1).tolist() == [False, True, True]
    assert (p < 1).tolist() == (p <= 0).tolist() == [True, False, False]
    assert np.mean(p) == pytest.approx(2 / 3)
    assert (1 - p).tolist() == [1, 0, 0]
    assert (p[1:] == p[1:]).all()


def test_metrics_built_by_hand_are_left_as_they_are():
    metric = Metric("mine", False, None, lambda y, p, w: 0.0)
    assert settle(get_metric(metric), Y, np.array([0, 1])) is metric
