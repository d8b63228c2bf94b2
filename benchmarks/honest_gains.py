"""How far a routing's gain looks better than it is, and what BBC-CV makes of it.

Run ``python -m benchmarks.honest_gains``. On populations with known truth (``make_population`` over
Gaussian covariates, n = 500, 4, 6 and 12 groups, four effects), the naive out-of-fold gain of the
chosen routes and the corrected one are compared with the true gain of the router as deployed.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population

EFFECTS = ("none", "intercept", "interaction", "slopes")


def one(policy: str, n: int, m: int, effect: str, seed: int, resamples: int) -> list[float]:
    """Naive and corrected gain with intervals, and the true gain, in points."""
    warnings.simplefilter("ignore")
    population = make_population(n, n_groups=m, effect=effect, random_state=seed)
    router = FairUseRouter(
        LogisticRegression(max_iter=500),
        population.group_columns,
        policy=policy,
        random_state=seed,
        n_resamples=resamples,
        handle_unknown="withhold",
    ).fit(population.to_array(), population.y)
    fresh = population.sample(40_000, random_state=seed + 10**6)
    X = fresh.to_array()
    withheld = X.copy()
    withheld[:, population.group_columns] = "?"
    true = fresh.true_risk(router.predict(withheld)) - fresh.true_risk(router.predict(X))
    honest = router.honest_gains_.overall
    naive = next(r for r in router.audit_.overall if r.candidate == "routed")
    values = [true]
    for found in (naive, honest):
        ends = (found.low, found.high)  # None: a gain that is known, of routes to generic alone
        values += [found.gain, *(found.gain if end is None else end for end in ends)]
    return [100 * v for v in values]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=200)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    start = time.perf_counter()
    cells = itertools.cycle(itertools.product(EFFECTS, (4, 6, 12)))
    work = list(zip(range(options.populations), cells, strict=False))
    lines = []
    for policy in ("best", "priced"):
        rows = Parallel(n_jobs=options.jobs)(
            delayed(one)(policy, options.rows, m, effect, options.seed + i, options.resamples)
            for i, (effect, m) in work
        )
        true, gain, low, high, fair, below, above = np.array(rows).T
        for name, g, a, b in (("naive", gain, low, high), ("BBC-CV", fair, below, above)):
            error = (g - true).std(ddof=1) / np.sqrt(len(g))
            covered = ((a <= true) & (true <= b)).mean()
            spread = np.sqrt(covered * (1 - covered) / len(g))
            lines.append(
                f"{policy:<10} {name:<8} {(g - true).mean():>+7.2f} ({error:.2f}) "
                f"{covered:>8.3f} ({spread:.3f}) {np.mean(b - a):>8.2f}"
            )
    print(
        f"{options.populations} populations, n = {options.rows}, logistic regression, error, seeds "
        f"from {options.seed}, {options.resamples} resamples, {time.perf_counter() - start:.0f} s"
    )
    print("bias in points, coverage of 90% intervals (Monte-Carlo errors), mean width in points")
    print(f"{'policy':<10} {'gain':<8} {'bias':>14} {'coverage':>16} {'width':>8}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
