"""Rows that cannot tell: each is undetermined or a clear error, never a violation, never NaN."""

import json
import math

import numpy as np
import pytest
from audited import audit_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LinearRegression, LogisticRegression

from fairuse_router import FairUseRouter
from fairuse_router.audit import Audit, audit_predictions
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import Predictions

SCHEMA = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("old", "young")))
TABLES = ("overall", "rationality", "envy_freeness", "truthfulness")


def missed_positives(y, predictions, weight=None):
    """A risk of a user's own: undefined without a positive."""
    positive = y == 1
    return float(np.mean(predictions.label[positive] == 0)) if positive.any() else math.nan


METRICS = ("error", "auc", "ece", "brier", "log_loss", missed_positives)


def check_laws(audit):
    """What holds of every record, whatever the rows."""
    for table in TABLES:
        for r in getattr(audit, table):
            assert r.verdict in ("gain", "violation", "undetermined", "same")
            if r.verdict == "same":
                assert (r.gain, r.low, r.high, r.p_corrected) == (0.0, None, None, None)
            for name in ("gain", "low", "high", "p_gain", "p_violation", "p_corrected"):
                value = getattr(r, name)
                assert value is None or not math.isnan(value)
            if r.p_gain is None:
                assert r.verdict in ("undetermined", "same")
                assert r.reason
            if r.verdict == "violation":
                assert r.gain < 0
                assert r.p_violation <= r.p_corrected <= audit.alpha
            if r.verdict == "gain":
                assert r.gain > 0
                assert r.p_gain <= r.p_corrected <= audit.alpha
    plain = audit.to_json()
    assert Audit.from_json(plain) == audit
    json.loads(plain, parse_constant=lambda c: pytest.fail(c) if c == "NaN" else c)
    assert all(len(line) <= 80 for line in str(audit).splitlines())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    empty=st.integers(0, 3),
    rate=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    grain=st.sampled_from([1, 2, 20]),
    weighted=st.booleans(),
)
def test_any_few_rows(seed, n, empty, rate, grain, weighted):
    """Empty cells, one class, single rows, ties, constants, weights of zero, probabilities 0, 1."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < rate).astype(int)
    groups = rng.integers(-1, 4, n)
    groups[groups == empty] = -1
    first, second = (Predictions.from_proba(rng.integers(0, grain + 1, n) / grain) for _ in "ab")
    weight = rng.integers(0, 3, n).astype(float) if weighted else None
    audit = audit_rows(
        y,
        {"generic": first, "onehot": second},
        groups,
        SCHEMA,
        metrics=METRICS,
        weight=weight,
        n_resamples=100,
    )
    check_laws(audit)
    for r in audit.rationality:
        if r.n == 0:
            assert (r.gain, r.verdict, r.reason) == (None, "undetermined", "no rows")


def test_nothing_at_all():
    none = Predictions.from_proba(np.empty(0))
    audit = audit_rows(
        np.empty(0, int), {"generic": none, "onehot": none}, np.empty(0, int), SCHEMA
    )
    check_laws(audit)
    assert audit.n == 0


def test_constant_predictions_differ_in_error_only():
    y, sex = np.tile([0, 1, 1], 40), np.repeat(["F", "M"], 60)
    ones, zeros = np.full(120, 0.9), np.full(120, 0.2)
    models = {"generic": ones, "onehot": zeros}
    audit = audit_predictions(y, models, sex, metrics=["error", "auc"])
    check_laws(audit)
    assert {r.verdict for r in audit.rationality if r.metric == "error"} == {"violation"}
    auc = [r for r in audit.rationality if r.metric == "auc"]
    assert {(r.gain, r.verdict, r.reason) for r in auc} == {
        (0.0, "undetermined", "no rank differs")
    }


def test_infinite_log_loss_is_shown_and_undetermined():
    y, sex = np.tile([0, 1], 60), np.repeat(["F", "M"], 60)
    sure = np.where(np.arange(120) == 0, 1.0, 0.5)  # one row of F is sure and wrong
    audit = audit_predictions(
        y, {"generic": np.full(120, 0.5), "onehot": sure}, sex, metrics="log_loss"
    )
    check_laws(audit)
    women, men = audit.rationality
    assert (women.gain, women.verdict, women.reason) == (
        -math.inf,
        "undetermined",
        "infinite loss",
    )
    assert men.reason == "no row differs"


def test_nan_predictions_are_refused_by_name():
    y, sex = np.tile([0, 1], 20), np.repeat(["F", "M"], 20)
    lost = np.where(np.arange(40) < 3, np.nan, 0.4)
    with pytest.raises(ValueError, match=r"predictions\['onehot'\] holds values that are not prob"):
        audit_predictions(y, {"generic": np.full(40, 0.4), "onehot": lost}, sex)
    own = {"generic": Predictions.from_proba(np.full(40, 0.4)), "x": Predictions.from_proba(lost)}
    with pytest.raises(ValueError, match=r"predictions of 'x' hold NaN in 3 rows"):
        audit_predictions(y, own, sex)
    numbers = {"generic": np.zeros(40), "x": np.where(np.arange(40) < 2, np.nan, 0)}
    with pytest.raises(ValueError, match=r"predictions of 'x' hold NaN in 2 rows"):
        audit_predictions(y.astype(float), numbers, sex, metrics="squared_error")
    away = np.where(np.arange(40) < 3, None, sex)  # rows of no group do not count
    check_laws(audit_predictions(y, own, away))


class NanForMen(ClassifierMixin, BaseEstimator):
    """Probabilities are lost where it was trained on men only (x1 = 1)."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.inner_ = LogisticRegression().fit(X, y)
        self.broken_ = bool((np.asarray(X)[:, 1] == 1).all())
        return self

    def predict(self, X):
        return self.inner_.predict(X)

    def predict_proba(self, X):
        proba = self.inner_.predict_proba(X)
        return np.full_like(proba, np.nan) if self.broken_ else proba


def numeric_data(n=400, seed=0):
    rng = np.random.default_rng(seed)
    sex = rng.integers(0, 2, n).astype(float)
    X = np.column_stack([rng.normal(size=n), sex, sex])
    y = (X[:, 0] + rng.normal(size=n) > 0).astype(int)
    return X, y


def test_nan_of_one_groups_model_costs_that_group_only():
    X, y = numeric_data()
    router = FairUseRouter(NanForMen(), [2], random_state=0).fit(X, y)
    women, men = router.routing_table_.groups
    assert "NaN" in men.unavailable["decoupled"]
    assert "decoupled" not in women.unavailable
    check_laws(router.audit(X, y, metrics=["error", "brier", "auc"]))


def test_a_group_absent_from_the_test_rows():
    X, y = numeric_data()
    router = FairUseRouter(LogisticRegression(), [2], random_state=0).fit(X, y)
    women = X[:, 2] == 0
    audit = router.audit(X[women], y[women], metrics=["error", "auc", "ece", "log_loss"])
    check_laws(audit)
    absent = [r for r in audit.rationality if r.group == "1"]
    assert absent
    assert {(r.n, r.gain, r.verdict) for r in absent} == {(0, None, "undetermined")}


def test_test_rows_of_one_class():
    X, y = numeric_data()
    router = FairUseRouter(LogisticRegression(), [2], random_state=0).fit(X, y)
    audit = router.audit(X[y == 0], y[y == 0], metrics=["auc", "error"])
    check_laws(audit)
    auc = [r for r in audit.rationality if r.metric == "auc"]
    models = [r for r in auc if r.candidate != "routed"]
    assert {(r.gain, r.verdict) for r in models} == {(None, "undetermined")}
    routed = {(r.gain, r.verdict) for r in auc if r.candidate == "routed"}
    assert routed == {(0.0, "same")}  # generic serves all, which is known without a test


def test_settings_of_a_routers_audit():
    X, y = numeric_data()
    router = FairUseRouter(LogisticRegression(), [2], random_state=0).fit(X, y)
    loose = router.audit(X, y, metrics="error", alpha=0.2, correction="none")
    assert (loose.alpha, loose.correction) == (0.2, "none")
    chosen = router.audit(X, y, tests={"error": "exact McNemar"})
    assert {r.test for r in chosen.rationality} == {"exact McNemar"}
    for wrong, message in (
        ({"alpha": 0.7}, "alpha=0.7 is not allowed"),
        ({"correction": "sidak"}, "correction='sidak' is not known"),
        ({"tests": {"error": "DeLong"}}, "Allowed: mid-p McNemar"),
        ({"n_resamples": 5}, "at least 20"),
        ({"alpha": "0.1"}, "alpha='0.1' is not allowed: it lies between"),
        ({"metrics": ["error", "squared_error"]}, "mixes classification and regression"),
        ({"metrics": "squared_error"}, "metric='squared_error' does not fit a classifier"),
        ({"tests": {"eror": "DeLong"}}, r"tests names the metrics \['eror'\].*Allowed: error"),
        ({"tests": {"error": "paired bootstrap"}}, "not possible for envy-freeness.*exact boots"),
        ({"tests": {"auc": "paired bootstrap"}, "metrics": "auc"}, "Allowed: DeLong"),
    ):
        with pytest.raises(ValueError, match=message):
            router.audit(X, y, **wrong)
    with pytest.raises(TypeError, match="tests='DeLong' is not allowed: pass a mapping"):
        router.audit(X, y, metrics="auc", tests="DeLong")


def test_a_regressor_is_not_audited_by_classes():
    X, _ = numeric_data()
    y = X[:, 0] + X[:, 2]
    router = FairUseRouter(LinearRegression(), [2], metric="squared_error").fit(X, y)
    for wrong in ("error", "auc"):
        with pytest.raises(ValueError, match=f"metric='{wrong}' does not fit a regressor"):
            router.audit(X, y, metrics=wrong)

    def median_error(y, predictions, weight):
        return float(np.median(np.abs(y - predictions.label)))

    assert router.audit(X, y, metrics=median_error, n_resamples=50).metrics == ("median_error",)


@pytest.mark.parametrize("metric", ["error", "auc", "ece", "brier", missed_positives])
def test_the_view_says_what_is_not_tested_and_by_what_the_rest_is(metric):
    X, y = numeric_data()
    router = FairUseRouter(LogisticRegression(), [2], cv=2).fit(X, y)
    audit = router.audit(X, y, metrics=metric, n_resamples=50)
    text = str(audit)
    name = audit.metrics[0]
    used = {"error": "mid-p McNemar", "auc": "DeLong", "ece": "swap permutation"}
    used["brier"], used["missed_positives"] = "paired t", "paired bootstrap"
    assert f"\nTests: {used[name]} ({name}).\n" in text
    told = f"Envy-freeness is not tested in {name}, but for routed, by its truthfulness."
    assert (told in " ".join(text.split())) == (name in ("ece", "missed_positives"))
    assert (not audit.envy_freeness) == (name in ("ece", "missed_positives"))
    assert "over all tests of a candidate and metric, truthfulness apart" in " ".join(text.split())


def test_rows_that_withhold_are_counted():
    X, y = numeric_data()
    router = FairUseRouter(LogisticRegression(), [2], cv=2).fit(X, y)
    assert router.audit(X, y).n_partial == 0
    assert "withhold something" not in str(router.audit(X, y))
    X[:7, 2] = np.nan
    weight = np.where(np.arange(400) % 2 == 0, 1.0, 0.0)
    audits = router.audit(X, y), router.audit(X, y, weight)
    for audit, counts in zip(audits, ((393, 7), (196, 4)), strict=True):
        assert (audit.n, audit.n_partial) == counts
        assert f"; {audit.n_partial} of the rows withhold" in " ".join(str(audit).split())
        check_laws(audit)
    older = {k: v for k, v in audit.to_dict().items() if k != "n_partial"}
    assert Audit.from_dict(older).n_partial == 0
