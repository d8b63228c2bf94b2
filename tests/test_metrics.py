"""Risks against hand-worked numbers, scikit-learn and the laws they must obey."""

import math
import pickle
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from fairuse_router.audit import read_metrics
from fairuse_router.metrics import METRICS, Metric, Predictions, get_metric, row_losses

CLASSIFICATION = ("error", "log_loss", "brier", "auc", "ece")


def sample(seed, n=60, k=2, ties=False):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(k), n)
    if ties:
        proba = np.round(proba, 1)
        proba[:, -1] = 1 - proba[:, :-1].sum(axis=1)
        proba = np.clip(proba, 0, 1)
    y = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    return y, Predictions.from_proba(proba), rng.integers(0, 4, n).astype(float)


def test_hand_worked_binary():
    y = np.array([0, 0, 1, 1])
    p = Predictions.from_proba([0.1, 0.6, 0.6, 0.9])
    assert get_metric("error").risk(y, p, None) == 0.25
    # positives .6 .9 against negatives .1 .6: wins 1, .5, 1, 1
    assert get_metric("auc").risk(y, p, None) == pytest.approx(1 - 3.5 / 4)
    assert get_metric("brier").risk(y, p, None) == pytest.approx((0.01 + 0.36 + 0.16 + 0.01) / 4)
    # bins (0, .1]: .1; (.5, .6]: .6 - 0 + .6 - 1 = .2; (.8, .9]: -.1
    assert get_metric("ece").risk(y, p, None) == pytest.approx((0.1 + 0.2 + 0.1) / 4)
    assert get_metric("log_loss").risk(y, p, None) == pytest.approx(
        -(math.log(0.9) + math.log(0.4) + math.log(0.6) + math.log(0.9)) / 4
    )


def test_ece_bins_are_closed_above_and_first_at_zero():
    # .1 and .10000001 fall apart, 0 and .1 together: |0 + .1 - 1| and |.10000001|
    y = np.array([0, 1, 0])
    p = Predictions.from_proba([0.0, 0.1, 0.10000001])
    assert get_metric("ece").risk(y, p, None) == pytest.approx((0.9 + 0.10000001) / 3)
    for k in range(1, 11):  # every edge k/10 belongs to the bin below it
        pair = Predictions.from_proba([k / 10, k / 10 - 0.05])
        assert get_metric("ece").risk(np.array([1, 0]), pair, None) == pytest.approx(
            abs(2 * k / 10 - 0.05 - 1) / 2
        )


def test_ece_multiclass_is_top_label():
    y = np.array([0, 1])
    p = Predictions.from_proba([[0.5, 0.3, 0.2], [0.5, 0.25, 0.25]])
    assert get_metric("ece").risk(y, p, None) == pytest.approx(abs(1.0 - 1) / 2)


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_scikit_learn(k, weighted):
    for seed in range(5):
        y, p, w = sample(seed, k=k, ties=seed % 2 == 1)
        p = Predictions(p.label, p.proba / p.proba.sum(axis=1, keepdims=True))
        w[:k] = 1.0
        weight = w if weighted else None
        assert get_metric("error").risk(y, p, weight) == pytest.approx(
            sk.zero_one_loss(y, p.label, sample_weight=weight)
        )
        finite = Predictions(p.label, (p.proba + 0.01) / (1 + 0.01 * k))
        assert get_metric("log_loss").risk(y, finite, weight) == pytest.approx(
            sk.log_loss(y, finite.proba, sample_weight=weight)
        )
        # scikit-learn has it of two classes, and of more since 1.7
        off = np.average((p.proba - np.eye(k)[y]) ** 2, axis=0, weights=weight).sum()
        two = None if k > 2 else sk.brier_score_loss(y, p.proba[:, 1], sample_weight=weight)
        assert get_metric("brier").risk(y, p, weight) == pytest.approx(off if k > 2 else two)
        areas = [
            sk.roc_auc_score(y == c, p.proba[:, c], sample_weight=weight)
            for c in ([1] if k == 2 else range(k))
        ]
        assert get_metric("auc").risk(y, p, weight) == pytest.approx(1 - np.mean(areas))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.sampled_from([2, 3]), name=st.sampled_from(CLASSIFICATION))
def test_integer_weights_are_repetitions(seed, k, name):
    y, p, w = sample(seed, n=25, k=k, ties=True)
    metric = get_metric(name)
    rows = np.repeat(np.arange(len(y)), w.astype(int))
    repeated = metric.risk(y[rows], p[rows], None)
    assert metric.risk(y, p, w) == pytest.approx(repeated, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(["error", "log_loss", "brier"]))
def test_risk_is_mean_of_row_losses(seed, name):
    y, p, w = sample(seed, k=3)
    rows = row_losses(name, y, p)
    assert get_metric(name).risk(y, p, None) == pytest.approx(rows.mean())
    assert get_metric(name).risk(y, p, w) == pytest.approx(np.average(rows, weights=w))


def test_auc_of_flipped_classes_is_symmetric():
    y, p, w = sample(3, ties=True)
    flipped = Predictions(1 - p.label, p.proba[:, ::-1])
    auc = get_metric("auc")
    assert auc.risk(y, p, w) == pytest.approx(auc.risk(1 - y, flipped, w))


def test_undefined_is_nan_and_warning_free():
    one_class = np.zeros(4, int)
    p = Predictions.from_proba([0.1, 0.2, 0.3, 0.4])
    assert math.isnan(get_metric("auc").risk(one_class, p, None))
    three = Predictions.from_proba(np.full((4, 3), 1 / 3))
    assert math.isnan(get_metric("auc").risk(np.array([0, 1, 0, 1]), three, None))
    zero = np.zeros(4)
    nothing = np.zeros(0, int)
    for name in CLASSIFICATION:
        assert math.isnan(get_metric(name).risk(np.array([0, 1, 0, 1]), p, zero))
        assert math.isnan(get_metric(name).risk(nothing, p[:0], None))


def test_infinite_log_loss_is_kept_unless_weightless():
    y = np.array([0, 1])
    p = Predictions.from_proba([0.5, 0.0])
    assert get_metric("log_loss").risk(y, p, None) == math.inf
    assert get_metric("log_loss").risk(y, p, np.array([1.0, 0.0])) == pytest.approx(math.log(2))
    assert get_metric("log_loss").format(math.inf) == "inf"


def test_regression_losses():
    y = np.array([1.0, 2.0, 3.0])
    p = Predictions(np.array([1.0, 4.0, 2.0]))
    assert get_metric("squared_error").risk(y, p, None) == pytest.approx(5 / 3)
    assert get_metric("absolute_error").risk(y, p, None) == pytest.approx(1)
    assert get_metric("squared_error").regression
    assert get_metric("squared_error").format(12345.6) == "12,346"


@pytest.mark.parametrize(
    ("name", "predictions", "message"),
    [
        ("log_loss", Predictions(np.array([0, 1])), "needs probabilities"),
        ("auc", Predictions.from_proba([0.2, np.nan]), "1 of 2 rows have NaN"),
        ("error", Predictions(np.array([0.0, np.nan])), "1 of 2 predictions are NaN"),
        ("brier", Predictions.from_proba([0.2]), "one label per row"),
        ("ece", Predictions.from_proba([0.2, 0.3, 0.4]), "one label per row"),
    ],
)
def test_bad_predictions(name, predictions, message):
    with pytest.raises(ValueError, match=message):
        get_metric(name).risk(np.array([0, 1]), predictions, None)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"metric='acc' is not known. Allowed: error, log_loss"):
        get_metric("acc")
    with pytest.raises(TypeError, match="must be a name"):
        get_metric(3)
    with pytest.raises(ValueError, match="no mean over rows"):
        row_losses("auc", np.array([0]), Predictions.from_proba([0.1]))
    with pytest.raises(ValueError, match="class indices from 0 to 1"):
        row_losses("log_loss", np.array([0, -1]), Predictions.from_proba([0.1, 0.2]))
    with pytest.raises(ValueError, match="one column per class"):
        Predictions(np.zeros(2, int), np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"give one label per row, \(n,\)"):
        Predictions(np.zeros((2, 1)))


def miss_rate(y, predictions, weight):
    return np.average((y == 1) & (predictions.label != 1), weights=weight)


def test_callable_metric():
    metric = get_metric(miss_rate)
    assert metric.name == "miss_rate"
    assert metric.rowwise is None
    y, p = np.array([1, 1, 0]), Predictions(np.array([0, 1, 1]))
    assert metric.risk(y, p, None) == pytest.approx(1 / 3)
    assert metric.risk(y, p, np.array([2.0, 1, 1])) == pytest.approx(1 / 2)
    assert math.isnan(metric.risk(y[:0], p[:0], None))
    with pytest.raises(TypeError, match="must return one number"):
        get_metric(lambda y, p, w: y).risk(y, p, None)


@pytest.mark.parametrize("metric", [*METRICS, miss_rate])
def test_metrics_pickle(metric):
    metric = get_metric(metric)
    again = pickle.loads(pickle.dumps(metric))
    assert isinstance(again, Metric)
    assert again.name == metric.name


def test_texts():
    error, auc, loss = map(get_metric, ("error", "auc", "log_loss"))
    assert error.format(math.nan) == error.format_gain(math.nan) == "n/a"
    assert error.format_gain(-0.0001) == "+0.0%"
    assert auc.shown(0.25) == 0.75
    assert auc.format_gain(-0.0123) == "-0.012"
    assert loss.format(0.4123) == "0.412"
    assert loss.format_gain(-math.inf) == "-inf"


def test_a_risk_of_ones_own_does_not_pass_for_a_built_in():
    def auc(y, predictions, weight):
        return 0.0

    for metric in (auc, Metric("error", False, None, auc), Metric("auc", True, None, auc, "auc")):
        with pytest.raises(
            ValueError, match=r"named '\w+', like the built-in metric\. .* or rename"
        ):
            get_metric(metric)
    for name in METRICS:
        built_in = get_metric(name)
        for copy in (built_in, pickle.loads(pickle.dumps(built_in)), deepcopy(built_in)):
            assert get_metric(copy) is built_in


def test_metrics_of_one_audit_have_different_names():
    with pytest.raises(ValueError, match=r"has two of the name 'error'.*Drop the repeated one"):
        read_metrics(("error", "auc", get_metric("error")))
    with pytest.raises(ValueError, match=r"two of the name '<lambda>'.*def, not lambda"):
        read_metrics([lambda y, p, w: 0.0, lambda y, p, w: 1.0])
