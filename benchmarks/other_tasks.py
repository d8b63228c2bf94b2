"""Policies on three classes and on regressions whose true risks are known.

Run ``python -m benchmarks.other_tasks --task classes`` or ``--task regression``. Features, groups
and kinds of group effect are those of `benchmarks.known_truth`; log-odds z of one population are a
regression's true means (y is z and normal noise of sd 1.5), and those of two populations over the
same rows, beside a zero, the true log-probabilities of three classes, up to a constant. True risks
are means over fresh rows without noise of labels. A regression's gain is in hundredths of four
times the variance of y, so that a group is harmed by the same 0.002 as in classification.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from scipy import special
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.data import rotterdam_population
from benchmarks.known_truth import DIFFER, mean, rate, share_of_oracle
from benchmarks.outputs import write_csv
from benchmarks.pool import PLAIN, POOL, among, served_model, train_pool
from benchmarks.rivals import shrunken, slope
from benchmarks.truth import HARM
from fairuse_router.routing import Choice, choose

NOISE = 1.5  # standard deviation about a regression's true mean
TASKS = {
    "classes": ("error", make_pipeline(StandardScaler(), LogisticRegression())),
    "regression": ("squared_error", make_pipeline(StandardScaler(), Ridge())),
}
RULES = {
    "priced 2": ("priced", POOL[1:], {"price": 2.0}),
    "priced 1": ("priced", POOL[1:], {"price": 1.0}),
    "shrunken": (shrunken, PLAIN, {}),
    "slope": (slope, ("multilevel",), {}),
    "best": ("best", PLAIN, {}),
}


@dataclass(frozen=True)
class Result:
    """One rule on one population; gains in hundredths."""

    rule: str
    seed: int
    n: int
    m: int
    effect: str
    gain: float
    oracle: float
    worst: float
    harmed: bool
    worse: bool


class Truth:
    """Fresh rows, what is true of them, and what fitted candidates say."""

    def __init__(self, task: str, n: int, m: int, effect: str, seed: int, fresh: int) -> None:
        first, second = (
            rotterdam_population(n, n_groups=m, effect=effect, random_state=seed + apart)
            for apart in (0, 10**7)
        )
        self.regression, self._laws = task == "regression", (first.law, second.law)
        rng = np.random.default_rng(seed)
        self.population = first
        z = self._means(first.features, first.groups)
        if self.regression:
            self.y = z + NOISE * rng.standard_normal(n)
        else:
            self.y = (z.cumsum(axis=1)[:, :2] < rng.uniform(size=(n, 1))).sum(axis=1)
        rows = first.sample(fresh, random_state=seed + 10**6)
        self.features, self.cells = rows.features, first.law.group_ids(rows.groups)
        self.true = self._means(rows.features, rows.groups)
        self.shares = np.asarray(first.law.shares)
        self.unit = 4 * (np.var(self.true) + NOISE**2) if self.regression else 1.0

    def _means(self, features: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Means of a regression, shape (n,), or probabilities of three classes, (n, 3)."""
        z = [special.logit(law.probability(features, groups)) for law in self._laws]
        if self.regression:
            return z[0]
        return np.asarray(special.softmax(np.column_stack([np.zeros(len(features)), *z]), axis=1))

    def risks(self, told: np.ndarray) -> np.ndarray:
        """True risk of predictions, or of labels, in every group of the law."""
        if self.regression:
            loss = (told - self.true) ** 2 / self.unit
        else:
            loss = 1 - self.true[np.arange(len(told)), told]
        return np.bincount(self.cells, loss) / np.bincount(self.cells)


def one_population(task: str, n: int, m: int, effect: str, seed: int, fresh: int) -> list[Result]:
    """Every rule, and each candidate for everybody, on one population."""
    warnings.simplefilter("ignore")
    metric, estimator = TASKS[task]
    truth = Truth(task, n, m, effect, seed, fresh)
    population = truth.population
    classes = None if truth.regression else np.arange(3)
    candidates, evidence, schema = train_pool(
        population.features,
        population.to_array(),
        population.group_columns,
        truth.y,
        estimator,
        POOL,
        seed,
        classes,
    )
    known = {schema.report_texts(code): g for g, code in enumerate(schema.group_codes)}
    group = np.array([known.get(tuple(cell), -1) for cell in population.law.grid])[truth.cells]

    def served(choices: Sequence[Choice]) -> np.ndarray:
        out = everybody.copy()
        for g, choice in enumerate(choices):
            rows = np.flatnonzero(group == g)
            if choice.candidate == "generic" or not len(rows):
                continue
            model = served_model(candidates, choice.candidate, choice.strength, g)
            if model is not None:
                X = model.complete(truth.features[rows], np.zeros(len(rows), dtype=np.int64))
                out[rows] = model.estimator.predict(X)
        return truth.risks(out)

    everybody = candidates["generic"].models[0].predict(truth.features)
    base = truth.risks(everybody)
    always = {
        name: served([Choice(name, "")] * schema.n_groups)
        for name in POOL[1:]
        if name in candidates
    }
    oracle = base - np.min([base, *(always[name] for name in PLAIN if name in always)], axis=0)
    found = {f"always {name}": risks for name, risks in always.items()}
    for rule, (policy, rivals, settings) in RULES.items():
        names = [name for name in rivals if name in candidates]
        if names and (policy is not slope or evidence.corrects("multilevel")):
            own = among(evidence, names, metric, **settings)
            found[rule] = served(policy(own) if callable(policy) else choose(policy, own))
    results = []
    for rule, risks in found.items():
        gain = 100 * (base - risks)
        total, best = float(truth.shares @ gain), 100 * float(truth.shares @ oracle)
        harm = bool((gain < -100 * HARM).any()), bool((gain < -1e-9).any())
        results.append(Result(rule, seed, n, m, effect, total, best, float(gain.min()), *harm))
    return results


def show(results: list[Result], title: str) -> None:
    """Print one table."""
    order = [*RULES, *(f"always {name}" for name in POOL[1:])]
    print(f"\n{title}: {len({r.seed for r in results})} populations")
    print(
        f"{'rule':<21}{'of oracle':>13}{'gain':>13}{'any harm':>13}{'any worse':>13}{'worst':>14}"
    )
    for rule in order:
        own = [r for r in results if r.rule == rule]
        if own:
            share, error = share_of_oracle(own)
            cells = ["-" if np.isnan(share) else f"{share:.0f} ({error:.1f})"]
            cells += [mean([r.gain for r in own], 2), rate([r.harmed for r in own])]
            cells += [rate([r.worse for r in own]), mean([r.worst for r in own], 2)]
            widths = (13, 13, 13, 13, 14)
            print(f"{rule:<21}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))


def main() -> None:
    """Print the tables, and write every result to a CSV file if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=TASKS, default="classes")
    parser.add_argument("--populations", type=int, default=72)
    parser.add_argument("--effects", default=",".join(DIFFER))
    parser.add_argument("--sizes", default="500,2000,10000")
    parser.add_argument("--fresh", type=int, default=100_000, help="rows drawn for the truth")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--csv", help="file for one line per rule and population")
    options = parser.parse_args()
    sizes = [int(n) for n in options.sizes.split(",")]
    cells = itertools.cycle(itertools.product(options.effects.split(","), sizes, (4, 6, 12)))
    start = time.perf_counter()
    tasks = (
        delayed(one_population)(options.task, n, m, effect, options.seed + i, options.fresh)
        for i, (effect, n, m) in enumerate(itertools.islice(cells, options.populations))
    )
    results: list[Result] = []
    for done, part in enumerate(Parallel(options.jobs, return_as="generator")(tasks), 1):
        results += part
        if sys.stderr.isatty():
            print(f"\r{done} of {options.populations} populations", end="", file=sys.stderr)
    print(
        f"{options.populations} populations, {options.task}, linear models; seeds from "
        f"{options.seed}, {options.fresh:,} fresh rows\neach; "
        f"{time.perf_counter() - start:.0f} s. Monte-Carlo standard errors in brackets. Of oracle: "
        "share, in percent,\nof the gain of the best of generic, one-hot, intersectional and "
        "decoupled in every group."
    )
    differ = [r for r in results if r.effect in DIFFER]
    for n in (None, *sizes):
        part = [r for r in differ if n in (None, r.n)]
        if part:
            title = "groups differ" if n is None else f"groups differ, n = {n:,}"
            show(part, f"{options.task}, {TASKS[options.task][0]}: {title}")
    for effect in dict.fromkeys(r.effect for r in results if r.effect not in DIFFER):
        part = [r for r in results if r.effect == effect]
        show(part, f"{options.task}, {TASKS[options.task][0]}: effect {effect!r}")
    write_csv(results, options.csv)


if __name__ == "__main__":
    main()
