"""A small run of the validity benchmark: levels under the null, power under alternatives."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def validity():
    path = Path(__file__).parents[2] / "benchmarks" / "validity.py"
    spec = importlib.util.spec_from_file_location("benchmark_validity", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("metric", ["error", "auc", "brier", "ece"])
@pytest.mark.parametrize("n", [25, 100])
def test_level_and_power(validity, metric, n):
    count = 300 if metric == "ece" else 1500
    same = validity.noisy(0.8)
    null = validity.rejections(metric, (same, same), n, count, seed=1)
    assert max(null.gain, null.violation) <= null.limit
    worse, better = validity.noisy({25: 4.0, 100: 1.8}[n]), validity.noisy(0.2)
    found = validity.rejections(metric, (worse, better), n, count, seed=2)
    ideal = validity.ideal_power(metric, (worse, better), n)
    assert ideal > 0.3
    few = metric == "ece" and n == 25  # where a level that holds everywhere costs power
    share = 0.7 if few else 0.9
    assert found.gain >= share * ideal - 3 * (0.25 / count) ** 0.5
    assert found.violation <= null.limit


def test_rare_class(validity):
    for positives in (2, 3, 5, 10):
        for alpha in (0.05, 0.001):
            null = validity.rare_class(positives, 2000, seed=positives, alpha=alpha)
            assert max(null.gain, null.violation) <= null.limit, (positives, alpha)
    found = validity.rare_class(10, 1000, seed=1, alpha=0.05, gain=1.0)
    assert found.gain > 0.5
    assert found.violation == 0


def test_calibration_of_models_shifted_both_ways(validity):
    for n in (100, 400):  # the swaps alone reject 18% and 30%
        null = validity.shifted_both_ways(0.02, n, 400, seed=n)
        assert max(null.gain, null.violation) <= null.limit, n


@pytest.mark.slow
def test_family_wise_error(validity):
    for name, share in validity.family_wise(50).items():
        assert share <= 0.1 + 3 * (0.09 / 50) ** 0.5, name
