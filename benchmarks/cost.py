"""What the router costs beside the scikit-learn calls that it cannot do without.

Run ``python -m benchmarks.cost``; ``--quick`` uses a tenth of the rows. Every ratio pairs two
computations in one process, in turn, and is the median over the repetitions.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from fairuse_router import FairUseRouter

GROUPS = ["sex", "age"]
ESTIMATORS = {
    "logistic regression": LogisticRegression(),
    "histogram boosting": HistGradientBoostingClassifier(random_state=0),
}


def make_data(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """26 columns: 24 numbers and two of strings, six groups with slopes of their own."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, 24))
    X = pd.DataFrame(Z, columns=[f"x{i}" for i in range(24)])
    X["sex"] = rng.choice(["female", "male"], n)
    X["age"] = rng.choice(["<40", "40-60", "60+"], n)
    margin = Z[:, 0] + Z[:, 1] * (X["sex"] == "male") + 0.5 * (X["age"] == "60+")
    return X, (margin + rng.logistic(size=n) > 0).astype(int).to_numpy()


def cells(X: pd.DataFrame) -> np.ndarray:
    """Group number of each row."""
    return X.groupby(GROUPS, sort=True).ngroup().to_numpy()


def bare(estimator, X: pd.DataFrame, y: np.ndarray) -> None:
    """The fits and out-of-fold predictions of all four candidates, and nothing else."""
    features, cell = X.drop(columns=GROUPS), cells(X)
    onehot = pd.concat([features, pd.get_dummies(X[GROUPS], dtype=float)], axis=1)
    dummies = pd.get_dummies(pd.Series(cell, index=X.index).astype(str), prefix="g", dtype=float)
    crossed = pd.concat([features, dummies], axis=1)
    splitter = StratifiedKFold(5)
    folds = [(np.arange(len(y)), None), *splitter.split(features, cell * 2 + y)]
    for train, test in folds:
        for Z in (features, onehot, crossed):
            model = clone(estimator).fit(Z.iloc[train], y[train])
            if test is not None:
                part = Z.iloc[test]
                model.predict(part)
                model.predict_proba(part)
        for g in range(cell.max() + 1):
            own = train[cell[train] == g]
            model = clone(estimator).fit(features.iloc[own], y[own])
            if test is not None:
                part = features.iloc[test[cell[test] == g]]
                model.predict(part)
                model.predict_proba(part)


def masks(router: FairUseRouter, X: pd.DataFrame) -> np.ndarray:
    """What one writes by hand: a boolean mask per group, and the group's model on its rows."""
    features = [c for c in X.columns if c not in GROUPS]
    out = np.empty(len(X), dtype=int)
    for g, record in enumerate(router.routing_table_.groups):
        rows = (X["sex"] == record.report[0]) & (X["age"] == record.report[1])
        part, candidate = X.loc[rows, features], router.candidates_[record.candidate]
        if candidate.added is not None:
            part = part.assign(**dict(zip(candidate.added_names, candidate.added[g], strict=True)))
        out[rows.to_numpy()] = candidate.models[candidate.model_of_group[g]].predict(part)
    return out


def paired(
    first: Callable[[], object], second: Callable[[], object], times: int, clock=time.process_time
) -> tuple[float, float, float]:
    """Median seconds of two computations run in turn, and the median of their ratios."""
    a, b = [], []
    for _ in range(times):
        for work, seconds in ((first, a), (second, b)):
            start = clock()
            work()
            seconds.append(clock() - start)
    ratio = statistics.median(x / y for x, y in zip(a, b, strict=True))
    return statistics.median(a), statistics.median(b), ratio


def share_of_fit(router: FairUseRouter, X: pd.DataFrame, y: np.ndarray) -> tuple[float, float]:
    """Seconds of choosing and auditing (misreports of all pairs included), and of the whole fit."""
    profile = cProfile.Profile()
    profile.runcall(router.fit, X, y)
    seconds = {
        key[2]: row[3] for key, row in pstats.Stats(profile).stats.items() if "fairuse" in key[0]
    }
    return sum(seconds[name] for name in ("choose", "audit_choices", "measure")), seconds["fit"]


def line(name: str, a: float, b: float, ratio: float, limit: float) -> None:
    """Print one row of the table."""
    verdict = "ok" if ratio <= limit else "MISSED"
    print(f"{name:<44} {a:>8.3f} {b:>8.3f} {ratio:>7.2f} {limit:>6.2f} {verdict}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    X, y = make_data(50_000 // scale, seed=0)
    many, _ = make_data(100_000 // scale, seed=1)
    print(f"{len(X):,} training rows, {len(many):,} rows to predict, 26 columns, 6 groups, seed 0")
    print(f"median of {options.repeat} pairs; CPU seconds for fit, wall seconds for predict")
    print(f"{'':<44} {'ours':>8} {'bare':>8} {'ratio':>7} {'limit':>6}")
    with threadpool_limits(1):  # CPU seconds of waiting threads would drown the ratio
        for name, estimator in ESTIMATORS.items():
            measure(name, estimator, X, y, many, options.repeat)


def measure(name: str, estimator, X: pd.DataFrame, y: np.ndarray, many: pd.DataFrame, times: int):
    """Print the rows of one estimator."""
    router = FairUseRouter(estimator, GROUPS, cv=5)
    fits = paired(lambda: router.fit(X, y), lambda: bare(estimator, X, y), times)
    line(f"fit, {name}", *fits, 1.15)
    if name == "logistic regression":
        parts = [share_of_fit(router, X, y) for _ in range(times)]
        a, b = (statistics.median(column) for column in zip(*parts, strict=True))
        ratio = statistics.median(p / whole for p, whole in parts)
        line("choosing and audit of all pairs, of that fit", a, b, ratio, 0.10)
    best = FairUseRouter(estimator, GROUPS, cv=5, policy="best").fit(X, y)
    assert (best.predict(many) == masks(best, many)).all()
    serve = paired(
        lambda: best.predict(many), lambda: masks(best, many), 4 * times, time.perf_counter
    )
    line(f"predict, {name}", *serve, 2.0)


if __name__ == "__main__":
    main()
