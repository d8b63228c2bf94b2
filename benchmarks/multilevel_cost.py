"""What the multilevel candidate and the policies that weigh it cost: fitting, and choosing.

Run ``python -m benchmarks.multilevel_cost``. Fitting is compared with a one-hot logistic regression
of the same rows: the multilevel candidate, which learns its penalties, generic being there already.
Three classes are the positives of one population, and the labels of another on the other rows.
Choosing is the whole policy on out-of-fold predictions. Medians over repeats, with half the
distance of the quartiles.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.data import rotterdam_population
from benchmarks.pool import train_pool
from fairuse_router import GroupSchema
from fairuse_router.candidates.multilevel import fit_multilevel
from fairuse_router.candidates.recipes import fit_candidate, make_recipes
from fairuse_router.metrics import get_metric
from fairuse_router.routing import choose
from fairuse_router.rows import TrainingRows

PAIR = (0, 1)


def milliseconds(task: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median time of a task, and half the distance of its quartiles."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        times.append(1000 * (time.perf_counter() - start))
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
    return float(middle), float(high - low) / 2


def main() -> None:
    """Print one line for every number of rows and groups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, seed = time.perf_counter(), options.seed
    print(
        f"seed {options.seed}, {options.repeats} repeats, ms: median (half the quartile distance)"
    )
    print(f"{'rows':>7}{'groups':>8}{'classes':>9}{'one-hot fit':>17}{'multilevel fit':>17}"
          f"{'ratio':>7}{'priced, error':>17}{'priced, AUC':>17}")  # fmt: skip
    for n, m, k in (
        (500, 4, 2),
        (2000, 6, 2),
        (2000, 12, 2),
        (10_000, 12, 2),
        (50_000, 12, 2),
        (2000, 6, 3),
        (10_000, 12, 3),
        (50_000, 12, 3),
    ):
        population = rotterdam_population(n, n_groups=m, effect="mixed", random_state=seed)
        X = population.to_array()
        schema = GroupSchema.from_table(X, population.group_columns)
        codes = schema.encode(X)
        groups = schema.group_ids(codes)
        y, classes = population.y, np.arange(k)
        if k > len(PAIR):
            other = rotterdam_population(n, n_groups=m, effect="mixed", random_state=seed + 1).y
            y = np.where(y == 1, 2, other)
        rows = TrainingRows(
            population.features, groups, y, y, classes, schema.n_groups, codes=codes
        )
        names = ("generic", "onehot", "multilevel")
        recipes = make_recipes(names, LogisticRegression(max_iter=500), schema, None)
        everything = np.arange(n)
        generic = fit_candidate(recipes[0], rows, everything, 20)
        onehot = milliseconds(
            lambda r=rows, k=recipes, e=everything: fit_candidate(k[1], r, e, 20), options.repeats
        )
        multilevel = milliseconds(
            lambda r=rows, k=recipes, e=everything, g=generic: fit_multilevel(k[2], g, r, e),
            options.repeats,
        )
        columns = population.group_columns
        estimator, pair = LogisticRegression(max_iter=500), ("generic", "multilevel")
        pool = train_pool(population.features, X, columns, y, estimator, pair, classes=classes)
        evidence = pool[1]
        by_area = replace(evidence, metrics=[get_metric("auc")])
        chosen = [
            milliseconds(lambda p=policy, e=given: choose(p, e), options.repeats)
            for policy, given in (("priced", evidence), ("priced", by_area))
        ]
        cells = [f"{middle:.1f} ({spread:.1f})" for middle, spread in (onehot, multilevel, *chosen)]
        print(
            f"{n:>7,}{m:>8}{k:>9}{cells[0]:>17}{cells[1]:>17}{multilevel[0] / onehot[0]:>7.1f}"
            + "".join(f"{cell:>17}" for cell in cells[2:])
        )
    print(f"{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
