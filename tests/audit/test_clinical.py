"""What a clinic asks: dcurves, fairlearn and hand-worked sums are the oracles."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from fairuse_router import FairUseRouter
from fairuse_router.audit.between import between_groups
from fairuse_router.audit.calibrating import calibration
from fairuse_router.audit.net_benefit import decision_curve
from fairuse_router.displays import CalibrationDisplay, DecisionCurveDisplay
from fairuse_router.inference.compare import Resampling, Rows, compare
from fairuse_router.metrics import Predictions, get_metric

RNG = np.random.default_rng(0)
N = 600
SEX = np.array(["F", "M", "X"])[np.arange(N) % 3]
P = RNG.uniform(size=N)
Q = np.clip(P + RNG.normal(0, 0.2, N), 0.01, 0.99)
Y = (RNG.random(N) < np.where(SEX == "M", P**2, P)).astype(int)
TOLD = {"generic": Q, "new": P}


def patients(n, seed):
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(n, 3)), np.arange(n) % 2
    z = np.where(g == 1, 1.5, -1.5) * x[:, 0] + x[:, 1] - 1
    return np.column_stack([x, g]), (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)


@pytest.fixture(scope="module")
def router():
    return FairUseRouter(LogisticRegression(), [3], random_state=0).fit(*patients(800, 0))


def test_decision_curves_are_those_of_dcurves():
    dcurves = pytest.importorskip("dcurves", reason="the oracle of decision curves")
    pd = pytest.importorskip("pandas")
    table = pd.read_csv(Path(dcurves.__file__).parent / "data" / "df_binary.csv")
    thresholds = [0.01, 0.05, 0.1, 0.2, 0.35, 0.5]
    groups = table["famhistory"].astype(str)
    y = table["cancer"].to_numpy().astype(int)
    told = {"generic": table["famhistory"].astype(float), "marker": table["cancerpredmarker"]}
    ours = decision_curve(y, told, groups, thresholds=thresholds)
    names = {"marker": "cancerpredmarker", "act on all": "all", "act on none": "none"}
    for group, part in (("everybody", table), ("1", table[groups == "1"])):
        theirs = dcurves.dca(
            data=part, outcome="cancer", modelnames=["cancerpredmarker"], thresholds=thresholds
        )
        for name, known in names.items():
            found = theirs[theirs.model == known].sort_values("threshold").net_benefit.to_numpy()
            told_here = [r.net_benefit for r in ours.of(name, group)]
            assert np.abs(found - told_here).max() < 1e-12


def test_gains_and_intervals_are_those_of_the_paired_test():
    curve = decision_curve(Y, TOLD, SEX, thresholds=[0.3])
    (record,) = curve.of("new", "M")
    rows = Rows(Y, np.where(SEX == "M", 0, -1), 1)
    sides = [Predictions.from_proba(p) for p in (Q, P)]
    test = compare(get_metric("net_benefit@0.3"), *sides, rows, "lattice", Resampling(0.1))
    expected = (test.gain[0], test.low[0], test.high[0])
    assert (record.gain, record.low, record.high) == pytest.approx(expected, abs=1e-9)
    (base,) = curve.of("generic", "M")
    assert record.gain == pytest.approx(record.net_benefit - base.net_benefit)
    assert base.gain is None
    with pytest.raises(ValueError, match="baseline='x'"):
        decision_curve(Y, TOLD, SEX, baseline="x")
    with pytest.raises(ValueError, match="between 0 and 1"):
        decision_curve(Y, TOLD, SEX, thresholds=[1.2])
    with pytest.raises(ValueError, match="3 classes"):
        decision_curve(np.arange(N) % 3, TOLD, SEX)
    with pytest.raises(ValueError, match="no probabilities"):
        decision_curve(Y, {"generic": Y}, SEX)


def test_every_threshold_that_is_asked_for_is_printed_or_said_to_be_left_out():
    asked = [0.07, 0.1, 0.15, 0.2, 0.25, 0.33]
    text = str(decision_curve(Y, TOLD, SEX, thresholds=asked))
    for t in asked:
        assert len(re.findall(rf"^everybody +{t} ", text, re.MULTILINE)) == 1
    assert "thresholds are shown" not in text
    many = np.linspace(0.01, 0.49, 25)
    text = str(decision_curve(Y, TOLD, SEX, thresholds=many))
    assert len(re.findall(r"^everybody ", text, re.MULTILINE)) == 10
    assert "10 of 25 thresholds are shown" in text
    assert "5 of 50 thresholds are shown" in str(decision_curve(Y, TOLD, SEX))


def test_gaps_are_fairlearns():
    fairlearn = pytest.importorskip("fairlearn.metrics", reason="of the bench extra")
    weight = RNG.integers(1, 4, N).astype(float)
    for w in (None, weight):
        found = between_groups(Y, {"new": P}, SEX, w).records
        gap = {r.metric: r.gap for r in found}
        labels = (P >= 0.5).astype(int)
        more = {"sensitive_features": SEX, "sample_weight": w}
        assert max(gap["fnr"], gap["fpr"]) == pytest.approx(
            fairlearn.equalized_odds_difference(Y, labels, **more)
        )
        assert gap["selection_rate"] == pytest.approx(
            fairlearn.demographic_parity_difference(Y, labels, **more)
        )


@pytest.mark.parametrize("metric", ["fnr@0.4", "net_benefit@0.3"])
def test_gaps_have_intervals_that_cover(metric):
    """Three groups alike: the largest gap is 0, and an interval that excludes it is wrong."""
    wrong, count = 0, 60
    for seed in range(count):
        rng = np.random.default_rng(seed)
        p = rng.uniform(size=150)
        y = (rng.random(150) < p).astype(int)
        (record,) = between_groups(y, {"m": p}, np.arange(150) % 3, metrics=metric).records
        assert record.low <= record.gap <= record.high
        wrong += record.low > 0
    assert wrong / count <= 0.1 + 3 * np.sqrt(0.09 / count)


def test_gaps_say_that_they_are_another_question():
    text = str(between_groups(Y, TOLD, SEX, metrics=["fnr", "auc"]))
    assert "another question than fair use" in " ".join(text.split())
    lonely = between_groups(Y, TOLD, np.where(Y == 1, "a", "b"), metrics="fnr").records[0]
    assert lonely.gap is None


def test_calibration_finds_the_group_that_is_not_calibrated():
    found = calibration(Y, TOLD, SEX)
    assert found.of("new", "M").p_corrected < 1e-4
    assert found.of("new", "X").p_corrected > 0.1
    record = found.of("new", "M")
    assert record.ratio == pytest.approx(Y[SEX == "M"].mean() / P[SEX == "M"].mean())
    assert record.ece == pytest.approx(
        get_metric("ece").risk(Y[SEX == "M"], Predictions.from_proba(P[SEX == "M"]), None)
    )
    json.dumps(found.to_dict())
    with pytest.raises(KeyError):
        found.of("new", "Z")


def test_routers_answer_all_of_it(router):
    X, y = patients(500, 1)
    curve = router.decision_curve(X, y, thresholds=[0.1, 0.3])
    assert curve.models[:2] == ("generic", "routed")
    assert curve.of("routed")[1].gain > 0.02
    cal = router.calibration(X, y)
    assert {r.group for r in cal.records} == {"everybody", "0", "1"}
    gaps = router.between_groups(X, y, metrics=["fnr", "net_benefit@0.3"])
    assert {r.model for r in gaps.records} == {"generic", "routed"}
    for found in (curve, cal, gaps):
        assert max(map(len, str(found).splitlines())) <= 80
        json.dumps(found.to_dict())
    by = router.calibration(X, y, by=[3])
    assert by.of("routed", "1") == cal.of("routed", "1")
    with pytest.raises(ValueError, match="alpha"):
        router.calibration(X, y, alpha=2)


def test_regressions_are_refused():
    X, _ = patients(200, 0)
    router = FairUseRouter(LinearRegression(), [3], metric="squared_error").fit(X, X[:, 0])
    with pytest.raises(ValueError, match="two classes; the router was fitted on a regression"):
        router.calibration(X, X[:, 0])


def test_displays_draw_a_panel_for_each_group(router):
    pytest.importorskip("matplotlib")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    X, y = patients(300, 1)
    curve = DecisionCurveDisplay.from_estimator(router, X, y, thresholds=[0.1, 0.2, 0.3])
    assert [ax.get_title() for ax in curve.ax_] == ["everybody (300)", "0 (150)", "1 (150)"]
    assert len(curve.ax_[0].get_lines()) == 4
    _, ax = plt.subplots()
    display = CalibrationDisplay.from_estimator(router, X, y, ax=ax, groups=["1"])
    assert display.ax_[0] is ax
    with pytest.raises(ValueError, match="groups="):
        display.plot(groups=["nobody"])
    with pytest.raises(ValueError, match="1 axes for 3 groups"):
        display.plot(ax=ax)
    plt.close("all")
