"""Headline figures stay in their bands, and the benchmarks' own helpers say what is true."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_headlines_stay_in_their_bands():
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.headlines"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "OUTSIDE" not in run.stdout


def test_a_figure_outside_its_band_is_told():
    headlines = pytest.importorskip("benchmarks.headlines")
    assert headlines.Headline("x", 1.0, 0, 2).holds
    assert not headlines.Headline("x", 3.0, 0, 2).holds
    assert not headlines.Headline("x", float("nan"), 0, 2).holds


def test_the_plain_bootstrap_is_of_the_same_statistics():
    speed = pytest.importorskip("benchmarks.audit_speed")
    from sklearn.metrics import roc_auc_score

    from fairuse_router.metrics import Predictions, get_metric

    y, _, z = speed.simulate(400, 1)
    p = speed.noisy(z, 1)
    counts = np.random.default_rng(0).multinomial(400, np.full(400, 1 / 400), 3).astype(float)
    error, auc, ece = speed.statistics(y, p, counts).T
    for b in range(3):
        rows = np.repeat(np.arange(400), counts[b].astype(int))
        drawn = Predictions.from_proba(p[rows])
        assert error[b] == pytest.approx(np.mean((p[rows] > 0.5) != y[rows]))
        assert auc[b] == pytest.approx(1 - roc_auc_score(y, p, sample_weight=counts[b]))
        assert ece[b] == pytest.approx(get_metric("ece").risk(y[rows], drawn, None))


def study():
    truth = pytest.importorskip("benchmarks.truth")
    from sklearn.linear_model import LogisticRegression

    from fairuse_router.datasets import make_population

    population = make_population(600, n_groups=4, effect="slopes", random_state=3)
    return truth, truth.Study(population, LogisticRegression(), fresh=20_000, seed=3)


def test_true_auc_and_calibration_error_are_what_many_labels_show():
    truth, _ = study()
    rng = np.random.default_rng(0)
    p, score = rng.uniform(size=500), rng.uniform(size=500).round(1)
    y = rng.random((400, 500)) < p
    from fairuse_router.metrics import Predictions, get_metric

    shown = [
        get_metric("auc").risk(row.astype(int), Predictions.from_proba(score), None) for row in y
    ]
    assert 1 - truth._area(p, score) == pytest.approx(np.mean(shown), abs=0.003)
    many = (rng.random(10**6) < np.repeat(p, 2000)).astype(int)
    ece = get_metric("ece").risk(many, Predictions.from_proba(np.repeat(score, 2000)), None)
    assert truth._calibration_error(p, score) == pytest.approx(ece, abs=0.003)


def test_a_study_judges_rules_by_the_truth():
    from fairuse_router.routing.policies.rules import Choice

    truth, own = study()
    generic = own.judge(lambda e: [Choice("generic", "")] * e.rows.m)
    assert (generic.gain, generic.harmed, generic.envy, generic.asked) == (0, False, 0, 0)
    oracle = own.oracle("error")
    for name in truth.PLAIN:
        told = []

        def rule(evidence, name=name, told=told):
            told.append(evidence.metric.name)
            return [Choice(name, "")] * evidence.rows.m

        found = own.judge(rule, "log_loss")
        assert told == ["log_loss"]
        assert np.isnan(found.envy)
        assert own.judge(rule, "error").gain <= oracle + 1e-9
        assert found.harmed >= (found.worst < -0.2)


def test_results_are_read_as_they_were_written(tmp_path):
    known = pytest.importorskip("benchmarks.known_truth")
    from benchmarks.outputs import write_csv

    place = ("priced 2", "error", "logistic", 7, 500, 4, "mixed")
    results = [
        known.Result(1.25, 3.0, -0.5, True, False, float("inf"), 2.0, *place),
        known.Result(0.0, 3.0, 0.0, False, True, 0.0, 1.5, *place),
    ]
    write_csv(results, path := str(tmp_path / "results.csv"))
    assert known.read_results(path) == results
    assert known.read_results(str(tmp_path / "none.csv")) == []
