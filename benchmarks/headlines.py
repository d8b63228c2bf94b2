"""The headline figures in under three minutes, each with a band; CI fails when one leaves it.

Run ``python -m benchmarks.headlines``. Small editions of `known_truth`, `validity`, `honest_gains`
and `audit_speed`, on data that need no package but the router's own. Bands are the figures of the
full runs (benchmarks/README.md) give or take three Monte-Carlo errors of the small edition, and
for speed half of what was measured at least; they were set before the seeds here were run.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from benchmarks.audit_speed import fastest, noisy, plain_bootstrap, simulate
from fairuse_router import FairUseRouter, audit_predictions
from fairuse_router.datasets import make_population

HARM = 0.002
EFFECTS = ("intercept", "interaction", "slopes", "mixed")
RULES: dict[str, dict] = {
    "priced": {"policy": "priced", "n_resamples": 40},
    "certified": {"policy": "certified"},
    "best of three": {
        "policy": "best",
        "candidates": ("generic", "onehot", "decoupled"),
        "cv": 0.2,
    },
}


@dataclass(frozen=True)
class Headline:
    """A figure, and the band that it must stay in."""

    name: str
    value: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the figure is in its band."""
        return bool(self.low <= self.value <= self.high)


def known_truth(populations: int, n: int, seed: int) -> Iterator[Headline]:
    """Gain and harm of three rules, and what BBC-CV says of the gain."""
    gains: dict[str, list[np.ndarray]] = {rule: [] for rule in RULES}
    shares, honest = [], []
    for i in range(populations):
        effect = EFFECTS[i % len(EFFECTS)]
        population = make_population(n, n_groups=6, effect=effect, random_state=seed + i)
        fresh = population.sample(30_000, random_state=seed + i + 10**6)
        X, columns = fresh.to_array(), population.group_columns
        withheld = X.copy()
        withheld[:, columns] = "?"
        shares.append(np.asarray(population.law.shares))
        for rule, settings in RULES.items():
            router = FairUseRouter(
                LogisticRegression(max_iter=500),
                columns,
                random_state=seed + i,
                handle_unknown="withhold",
                **settings,
            ).fit(population.to_array(), population.y)
            risks = [
                fresh.true_group_risks((router.predict(rows) == router.classes_[1]).astype(int))
                for rows in (withheld, X)
            ]
            gains[rule].append(risks[0] - risks[1])
            if rule == "priced":
                honest.append(router.honest_gains_.overall.gain - shares[-1] @ gains[rule][-1])
    mean = {
        rule: 100 * float(np.mean([s @ g for s, g in zip(shares, own, strict=True)]))
        for rule, own in gains.items()
    }
    harmed = {
        rule: 100 * float(np.mean([(g < -HARM).any() for g in own])) for rule, own in gains.items()
    }
    beyond = mean["priced"] - mean["best of three"]
    yield Headline("priced: points beyond best of three", beyond, 0.3, 3)
    yield Headline("priced: any group harmed, %", harmed["priced"], 0, 15)
    less = harmed["best of three"] - harmed["priced"]
    yield Headline("best of three harms more often by, points", less, 0, 100)
    yield Headline("best of three: any group harmed, %", harmed["best of three"], 5, 70)
    yield Headline("certified: any group harmed, %", harmed["certified"], 0, 5)
    yield Headline("BBC-CV: bias of the gain, points", 100 * float(np.mean(honest)), -0.6, 0.6)


def level(audits: int, seed: int) -> Iterator[Headline]:
    """How often any verdict at all is drawn between two models that are equally good."""
    for metric in ("error", "auc", "brier"):
        drawn = 0
        for i in range(audits):
            y, groups, z = simulate(600, 6, seed + i)
            models = {"generic": noisy(z, seed + 2 * i), "onehot": noisy(z, seed + 2 * i + 1)}
            audit = audit_predictions(y, models, groups.astype(str), metrics=metric)
            drawn += any(r.verdict != "undetermined" for r in audit.rationality)
        yield Headline(f"any verdict under the null, {metric}, %", 100 * drawn / audits, 0, 15)


def speed() -> Iterator[Headline]:
    """An audit beside a plain bootstrap in numpy."""
    y, groups, z = simulate(5000, 6)
    p, q = noisy(z, 1), noisy(z, 2)
    models, names = {"generic": p, "onehot": q}, groups.astype(str)
    metrics = ("error", "auc", "ece")
    own = fastest(lambda: audit_predictions(y, models, names, metrics=metrics))
    plain = fastest(lambda: plain_bootstrap(y, groups, p, q, 1000))
    yield Headline("plain bootstrap / audit, n = 5,000", plain / own, 3, 1000)


def main() -> None:
    """Print every figure with its band; exit with 1 if one is outside."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--populations", type=int, default=40)
    parser.add_argument("--audits", type=int, default=300)
    parser.add_argument("--seed", type=int, default=20_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    with threadpool_limits(1):
        found = [
            *known_truth(options.populations, 1000, options.seed),
            *level(options.audits, options.seed),
            *speed(),
        ]
    print(f"{'':<44}{'figure':>9}{'band':>18}")
    for h in found:
        mark = "" if h.holds else "  OUTSIDE"
        print(f"{h.name:<44}{h.value:>9.2f}{f'{h.low:g} to {h.high:g}':>18}{mark}")
    print(f"seed {options.seed}, {time.perf_counter() - start:.0f} s")
    sys.exit(not all(h.holds for h in found))


if __name__ == "__main__":
    main()
