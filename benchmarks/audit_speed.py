"""How fast an audit is: beside fairlearn, beside a plain numpy bootstrap, and on a million rows.

Run ``python -m benchmarks.audit_speed``; ``--quick`` takes fewer rows, groups and resamples. One
run on one thread, fastest of several for what takes less than a second. Three parts:

1. Error, AUC and ECE in 6 groups with 90% intervals at B = 1,000. Ours compares two models in every
   group, with intervals and tests of the gains. fairlearn's `MetricFrame` bootstraps the risks of
   one model (``n_boot=1000``; it has no paired gains). The plain bootstrap computes, for both
   models, what ours reports: gains under 1,000 multinomial weights per group, in matrix products.
2. 48 groups, predictions given: error and AUC over all 48 x 47 pairs, ECE for rationality; time and
   peak memory of a process of its own.
3. The same at growing n: the line.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import get_context
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from fairuse_router import audit_predictions

LEVEL = (0.05, 0.95)


def simulate(n: int, m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, groups and margins of n rows."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    return y, rng.integers(0, m, n), z


def noisy(z: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities of a model: the true margin with noise of its own."""
    return 1 / (1 + np.exp(-z - np.random.default_rng(seed).normal(0, 0.4, len(z))))


def fastest(run: Callable[[], Any], budget: float = 3.0, most: int = 7) -> float:
    """Seconds of the fastest of several runs."""
    times: list[float] = []
    while not times or (sum(times) < budget and len(times) < most):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def bins(p: np.ndarray) -> np.ndarray:
    return np.clip(np.ceil(10 * p).astype(int) - 1, 0, 9)


def plain_bootstrap(
    y: np.ndarray, groups: np.ndarray, p: np.ndarray, q: np.ndarray, replicates: int
) -> dict[int, np.ndarray]:
    """90% intervals of the gains in error, AUC and ECE by multinomial weights, per group."""
    rng, intervals = np.random.default_rng(0), {}
    for g in np.unique(groups):
        rows = np.flatnonzero(groups == g)
        parts = []
        chunk = max(1, 4_000_000 // len(rows))
        for start in range(0, replicates, chunk):
            size = min(chunk, replicates - start)
            counts = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size)
            weights = counts.astype(float)
            first, second = (statistics(y[rows], s[rows], weights) for s in (p, q))
            parts.append(first - second)
        intervals[int(g)] = np.quantile(np.concatenate(parts), LEVEL, axis=0)
    return intervals


def statistics(y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Error, 1 - AUC and ECE under each row of weights, shape (B, 3)."""
    total = weights.sum(axis=1)
    error = weights @ ((p > 0.5) != y) / total
    each = np.zeros((len(y), 10))
    each[np.arange(len(y)), bins(p)] = p - y
    ece = np.abs(weights @ each).sum(axis=1) / total
    order = np.argsort(p, kind="stable")
    sorted_weights, positive = weights[:, order], y[order] == 1
    negative = np.where(positive, 0.0, sorted_weights)
    below = np.cumsum(negative, axis=1)
    pairs = (below[:, positive] * sorted_weights[:, positive]).sum(axis=1)
    area = pairs / (below[:, -1] * sorted_weights[:, positive].sum(axis=1))
    return np.column_stack([error, 1 - area, ece])


def fairlearn_frame(y: np.ndarray, groups: np.ndarray, p: np.ndarray, replicates: int) -> Any:
    """Fairlearn's bootstrapped risks of one model."""
    from fairlearn.metrics import MetricFrame
    from sklearn.metrics import roc_auc_score

    def error(y: np.ndarray, p: np.ndarray) -> float:
        return float(np.mean((p > 0.5) != y))

    def ece(y: np.ndarray, p: np.ndarray) -> float:
        return float(np.abs(np.bincount(bins(p), p - y, 10)).sum() / len(y))

    return MetricFrame(
        metrics={"error": error, "auc": roc_auc_score, "ece": ece},
        y_true=y,
        y_pred=p,
        sensitive_features=groups,
        n_boot=replicates,
        ci_quantiles=list(LEVEL),
        random_state=0,
    )


def beside_peers(sizes: list[int], replicates: int, frame_replicates: int) -> None:
    """Part 1."""
    print(
        f"\n6 groups, error + AUC + ECE, B = {replicates:,}. Seconds; ratio: theirs over ours.\n"
        f"{'n':>8}{'ours, 2 models':>16}{'plain numpy, 2':>16}{'ratio':>8}"
        f"{'MetricFrame, 1':>16}{'ratio':>8}"
    )
    for n in sizes:
        y, groups, z = simulate(n, 6)
        p, q = noisy(z, 1), noisy(z, 2)
        names = groups.astype(str)

        def ours(y: Any = y, p: Any = p, q: Any = q, names: Any = names) -> Any:
            return audit_predictions(
                y,
                {"generic": p, "onehot": q},
                names,
                metrics=("error", "auc", "ece"),
                n_resamples=replicates,
            )

        own = fastest(ours)
        plain = fastest(lambda: plain_bootstrap(y, groups, p, q, replicates))  # noqa: B023
        try:
            theirs = fastest(lambda: fairlearn_frame(y, groups, p, frame_replicates), most=1)  # noqa: B023
        except ImportError:
            peer = f"{'not installed':>16}{'-':>8}"
        else:
            theirs *= replicates / frame_replicates
            peer = f"{theirs:>16.1f}{theirs / own:>8,.0f}"
        print(f"{n:>8,}{own:>16.3f}{plain:>16.3f}{plain / own:>8.1f}{peer}", flush=True)
    if frame_replicates != replicates:
        print(f"MetricFrame: seconds at n_boot={frame_replicates}, scaled up.")


class Misreports(Mapping[str, np.ndarray]):
    """Predictions under every group's report, made when asked for, as a scoring loop would."""

    def __init__(self, z: np.ndarray, m: int) -> None:
        self._z, self._m = z, m

    def __getitem__(self, group: str) -> np.ndarray:
        return np.asarray(noisy(self._z, 10 + int(group)))

    def __iter__(self) -> Iterator[str]:
        return map(str, range(self._m))

    def __len__(self) -> int:
        return self._m


def _large(n: int, m: int) -> tuple[float, float, int]:
    """Seconds without the predictions' own making, peak memory in GiB, and tests made."""
    with threadpool_limits(1):
        y, groups, z = simulate(n, m)
        names, reports = groups.astype(str), Misreports(z, m)
        models = {"generic": noisy(z, 1), "onehot": noisy(z, 2)}
        start = time.perf_counter()
        for group in reports:
            reports[group]
        making = time.perf_counter() - start
        start = time.perf_counter()
        pairs = audit_predictions(
            y, models, names, metrics=("error", "auc"), misreports={"onehot": reports}
        )
        calibration = audit_predictions(y, models, names, metrics="ece")
        seconds = time.perf_counter() - start - making
    made = sum(len(a.rationality) + len(a.envy_freeness) for a in (pairs, calibration))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return seconds, peak, made


def on_many_rows(sizes: list[int], m: int) -> None:
    """Parts 2 and 3."""
    print(
        f"\n{m} groups: error and AUC over all pairs, ECE for rationality\n"
        f"{'n':>10}{'comparisons':>13}{'seconds':>9}{'per million rows':>18}{'peak GiB':>10}"
    )
    for n in sizes:
        with get_context("spawn").Pool(1) as pool:
            seconds, peak, made = pool.apply(_large, (n, m))
        print(f"{n:>10,}{made:>13,}{seconds:>9.1f}{1e6 * seconds / n:>18.1f}{peak:>10.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, for a look")
    quick = parser.parse_args().quick
    start = time.perf_counter()
    with threadpool_limits(1):
        if quick:
            beside_peers([2000], 1000, 10)
        else:
            beside_peers([5000, 50_000], 1000, 1000)
    if quick:
        on_many_rows([25_000, 50_000], 12)
    else:
        on_many_rows([62_500, 125_000, 250_000, 500_000, 1_000_000], 48)
    print(f"\nseed 0, one thread, {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
