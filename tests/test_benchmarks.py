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
