"""Re-audit against known truth: good routes are to be left alone, bad ones withdrawn.

Run ``python -m benchmarks.reaudit``; ``--populations 6`` for a quick look. Each population (10
Rotterdam covariates, 4 or 6 groups, 2,000 training rows) gets one router. Then labelled rows from
deployment are drawn again and again, and re-audited at alpha = 0.1:

no shift
    as people come, 2,000 rows, or 400 of every group. Counts runs in which any route whose true
    gain is 0 or more is withdrawn, and runs in which any share is said to have moved (as people
    come: none has).
label shift
    400 rows of every group; in one group with a true gain the share of positives is moved so far
    that the gain becomes a loss: of 8 points just so, or of anything from 8 points to the largest
    loss that its labels allow (at most 20 points). Counts runs in which that route is withdrawn,
    and in which its class rate is said to have moved.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.data import rotterdam_population
from benchmarks.outputs import write_csv
from fairuse_router import FairUseRouter

LOSS, MOST = 0.08, 0.2
ROWS = 400
ALPHA = 0.1


@dataclass
class Deployment:
    """Fresh rows of every group, their true probabilities, and what is right under each label."""

    X: np.ndarray
    p: np.ndarray
    members: list[np.ndarray]
    right: np.ndarray  # (2, n): routed is right and generic wrong, minus the reverse, per label

    def gain(self, g: int) -> float:
        """True gain of a group's route, label noise integrated out."""
        rows = self.members[g]
        p = self.p[rows]
        return float(np.mean(p * self.right[1, rows] + (1 - p) * self.right[0, rows]))

    def gain_of_class(self, g: int) -> np.ndarray:
        """True gain among the negatives and among the positives."""
        rows = self.members[g]
        p = self.p[rows]
        return np.array(
            [
                np.average(self.right[0, rows], weights=1 - p),
                np.average(self.right[1, rows], weights=p),
            ]
        )

    def draw(self, g: int, n: int, rng: np.random.Generator, positives: float | None = None):
        """Rows of one group and their labels; with a share of positives of one's own."""
        rows, p = self.members[g], self.p[self.members[g]]
        if positives is None:
            chosen = rng.choice(rows, n)
            return chosen, (rng.random(n) < self.p[chosen]).astype(int)
        y = (rng.random(n) < positives).astype(int)
        chosen = np.empty(n, dtype=int)
        for label, weight in ((0, 1 - p), (1, p)):
            chosen[y == label] = rng.choice(rows, int((y == label).sum()), p=weight / weight.sum())
        return chosen, y


@dataclass
class Tally:
    """Flags of many runs; each population's are one cluster."""

    flags: list[list[bool]] = field(default_factory=list)

    def __str__(self) -> str:
        flags = [f for f in self.flags if f]
        if not flags:
            return "-"
        total = sum(map(len, flags))
        share = sum(map(sum, flags)) / total
        spread = sum((sum(f) - share * len(f)) ** 2 for f in flags)
        error = np.sqrt(spread * len(flags) / max(len(flags) - 1, 1)) / total
        return (
            f"{100 * share:6.1f} ({100 * error:.1f})  of {total:,} runs, {len(flags)} populations"
        )


def deploy(router: FairUseRouter, population, seed: int, fresh_rows: int) -> Deployment:
    """Fresh rows as deployment sees them, in the order of the router's groups."""
    fresh = population.sample(fresh_rows, random_state=seed + 10**6)
    X = fresh.to_array()
    names = [tuple(record.report) for record in router.routing_table_.groups]
    mine = np.array([names.index(tuple(map(str, cell))) for cell in fresh.law.grid])
    ids = mine[fresh.law.group_ids(fresh.groups)]
    withheld = X.copy()
    withheld[:, population.group_columns] = "?"
    routed, generic = router.predict(X), router.predict(withheld)
    right = np.array([(routed == c).astype(int) - (generic == c) for c in (0, 1)])
    p = fresh.probability(fresh.features, fresh.groups)
    return Deployment(X, p, [np.flatnonzero(ids == g) for g in range(len(names))], right)


def one_population(
    policy: str, seed: int, m: int, effect: str, runs: int, fresh_rows: int
) -> dict | None:
    """All scenarios on one population; None if a group is missing from training."""
    warnings.simplefilter("ignore")
    population = rotterdam_population(2000, n_groups=m, effect=effect, random_state=seed)
    router = FairUseRouter(
        LogisticRegression(max_iter=500),
        population.group_columns,
        policy=policy,
        random_state=seed,
        candidates=("generic", "onehot", "intersectional", "decoupled"),
    ).fit(population.to_array(), population.y)
    table = router.routing_table_
    if len(table.groups) != m:
        return None
    world = deploy(router, population, seed, fresh_rows)
    served = [g for g, record in enumerate(table.groups) if record.candidate != "generic"]
    names = table.schema.group_names()
    good = {names[g] for g in served if world.gain(g) >= 0}
    rng = np.random.default_rng(seed + 2 * 10**6)
    found: dict[str, list[bool]] = {k: [] for k in SCENARIOS}
    flat = np.concatenate(world.members)
    for _ in range(runs):
        chosen = rng.choice(flat, 2000)
        y = (rng.random(2000) < world.p[chosen]).astype(int)
        result = router.reaudit(world.X[chosen], y, alpha=ALPHA)
        found["moved, as they come"].append(any(s.moved for s in result.shifts))
        if good:
            found["withdrawn, as they come"].append(bool(good & set(result.violated)))
            result = router.reaudit(*stack(world, rng, m), alpha=ALPHA)
            found["withdrawn, 400 each"].append(bool(good & set(result.violated)))
    for g in served:
        gains = world.gain_of_class(g)
        if names[g] not in good or gains.min() > -LOSS:
            continue
        for i in range(runs):
            loss = LOSS if i % 2 else rng.uniform(LOSS, min(-gains.min(), MOST))
            share = (-loss - gains[0]) / (gains[1] - gains[0])
            result = router.reaudit(*stack(world, rng, m, {g: share}), alpha=ALPHA)
            found["shifted by 8" if i % 2 else "shifted by more"].append(
                names[g] in result.violated
            )
            others = (good - {names[g]}) & set(result.violated)
            found["shifted: another"].append(bool(others))
            moved = {s.group for s in result.shifts if s.moved and s.kind == "class rate"}
            found["shifted: moved"].append(names[g] in moved)
    return found


def stack(world: Deployment, rng, m: int, shares: dict | None = None):
    """The same number of rows of every group, with labels."""
    parts = [world.draw(g, ROWS, rng, (shares or {}).get(g)) for g in range(m)]
    rows, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return world.X[rows], labels


SCENARIOS = {
    "withdrawn, as they come": "no shift, 2,000 rows as they come: a good route withdrawn",
    "moved, as they come": "no shift, 2,000 rows as they come: a share said to have moved",
    "withdrawn, 400 each": "no shift, 400 rows of each group: a good route withdrawn",
    "shifted by 8": "label shift to a loss of 8 points: that route withdrawn",
    "shifted by more": "label shift to a loss of 8 points or more: that route withdrawn",
    "shifted: another": "label shift in one group: another good route withdrawn",
    "shifted: moved": "label shift: its class rate seen to move",
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=60)
    parser.add_argument("--runs", type=int, default=20, help="per population and scenario")
    parser.add_argument("--fresh", type=int, default=100_000, help="rows that the truth is of")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policy", default="priced")
    parser.add_argument("--csv", help="file for one line per population and scenario")
    options = parser.parse_args()
    start = time.perf_counter()
    tallies = {name: Tally() for name in SCENARIOS}
    effects = ("intercept", "interaction", "slopes", "mixed", "none")
    used = 0
    for i in range(options.populations):
        found = one_population(
            options.policy,
            options.seed + i,
            (4, 6)[i % 2],
            effects[i % 5],
            options.runs,
            options.fresh,
        )
        if found is None:
            continue
        used += 1
        for name, flags in found.items():
            tallies[name].flags.append(flags)
    print(
        f"{used} populations, logistic, error, policy {options.policy!r}, "
        f"seeds from {options.seed}, {options.runs} runs each, alpha = {ALPHA}, "
        f"{time.perf_counter() - start:.0f} s.\n"
        "Share of runs in percent, Monte-Carlo standard error in brackets (clustered)."
    )
    for name, title in SCENARIOS.items():
        print(f"{title:<68}{tallies[name]}")
    write_csv(
        [
            {"population": i, "scenario": name, "runs": len(flags), "flagged": sum(flags)}
            for name, tally in tallies.items()
            for i, flags in enumerate(tally.flags)
        ],
        options.csv,
    )


if __name__ == "__main__":
    main()
