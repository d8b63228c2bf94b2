"""Risks above a threshold and others by name: against scikit-learn and dcurves."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter, audit_predictions
from fairuse_router.inference.compare import Resampling, Rows, compare, default_test
from fairuse_router.metrics import Predictions, decision_metric, get_metric, named_metric

RNG = np.random.default_rng(0)
N = 400
P = np.round(RNG.uniform(size=N), 2)  # some of them are thresholds
Y = (RNG.random(N) < P).astype(int)
W = RNG.integers(0, 4, N).astype(float)
SAID = Predictions.from_proba(P)


def shown(name, weight=None, y=Y, said=SAID):
    metric = get_metric(name)
    return metric.shown(metric.risk(y, said, weight))


@pytest.mark.parametrize("weight", [None, W], ids=["plain", "weighted"])
@pytest.mark.parametrize("at", [None, 0.2, 0.5, 0.83])
def test_rates_agree_with_scikit_learn(at, weight):
    act = SAID.label if at is None else (at <= P).astype(int)
    end = "" if at is None else f"@{at}"
    cells = sk.confusion_matrix(Y, act, sample_weight=weight)
    (tn, fp), (fn, tp) = cells
    assert shown(f"fnr{end}", weight) == pytest.approx(fn / (fn + tp), abs=1e-12)
    assert shown(f"fpr{end}", weight) == pytest.approx(fp / (fp + tn), abs=1e-12)
    assert shown(f"selection_rate{end}", weight) == pytest.approx(
        (fp + tp) / cells.sum(), abs=1e-12
    )
    more = {"sample_weight": weight}
    assert shown(f"recall{end}", weight) == pytest.approx(sk.recall_score(Y, act, **more))
    assert shown(f"precision{end}", weight) == pytest.approx(sk.precision_score(Y, act, **more))
    assert shown(f"cost(5,0.5){end}", weight) == pytest.approx((5 * fn + fp / 2) / cells.sum())
    if at is not None:
        benefit = (tp - fp * at / (1 - at)) / cells.sum()
        assert shown(f"net_benefit{end}", weight) == pytest.approx(benefit, abs=1e-12)


def test_net_benefit_is_that_of_dcurves_on_its_own_example():
    dcurves = pytest.importorskip("dcurves", reason="the oracle of decision curves")
    pd = pytest.importorskip("pandas")
    table = pd.read_csv(Path(dcurves.__file__).parent / "data" / "df_binary.csv")
    thresholds = [0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.9]
    models = ["cancerpredmarker", "famhistory"]
    theirs = dcurves.dca(data=table, outcome="cancer", modelnames=models, thresholds=thresholds)
    y = table["cancer"].to_numpy().astype(int)
    for model in (*models, "all"):
        p = np.ones(len(y)) if model == "all" else table[model].to_numpy(dtype=float)
        found = theirs[theirs.model == model].sort_values("threshold").net_benefit
        ours = [shown(f"net_benefit@{t}", y=y, said=Predictions.from_proba(p)) for t in thresholds]
        assert np.abs(found.to_numpy() - ours).max() < 1e-12


def test_regressions_agree_with_scikit_learn():
    y = RNG.normal(size=N)
    said = Predictions(y + RNG.normal(size=N))
    for weight in (None, W):
        assert shown("r2", weight, y, said) == pytest.approx(
            sk.r2_score(y, said.label, sample_weight=weight)
        )
        for q in (0.1, 0.5, 0.9):
            assert shown(f"pinball@{q}", weight, y, said) == pytest.approx(
                sk.mean_pinball_loss(y, said.label, alpha=q, sample_weight=weight)
            )
    assert math.isnan(get_metric("r2").risk(np.ones(3), Predictions(np.zeros(3)), None))


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "average_precision", "neg_log_loss"])
def test_scorers_by_name_or_object_agree(name):
    groups = np.repeat(["a", "b"], N // 2)
    said = {"generic": 1 - P, "new": P}
    scores = []
    for metric in (name, sk.get_scorer(name)):
        audit = audit_predictions(Y, said, groups, metrics=[metric], n_resamples=20)
        scores.append([r.gain for r in audit.rationality])
    assert scores[0] == scores[1]
    assert audit_predictions(Y, said, groups, metrics=name, n_resamples=20).metrics == (name,)


def test_scorers_that_are_built_in_get_their_tests():
    assert get_metric("roc_auc") is get_metric("auc")
    assert get_metric("accuracy") is get_metric("error")
    assert get_metric("neg_mean_squared_error").rowwise is not None


def test_one_metric_has_one_name():
    assert get_metric("net_benefit@0.20") is get_metric("net_benefit@0.2")
    assert get_metric("cost(5.0, 1)").name == "cost(5,1)"
    copied = pickle.loads(pickle.dumps(get_metric("fnr@0.3")))
    assert get_metric(copied) is get_metric("fnr@0.3")
    assert named_metric("recall@0.3").format(0.25) == "75.0%"
    assert decision_metric("error") is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("net_benefit", "lacks its threshold"),
        ("net_benefit@1.5", "between 0 and 1"),
        ("fnr@1..2", "no positive number"),
        ("cost(0,1)", "no positive number"),
        ("pinball@2", "quantile lies between"),
        ("nonsense", "scorer of scikit-learn"),
    ],
)
def test_bad_names_are_refused_in_words(name, why):
    with pytest.raises(ValueError, match=why):
        get_metric(name)


def test_more_than_two_classes_are_refused():
    y, three = np.array([0, 1, 2]), Predictions.from_proba(np.eye(3))
    for name in ("fnr", "net_benefit@0.2", "precision@0.5"):
        with pytest.raises(ValueError, match="two classes"):
            get_metric(name).risk(y, three, None)


def test_rates_are_tested_on_the_rows_that_they_look_at():
    better = np.where(Y == 1, np.maximum(P, 0.5), P)
    groups, both = np.arange(N) % 2, Predictions.from_proba(better)
    metric, rows = get_metric("fnr@0.4"), Rows(Y, groups, 2)
    test = default_test(metric, rows)
    assert test == "mid-p McNemar"
    found = compare(metric, SAID, both, rows, test, Resampling(0.1))
    for g in (0, 1):
        kept = (groups == g) & (Y == 1)
        alone = compare(
            get_metric("error"),
            Predictions.from_proba((P[kept] >= 0.4).astype(float)),
            Predictions.from_proba((better[kept] >= 0.4).astype(float)),
            Rows(Y[kept], np.zeros(kept.sum(), int), 1),
            test,
            Resampling(0.1),
        )
        assert (found.gain[g], found.p_gain[g], found.n[g]) == (
            alone.gain[0],
            alone.p_gain[0],
            alone.n[0],
        )


def test_a_group_without_positives_is_undetermined_in_misses():
    groups = np.where(Y == 1, "a", "b")
    audit = audit_predictions(Y, {"generic": P, "new": 1 - P}, groups, metrics=["fnr@0.5"])
    records = {r.group: r for r in audit.rationality}
    assert records["a"].verdict == "violation"
    assert (records["b"].verdict, records["b"].n) == ("undetermined", 0)


def test_envy_is_tested_in_rates():
    groups = np.repeat(["a", "b"], N // 2)
    under = {"a": P, "b": 1 - P}
    audit = audit_predictions(
        Y, {"generic": P, "new": P}, groups, metrics=["fpr@0.4"], misreports={"new": under}
    )
    assert "violation" not in {r.verdict for r in audit.envy_freeness}
    assert {r.n for r in audit.envy_freeness} == {
        int(((groups == g) & (Y == 0)).sum()) for g in ("a", "b")
    }


def test_the_card_of_a_metric_says_which_way_is_better():
    groups = np.repeat(["a", "b"], N // 2)
    names = ["net_benefit@0.3", "fnr@0.3", "selection_rate@0.3"]
    text = str(audit_predictions(Y, {"generic": P, "new": P**2}, groups, metrics=names))
    assert "net_benefit@0.3 (higher is better)" in text
    assert "fnr@0.3 (lower is better)" in text
    assert "selection_rate@0.3 (neither more nor less is better" in text


def test_no_route_is_chosen_by_what_has_no_direction():
    router = FairUseRouter(LogisticRegression(), [0], metric="selection_rate@0.2")
    with pytest.raises(ValueError, match="neither more nor less"):
        router.fit(np.column_stack([np.arange(N) % 2, P]), Y)


def test_routes_are_chosen_by_net_benefit():
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=(1200, 2)), np.arange(1200) % 2
    z = np.where(g == 1, 2, -2) * x[:, 0] + x[:, 1] - 1.5
    y = (rng.random(1200) < 1 / (1 + np.exp(-z))).astype(int)
    router = FairUseRouter(LogisticRegression(), [2], metric="net_benefit@0.2", random_state=0)
    with pytest.warns(UserWarning, match="moves the share of people"):
        router.fit(np.column_stack([x, g]), y)
    table = router.routing_table_
    assert table.metric == "net_benefit@0.2"
    assert all(record.candidate != "generic" for record in table.groups)
    risk = {r.candidate: r.risk for r in router.audit_.risks if r.group is None}
    assert risk["routed"] < risk["generic"] - 0.03
