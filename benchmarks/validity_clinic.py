"""Levels and power of what clinics decide by: net benefit, rates, costs, calibration.

`benchmarks.validity` prints these beside its own. Pairs of models as there; for net benefit and
costs *biased up* and *down* are tuned to the same risk as the noisy one, where some bias has it,
which leaves gains and losses of very different sizes. Calibration: the true probabilities are
told, so that slope 1, intercept 0 and observed over expected 1 are true; power is that of finding
log-odds times 1.5.
"""

from __future__ import annotations

import numpy as np

from benchmarks.validity import (
    ALPHA,
    SIZES,
    Model,
    Rejections,
    groups_of,
    noisy,
    rates,
    shifted,
    sigmoid,
    true_risk,
    tuned,
)
from fairuse_router.inference import PairedTest, lattice_test, mcnemar, recalibrate
from fairuse_router.metrics import Predictions, get_metric, row_losses

BENEFITS = ("net_benefit@0.1", "net_benefit@0.2", "net_benefit@0.5", "cost(5,1)@0.2")
RATES = ("fnr@0.2", "fpr@0.2")


def null_pairs(metric: str) -> dict[str, tuple[Model, Model]]:
    """Pairs of models with the same true risk."""
    one = noisy(0.8)
    pairs = {"exchangeable": (one, one)}
    risk = true_risk(metric, one)
    families = {"biased up": shifted, "biased down": lambda b: shifted(-b)}
    for name, family in families.items() if metric in BENEFITS else ():
        other = tuned(metric, family, 0.0, 4.0, risk)
        if abs(true_risk(metric, other) - risk) < 2e-4:  # else acting on all is better than noise
            pairs[name] = (one, other)
    return pairs


def test_of(metric: str, y: np.ndarray, p: np.ndarray, q: np.ndarray) -> PairedTest:
    """The audit's default test of q over p, one comparison per row of the arrays (count, n)."""
    known = get_metric(metric)
    if known.steps is None:
        act = (p >= 0.2, q >= 0.2)
        here = y == 1 if metric.startswith("fnr") else y == 0
        wrong = [~a & here if metric.startswith("fnr") else a & here for a in act]
        b, c = (wrong[0] & ~wrong[1]).sum(axis=1), (wrong[1] & ~wrong[0]).sum(axis=1)
        return mcnemar(b, c, here.sum(axis=1), mid_p=True, alpha=ALPHA)
    flat = y.ravel()
    first, second = (
        row_losses(metric, flat, Predictions.from_proba(side.ravel())).reshape(y.shape)
        for side in (p, q)
    )
    gain = first - second
    cells = [
        (side & (sign * gain > 0)).sum(axis=1) for side in (y == 1, y == 0) for sign in (1, -1)
    ]
    counts = np.stack([np.full(len(y), y.shape[1]), *cells]).astype(float)
    return lattice_test(counts, known.steps, ALPHA)


def rejections(metric: str, pair: tuple[Model, Model], n: int, count: int, seed: int) -> Rejections:
    """Rates at which the default test rejects at alpha."""
    rng = np.random.default_rng(seed)
    z, y = groups_of(n, count, rng)
    p, q = (model(z, rng) for model in pair)
    return rates(test_of(metric, y, p, q), count)


def calibration_rates(factor: float, n: int, count: int, seed: int) -> dict[str, float]:
    """How often log-odds times a factor are told not to be calibrated."""
    z, y = groups_of(n, count, np.random.default_rng(seed))
    found = [recalibrate(sigmoid(factor * a), b) for a, b in zip(z, y, strict=True)]
    return {
        "slope": float(np.mean([f.p_slope <= ALPHA for f in found])),
        "intercept": float(np.mean([f.p_intercept <= ALPHA for f in found])),
        "outside": float(np.mean([not f.slope_low <= 1 <= f.slope_high for f in found])),
    }


def report(repetitions: int) -> None:
    """Print the tables."""
    levels(repetitions)
    power(repetitions)
    calibrated(repetitions)


def levels(repetitions: int) -> None:
    """Print how often equal risks are told apart."""
    print(f"Level of what clinics decide by, {repetitions:,} repetitions (gain / violation)")
    for metric in (*BENEFITS, *RATES):
        for name, pair in null_pairs(metric).items():
            cells = [str(rejections(metric, pair, n, repetitions, seed=n)) for n in SIZES]
            print(f"  {metric:<15} {name:<12} " + "   ".join(cells), flush=True)


def power(repetitions: int) -> None:
    """Print how often a better model is found."""
    print("Power: less noise (1.6 to 0.2), and less bias (1 to 0)")
    better = {"less noise": (noisy(1.6), noisy(0.2)), "less bias": (shifted(1.0), shifted(0.0))}
    for metric in (*BENEFITS, *RATES):
        for name, pair in better.items():
            found = [rejections(metric, pair, n, repetitions, seed=n) for n in SIZES]
            cells = [f"{max(f.gain, f.violation):.2f}" for f in found]
            print(f"  {metric:<15} {name:<12} " + "   ".join(cells), flush=True)


def calibrated(repetitions: int) -> None:
    """Print how often probabilities are told not to be calibrated."""
    print("Calibration: slope, intercept, and intervals of the slope that miss it (two-sided)")
    for factor, told in ((1.0, "calibrated"), (1.5, "too extreme")):
        for what in ("slope", "intercept", "outside"):
            cells = []
            for n in SIZES:
                rate = _once(factor, n, repetitions)[what]
                over = factor == 1.0 and rate > ALPHA + 3 * np.sqrt(ALPHA * 0.9 / repetitions)
                cells.append(f"{rate:.3f}{'!' if over else ' '}")
            print(f"  {told:<15} {what:<12} " + "   ".join(cells), flush=True)


_KEPT: dict[tuple[float, int, int], dict[str, float]] = {}


def _once(factor: float, n: int, repetitions: int) -> dict[str, float]:
    key = factor, n, repetitions
    if key not in _KEPT:
        _KEPT[key] = calibration_rates(factor, n, repetitions, seed=n)
    return _KEPT[key]
