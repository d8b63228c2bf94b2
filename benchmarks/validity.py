"""Show that the audit's default tests keep their level, and what power they have.

Run ``python -m benchmarks.validity``; ``--quick`` uses a twentieth of the repetitions, and
``--parts power --metrics ece``, say, prints a part of it. One group of n rows, at least ten per
class, two models. Under the null both have the same true risk: they are
*exchangeable* (both noisy alike), or one is noisy and the other too cautious (*shrunk*), biased
(*shifted*) or *coarse* (rounded to few values), tuned to the same risk on a million rows. For ECE
two more: probabilities between .3 and .7 *shifted* down by d and up by d, whose true ECE is d. For
AUC, *rare*: exchangeable, 2 to 50 positives among 200 negatives, at levels of .05 and .001. A test
passes if it rejects, in either direction, at most alpha + 3 Monte-Carlo standard errors of the
time, else the cell has a "!". Power is that of finding a
gain that the paired z-test with the true variance finds 80% of the time (by its normal formula: on
few rows a lattice such as the error rate breaks its level).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fairuse_router import audit_predictions
from fairuse_router.inference import (
    PairedTest,
    auc_parts,
    delong,
    ece_swap,
    mcnemar,
    paired_t_from_sums,
    row_sums,
    stack_tests,
)
from fairuse_router.metrics import Predictions, get_metric, row_losses

ALPHA = 0.1
SIZES = (25, 100, 400)
RARE = (2, 3, 5, 10, 50)
METRICS = ("error", "auc", "brier", "ece")
Model = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Rejections:
    """How often a test says gain, and violation."""

    gain: float
    violation: float
    repetitions: int

    alpha: float = ALPHA

    @property
    def limit(self) -> float:
        """Largest rate that passes as alpha."""
        return self.alpha + 3 * np.sqrt(self.alpha * (1 - self.alpha) / self.repetitions)

    def __str__(self) -> str:
        """Both rates, marked if one is above the limit."""
        mark = " " if max(self.gain, self.violation) <= self.limit else "!"
        return f"{self.gain:.3f} / {self.violation:.3f}{mark}"


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def noisy(scale: float) -> Model:
    """The true margin with noise."""
    return lambda z, rng: sigmoid(z + scale * rng.normal(size=z.shape))


def shrunk(factor: float) -> Model:
    """The true margin, too small."""
    return lambda z, rng: sigmoid(factor * z)


def coarse(step: float) -> Model:
    """The true margin, rounded to a grid: many ties."""
    return lambda z, rng: sigmoid(step * (np.floor(z / step) + 0.5))


def shifted(by: float) -> Model:
    """The true margin, biased: costs errors and Brier score, not AUC."""
    return lambda z, rng: sigmoid(z + by)


def population(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """True margins and labels."""
    z = rng.normal(0, 1.5, n)
    return z, (rng.random(n) < sigmoid(z)).astype(int)


def groups_of(n: int, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Margins and labels of samples of n rows, ten or more per class, both (count, n)."""
    parts = []
    while sum(map(len, parts)) < count:
        z, y = (x.reshape(-1, n) for x in population(n * count, rng))
        positives = y.sum(axis=1)
        keep = (positives >= 10) & (positives <= n - 10)
        parts.append(np.stack([z[keep], y[keep]], axis=1))
    both = np.concatenate(parts)[:count]
    return both[:, 0], both[:, 1].astype(int)


def true_risk(metric: str, model: Model, rows: int = 1_000_000) -> float:
    """Risk on a million rows."""
    rng = np.random.default_rng(1)
    z, y = population(rows, rng)
    return get_metric(metric).risk(y, Predictions.from_proba(model(z, rng)), None)


def tuned(
    metric: str, family: Callable[[float], Model], low: float, high: float, risk: float
) -> Model:
    """The member of a family with a given risk, which must grow from low to high."""
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (middle, high) if true_risk(metric, family(middle)) < risk else (low, middle)
    return family((low + high) / 2)


def null_pairs(metric: str) -> dict[str, tuple[Model, Model]]:
    """Pairs of models with the same true risk."""
    one = noisy(0.8)
    pairs = {"exchangeable": (one, one)}
    risk = true_risk(metric, one)
    if metric not in ("error", "ece"):  # rounding keeps the sign of the margin
        pairs["noisy, coarse"] = (one, tuned(metric, coarse, 0.05, 4.0, risk))
    if metric != "auc":  # a shift keeps the ranks
        pairs["noisy, shifted"] = (one, tuned(metric, shifted, 0.0, 4.0, risk))
    if metric == "brier":
        pairs["noisy, shrunk"] = (one, tuned(metric, lambda f: shrunk(1 - f), 0.0, 1.0, risk))
    return pairs


def default_test(metric: str, y: np.ndarray, p: np.ndarray, q: np.ndarray, seed: int) -> PairedTest:
    """The audit's default test of q over p, one comparison per row of the arrays (count, n)."""
    count, n = y.shape
    group = np.repeat(np.arange(count), n)
    first, second, target = p.ravel(), q.ravel(), y.ravel()
    if metric == "error":
        wrong = (p > 0.5) != y, (q > 0.5) != y
        b, c = (wrong[0] & ~wrong[1]).sum(axis=1), (wrong[1] & ~wrong[0]).sum(axis=1)
        return mcnemar(b, c, n, mid_p=True, alpha=ALPHA)
    if metric == "auc":
        parts = [auc_parts(target, score, group, count) for score in (first, second)]
        return delong(parts[0], parts[1], group, alpha=ALPHA)
    if metric == "brier":
        gain = (first - target) ** 2 - (second - target) ** 2
        return paired_t_from_sums(row_sums(gain, group, count), ALPHA)
    return stack_tests(
        [ece_swap((p[i], y[i]), (q[i], y[i]), n_resamples=499, seed=seed + i) for i in range(count)]
    )


def rejections(metric: str, pair: tuple[Model, Model], n: int, count: int, seed: int) -> Rejections:
    """Rates at which the default test rejects at alpha."""
    rng = np.random.default_rng(seed)
    z, y = groups_of(n, count, rng)
    p, q = (model(z, rng) for model in pair)
    test = default_test(metric, y, p, q, seed)
    return rates(test, count)


def rates(test: PairedTest, count: int, alpha: float = ALPHA) -> Rejections:
    """Rates at which a test rejects at alpha."""
    return Rejections(
        float(np.mean(test.p_gain <= alpha)),
        float(np.mean(test.p_violation <= alpha)),
        count,
        alpha,
    )


def shifted_both_ways(d: float, n: int, count: int, seed: int) -> Rejections:
    """Rates for ECE between two models biased by -d and by +d: both true errors are d."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.3, 0.7, (count, n))
    y = (rng.random((count, n)) < p).astype(int)
    return rates(default_test("ece", y, p - d, p + d, seed), count)


def rare_class(
    positives: int, count: int, seed: int, alpha: float = ALPHA, gain: float = 0.0, rows: int = 200
) -> Rejections:
    """Rates for AUC with few positives among negatives, the model better by some signal."""
    rng = np.random.default_rng(seed)
    y = np.tile(np.r_[np.ones(positives, int), np.zeros(rows, int)], (count, 1))
    shared = y + 0.7 * rng.normal(size=y.shape)
    p, q = (shared + add * y + 0.7 * rng.normal(size=y.shape) for add in (0, gain))
    return rates(default_test("auc", y, p, q, seed), count, alpha)


def alternatives(metric: str, n: int) -> dict[str, tuple[Model, Model]]:
    """A worse and a better model, n rows being enough for the ideal test to tell in 80%."""
    families = {"less noise": noisy, "less bias" if metric != "auc" else "finer": shifted}
    if metric == "auc":
        families["finer"] = coarse
    pairs = {}
    for name, family in families.items():
        low, high = 0.2, 8.0
        for _ in range(10):
            middle = (low + high) / 2
            power = ideal_power(metric, (family(middle), noisy(0.2)), n)
            low, high = (middle, high) if power < 0.8 else (low, middle)
        pairs[name] = (family(high), noisy(0.2))
    return pairs


def ideal_power(metric: str, pair: tuple[Model, Model], n: int) -> float:
    """Power of the z-test that knows the variance, by the normal formula."""
    gain = true_risk(metric, pair[0]) - true_risk(metric, pair[1])
    if metric == "ece":  # biased by noise, unlike the true risk
        gain = sample_gains(metric, pair, n).mean()
    return float(stats.norm.sf(stats.norm.isf(ALPHA) - gain / true_spread(metric, pair, n)))


def true_spread(metric: str, pair: tuple[Model, Model], n: int) -> float:
    """Standard deviation of the gain on n rows."""
    if metric in ("auc", "ece"):
        return float(sample_gains(metric, pair, n).std())
    rng = np.random.default_rng(2)
    z, y = population(200_000, rng)
    p, q = (Predictions.from_proba(model(z, rng)) for model in pair)
    return float((row_losses(metric, y, p) - row_losses(metric, y, q)).std() / np.sqrt(n))


def sample_gains(metric: str, pair: tuple[Model, Model], n: int, count: int = 400) -> np.ndarray:
    """Gains on some samples of n rows."""
    rng = np.random.default_rng(0)
    z, y = groups_of(n, count, rng)
    models = [model(z, rng) for model in pair]
    risk = get_metric(metric).risk
    risks = [[risk(y[i], Predictions.from_proba(p[i]), None) for i in range(count)] for p in models]
    return np.subtract(*risks)


def family_wise(repetitions: int, seed: int = 0) -> dict[str, float]:
    """Share of audits (6 groups, 36 tests) with any verdict under exchangeable models."""
    metrics = [get_metric(name) for name in ("error", "auc", "brier")]
    groups = np.repeat(list("abcdef"), (40, 60, 80, 120, 200, 400))
    wrong = dict.fromkeys(("error", "auc", "brier", "ece (6 tests)"), 0)
    for r in range(repetitions):
        rng = np.random.default_rng([seed, r])
        z, y = population(len(groups), rng)
        models = [Predictions.from_proba(noisy(0.8)(z, rng)) for _ in range(8)]
        audit = audit_predictions(
            y,
            {"generic": models[0], "personalized": models[1]},
            groups,
            metrics=[*metrics, "ece"],
            misreports={"personalized": dict(zip("abcdef", models[2:], strict=True))},
            alpha=ALPHA,
        )
        for name in wrong:
            wrong[name] += any(
                record.verdict != "undetermined"
                for record in (*audit.rationality, *audit.envy_freeness)
                if record.metric == name.split()[0]
            )
    return {name: count / repetitions for name, count in wrong.items()}


def main() -> None:
    """Print the tables."""
    from benchmarks import validity_clinic  # which takes its models from here

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 repetitions")
    parser.add_argument("--repetitions", type=int, default=10_000)
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=METRICS)
    parts = {
        "levels": levels,
        "clinic": lambda r, _: validity_clinic.report(r),
        "clinic-levels": lambda r, _: validity_clinic.levels(r),
        "clinic-power": lambda r, _: validity_clinic.power(r),
        "clinic-calibration": lambda r, _: validity_clinic.calibrated(r),
        "power": power,
        "family": family,
    }
    every = ("levels", "clinic", "power", "family")
    parser.add_argument("--parts", nargs="+", choices=parts, default=every)
    options = parser.parse_args()
    repetitions = 500 if options.quick else options.repetitions
    start = time.process_time()
    for part in options.parts:
        parts[part](repetitions, options.metrics)
    sizes, spent = ", ".join(map(str, SIZES)), time.process_time() - start
    print(f"groups of {sizes} rows, seeds from 0, {spent:.0f} s of one core")


def levels(repetitions: int, metrics: Sequence[str]) -> None:
    """Print how often equal risks are told apart."""
    print(f"Level at alpha = {ALPHA}, {repetitions:,} repetitions (gain / violation)")
    for metric in metrics:
        for name, pair in null_pairs(metric).items():
            cells = [str(rejections(metric, pair, n, repetitions, seed=n)) for n in SIZES]
            print(f"  {metric:<6} {name:<15} " + "   ".join(cells), flush=True)
    for d in (0.02, 0.05) if "ece" in metrics else ():
        cells = [str(shifted_both_ways(d, n, repetitions, seed=n)) for n in SIZES]
        print(f"  ece    {f'shifted +-{d}':<15} " + "   ".join(cells), flush=True)
    if "auc" not in metrics:
        return
    print(f"Level with few positives, 200 negatives: {', '.join(map(str, RARE))} positives")
    for alpha in (0.05, 0.001):
        cells = [str(rare_class(k, repetitions, seed=k, alpha=alpha)) for k in RARE]
        print(f"  auc    {f'rare, at {alpha}':<15} " + "   ".join(cells), flush=True)


def power(repetitions: int, metrics: Sequence[str]) -> None:
    """Print how often a better model is found, beside the test that knows the variance."""
    print("Power, and that of the paired z-test that knows the variance")
    for metric in metrics:
        table = {n: alternatives(metric, n) for n in SIZES}
        for name in table[SIZES[0]]:
            cells = []
            for n in SIZES:
                got = rejections(metric, table[n][name], n, repetitions, seed=n)
                ideal = ideal_power(metric, table[n][name], n)
                cells.append(f"{got.gain:.2f} / {ideal:.2f} = {got.gain / ideal:.2f}")
            print(f"  {metric:<6} {name:<15} " + "   ".join(cells), flush=True)


def family(repetitions: int, metrics: Sequence[str]) -> None:
    """Print how many audits find anything where nothing is."""
    audits = repetitions // 10
    print(f"Any verdict at all under the null, 6 groups, 36 tests, {audits:,} audits")
    for name, share in family_wise(audits).items():
        error = np.sqrt(ALPHA * (1 - ALPHA) / audits)
        print(f"  {name:<15} {share:.3f}  (limit {ALPHA}, Monte-Carlo error {error:.3f})")


if __name__ == "__main__":
    main()
