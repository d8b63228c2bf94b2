"""What folds would save that start from the coefficients of the fit on all rows, and what it moves.

Run ``python -m benchmarks.warm_starts`` (a minute). Five folds of a logistic regression, begun
at zero as the router fits them, and begun (``warm_start``) at the fit on all rows: CPU seconds,
best of five, iterations, and the largest difference of a probability on a row left out. The
router would take what keeps every score equal to 1e-6.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

CASES = (
    ("lbfgs", 1e-4, 5_000, 20),
    ("lbfgs", 1e-4, 50_000, 20),
    ("lbfgs", 1e-4, 5_000, 200),
    ("lbfgs", 1e-8, 50_000, 20),
    ("newton-cholesky", 1e-4, 50_000, 20),
    ("newton-cholesky", 1e-8, 50_000, 20),
)
REPEAT = 5


def fastest(work: Callable[[], Any]) -> tuple[float, Any]:
    """Least CPU seconds of some runs, and what the last returned."""
    least = np.inf
    for _ in range(REPEAT):
        start = time.process_time()
        found = work()
        least = min(least, time.process_time() - start)
    return least, found


def case(solver: str, tol: float, n: int, d: int) -> str:
    """One line of the table."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    margin = X @ rng.normal(size=d) / np.sqrt(d) * 1.5 - 0.3
    y = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(int)
    model = LogisticRegression(solver=solver, tol=tol, max_iter=1000)
    full = clone(model).fit(X, y)

    def warm(rows: np.ndarray) -> LogisticRegression:
        begun = clone(model).set_params(warm_start=True)
        begun.coef_, begun.intercept_ = full.coef_.copy(), full.intercept_.copy()
        begun.classes_, begun.n_features_in_ = full.classes_, d
        return begun.fit(X[rows], y[rows])

    seconds, steps, gap = np.zeros(2), np.zeros(2, dtype=int), 0.0
    for train, test in StratifiedKFold(5).split(X, y):
        cold, one = fastest(lambda rows=train: clone(model).fit(X[rows], y[rows]))
        begun, other = fastest(lambda rows=train: warm(rows))
        seconds += cold, begun
        steps += one.n_iter_[0], other.n_iter_[0]
        apart = one.predict_proba(X[test]) - other.predict_proba(X[test])
        gap = max(gap, float(np.abs(apart).max()))
    return (
        f"{solver:<16}{tol:>7.0e}{n:>8,}{d:>5}{seconds[0]:>9.3f}{seconds[1]:>9.3f}"
        f"{seconds[1] / seconds[0]:>7.2f}{steps[0]:>7}{steps[1]:>6}{gap:>12.1e}"
    )


def main() -> None:
    """Print the table."""
    print(
        f"{'solver':<16}{'tol':>7}{'rows':>8}{'d':>5}{'from 0':>9}{'warm':>9}{'ratio':>7}"
        f"{'steps':>7}{'warm':>6}{'difference':>12}"
    )
    for one in CASES:
        print(case(*one), flush=True)


if __name__ == "__main__":
    main()
