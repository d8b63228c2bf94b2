"""Monitoring without labels: false alarms in a year of weekly looks, and drops that are found.

Run ``python -m benchmarks.monitoring``. A router is trained on 2,000 people of four groups (half,
a quarter, 15% and 10%), of whom 5% withhold; every week it looks at 200 new ones, 52 looks in all,
alpha 0.1. False: any alarm in a year without a change. Found: an alarm about reports or withholding
when a third of those of one group who used to report do so no longer, by a look at the first two,
four and eight weeks (400 people and more).
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter

SHARES = {"a": 0.5, "b": 0.25, "c": 0.15, "d": 0.1}
WEEK, LOOKS = 200, 52


def people(n: int, rng: np.random.Generator, quiet: str = "") -> tuple[pd.DataFrame, np.ndarray]:
    """People, of whom 5% withhold; of the group `quiet` another third of those who reported."""
    group = rng.choice(list(SHARES), n, p=list(SHARES.values()))
    x = rng.normal(size=(n, 3))
    z = np.where(np.isin(group, ["a", "c"]), 1.2, -1.2) * x[:, 0] + x[:, 1]
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    silent = rng.random(n) < np.where(group == quiet, 0.05 + 0.95 / 3, 0.05)
    frame = pd.DataFrame(x, columns=["x0", "x1", "x2"])
    frame["group"] = np.where(silent, "?", group)
    return frame, y


def train(seed: int) -> FairUseRouter:
    """A router on 2,000 people."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        router = FairUseRouter(LogisticRegression(), ["group"], random_state=0)
        return router.fit(*people(2000, np.random.default_rng([seed, 0])))


def false_alarms(years: int) -> float:
    """Share of years with any alarm."""
    wrong = 0
    for year in range(years):
        router, rng = train(year), np.random.default_rng([year, 1])
        wrong += any(router.monitor(people(WEEK, rng)[0], looks=LOOKS).alarms for _ in range(LOOKS))
    return wrong / years


def found(group: str, times: int, weeks: int) -> float:
    """Share of drops in one group's reporting that one look at the first weeks tells."""
    hits = 0
    for seed in range(times):
        if seed % 10 == 0:
            router = train(seed)
        rows = people(weeks * WEEK, np.random.default_rng([seed, 2]), group)[0]
        alarms = router.monitor(rows, looks=LOOKS).alarms
        hits += any(a.kind in ("reports", "withheld") for a in alarms)
    return hits / times


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=200)
    parser.add_argument("--drops", type=int, default=160)
    options = parser.parse_args()
    start = time.process_time()
    rate = false_alarms(options.years)
    error = np.sqrt(0.1 * 0.9 / options.years)
    print(f"false alarms: {rate:.3f} of {options.years} years (limit 0.1, error {error:.3f})")
    for group, share in SHARES.items():
        shown = [f"{found(group, options.drops, weeks):.3f}" for weeks in (2, 4, 8)]
        print(
            f"a third less of a group of {share:.0%}: found in 2, 4, 8 weeks in "
            f"{', '.join(shown)} of {options.drops}",
            flush=True,
        )
    spent = time.process_time() - start
    print(f"{WEEK} people a week, {LOOKS} looks, seeds from 0, {spent:.0f} s of one core")


if __name__ == "__main__":
    main()
