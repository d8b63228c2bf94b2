"""What serving a bundle costs beside plain exports of its models, and whether it ever disagrees.

Run ``python -m benchmarks.serving``; ``--quick`` takes under a minute, ``--threads 2`` lets every
session use two threads, which do not spin between calls. Contenders are timed in turn within one
run, in blocks (64 calls of one row each, 16 of 32, one of more), and the ratios are between the
fastest blocks. "Routes alone" are plain exports of the models of all routes, each asked for its own
rows; "report read" is a bundle that reads the report, looks the route up, and serves everybody by
generic.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from benchmarks.contest import GROUPS, ROWS, WIDTH, Contest, fit, make_rows, models_of, plain
from benchmarks.outputs import write_csv
from fairuse_router import FairUseRouter, export_bundle
from fairuse_router.bundle.plans import dispatch

BATCHES = (1, 32, 1_000, 100_000)

SCALED = StandardScaler()
LOGISTIC = LogisticRegression(max_iter=1000)
FOREST = RandomForestClassifier(100, random_state=0, n_jobs=1)
SMOOTH = RandomForestClassifier(100, min_samples_leaf=5, random_state=0, n_jobs=1)
BOOSTING = HistGradientBoostingClassifier(max_iter=100, random_state=0, early_stopping=False)
OTHERS = {
    "neural net": make_pipeline(SCALED, MLPClassifier(max_iter=40, random_state=0)),
    "naive Bayes": GaussianNB(),
    "SVC": make_pipeline(SCALED, SVC()),
}
TEXTS = make_pipeline(
    make_column_transformer(
        (SCALED, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    ),
    LOGISTIC,
)


@dataclass(frozen=True)
class Line:
    """One line of the table: ratios by batch size, and their limits."""

    name: str
    routes: int
    ratios: Mapping[int, float]
    limits: Mapping[int, float]

    def __str__(self) -> str:
        cells = []
        for n in BATCHES:
            ratio, limit = self.ratios.get(n), self.limits.get(n)
            missed = ratio is not None and limit is not None and ratio > limit
            cells.append(
                f"{'' if ratio is None else f'{ratio:.2f}'}{'*' if missed else ' '}".rjust(7)
            )
        limits = ", ".join(map(str, sorted(set(self.limits.values()), reverse=True)))
        return f"{self.name:<40}{self.routes:>3}{''.join(cells)}  {limits}".rstrip()


def race(contest: Contest, batches: tuple[int, ...], budget: float) -> dict[int, dict[str, float]]:
    """Seconds of every contender, by batch size."""
    return {n: contest.time(n, budget) for n in batches}


def ratio(times: Mapping[int, Mapping[str, float]], of: str, to: str) -> dict[int, float]:
    """Ratios of two contenders by batch size, where both ran."""
    return {n: t[of] / t[to] for n, t in times.items() if of in t and to in t}


def race_linear(
    routes: int, threads: int, batches: tuple[int, ...], budget: float
) -> Iterator[Line]:
    router = fit(LOGISTIC, routes)
    contest = Contest(router, threads)
    X, y = make_rows(ROWS * (routes - 1), routes, 0)
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), [WIDTH, WIDTH + 1]), remainder="passthrough"
    )
    onehot = make_pipeline(encoder, LOGISTIC).fit(X.to_numpy(dtype=object), y)
    contest.add("one-hot", plain(onehot, X, grouped=True))
    contest.add("no groups", plain(models_of(router)[0], X.drop(columns=GROUPS)))
    contest.add_bundle("fast")
    contest.add_bundle("exact", precision="exact")
    contest.add_bundle("codes", report="codes")
    contest.add_bundle("exact codes", precision="exact", report="codes")
    times = race(contest, batches, budget)
    texts = {1: 1.1, 32: 1.1, 1_000: 1.1, 100_000: 1.0}
    yield Line("logistic / same texts", routes, ratio(times, "fast", "one-hot"), texts)
    name = "logistic, exact / same texts"
    yield Line(name, routes, ratio(times, "exact", "one-hot"), {})
    twice = dict.fromkeys(BATCHES, 2.0)
    name = "logistic, codes / no groups"
    yield Line(name, routes, ratio(times, "codes", "no groups"), twice)
    name = "logistic, exact codes / no groups"
    yield Line(name, routes, ratio(times, "exact codes", "no groups"), {})


def race_trees(
    name: str, estimator: Any, routes: int, threads: int, batches: tuple[int, ...], budget: float
) -> Iterator[Line]:
    router = fit(estimator, routes)
    contest = Contest(router, threads)
    features = make_rows(1, routes, 0)[0].drop(columns=GROUPS)
    alone = [plain(model, features) for model in models_of(router)]
    contest.add("generic", alone[0])
    contest.add("alone", *alone)
    seconds = contest.add_bundle("fast")
    contest.add_bundle("exact", precision="exact")
    with mock.patch.object(dispatch.MergedTrees, "of", return_value=None):
        contest.add_bundle("partitioned")
    contest.add_bundle("report", fit(estimator, routes, rival=None))
    times = race(contest, batches, budget)
    large, limit = {1_000: 1.1, 100_000: 1.1}, {1: 1.3} if routes == 7 else {}
    exact = {1_000: 2.2, 100_000: 2.2} if "forest" in name else {}
    yield Line(f"{name} / generic", routes, ratio(times, "fast", "generic"), large)
    yield Line(f"{name} / route alone", routes, ratio(times, "fast", "alone"), limit)
    yield Line(f"{name}, exact / generic", routes, ratio(times, "exact", "generic"), exact)
    yield Line(f"{name}, exact / route alone", routes, ratio(times, "exact", "alone"), limit)
    yield Line(f"{name}, partitioned / generic", routes, ratio(times, "partitioned", "generic"), {})
    yield Line(f"{name}, routes alone / generic", routes, ratio(times, "alone", "generic"), {})
    yield Line(f"{name}, report read / route alone", routes, ratio(times, "report", "alone"), {})
    if name == "forest":
        print(f"  export of {routes} {name} routes: {seconds:.1f} s{'*' if seconds > 30 else ''}")
    yield from _loads(name, contest, alone, routes)


def race_others(
    name: str, estimator: Any, routes: int, threads: int, batches: tuple[int, ...], budget: float
) -> Iterator[Line]:
    texts = 4 if estimator is TEXTS else 0
    router = fit(estimator, routes, texts)
    contest = Contest(router, threads, texts)
    features = make_rows(1, routes, 0, texts)[0].drop(columns=GROUPS)
    contest.add("generic", plain(models_of(router)[0], features))
    contest.add_bundle("fast")
    contest.add_bundle("codes", report="codes")
    contest.add_bundle("exact", precision="exact")
    times = race(contest, batches, budget)
    limits = {1_000: 1.3, 100_000: 1.3}
    yield Line(f"{name} / generic", routes, ratio(times, "fast", "generic"), limits)
    yield Line(f"{name}, codes / generic", routes, ratio(times, "codes", "generic"), limits)
    yield Line(f"{name}, exact / generic", routes, ratio(times, "exact", "generic"), {})


def race_corrected(
    name: str, estimator: Any, routes: int, threads: int, batches: tuple[int, ...], budget: float
) -> Iterator[Line]:
    """One generic model with a correction per group, beside generic's own export."""
    router = fit(estimator, routes, rival="multilevel")
    contest = Contest(router, threads)
    features = make_rows(1, routes, 0)[0].drop(columns=GROUPS)
    contest.add("generic", plain(models_of(router)[0], features))
    contest.add_bundle("fast")
    contest.add_bundle("codes", report="codes")
    contest.add_bundle("exact", precision="exact")
    generic = fit(estimator, routes, rival=None)
    contest.add_bundle("report", generic)
    contest.add_bundle("report codes", generic, report="codes")
    times = race(contest, batches, budget)
    limits = {1: 1.5, 1_000: 1.1, 100_000: 1.1}
    yield Line(f"{name} corrected / generic", routes, ratio(times, "fast", "generic"), limits)
    yield Line(f"{name} corr., codes / generic", routes, ratio(times, "codes", "generic"), limits)
    yield Line(f"{name} corr., exact / generic", routes, ratio(times, "exact", "generic"), {})
    yield Line(f"{name}, report read / generic", routes, ratio(times, "report", "generic"), {})
    only = ratio(times, "report codes", "generic")
    yield Line(f"{name}, codes read / generic", routes, only, {})


_LOAD = """
import sys, time, onnxruntime
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 4
start, before = time.perf_counter(), resident()
kept = [onnxruntime.InferenceSession(p, options) for p in sys.argv[1:]]
print(time.perf_counter() - start, resident() - before)
"""


def _loads(name: str, contest: Contest, alone: list[bytes], routes: int) -> Iterator[Line]:
    """Print load time, memory and size beside the sum of the separate models."""
    if not os.path.exists("/proc/self/statm"):
        return
    folder = Path(contest.folder.name)
    paths = []
    for i, model in enumerate(alone):
        paths.append(folder / f"alone{i}.model")
        paths[-1].write_bytes(model)
    separate = _load(*paths)
    size = sum(len(model) for model in alone)
    for which in ("fast", "exact"):
        path = folder / f"{which}.onnx"
        seconds, memory = (a / b for a, b in zip(_load(path), separate, strict=True))
        marks = ["*" if r > 2 else "" for r in (seconds, memory)]
        print(
            f"  {name}, {which}, {routes} routes / separate models: load {seconds:.2f}{marks[0]}, "
            f"memory {memory:.2f}{marks[1]}, file {path.stat().st_size / size:.2f}"
        )
    yield from ()


def _load(*paths: Path) -> tuple[float, float]:
    """Seconds and MB that a fresh process needs to open sessions: the least of three."""
    runs = []
    for _ in range(3):
        command = [sys.executable, "-c", _LOAD, *map(str, paths)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        runs.append((float(out[0]), float(out[1])))
    return min(r[0] for r in runs), min(r[1] for r in runs)


def boundary(router: FairUseRouter, X: pd.DataFrame) -> pd.DataFrame:
    """Rows moved onto the boundary of the model that serves them, 1e-12 to 1e-9 off it."""
    rng = np.random.default_rng(4)
    route, models = router.route(X).route, models_of(router)
    numbers = X[[f"x{j}" for j in range(WIDTH)]].to_numpy()
    for r, model in enumerate(models):
        mine, w = np.flatnonzero(route == r), model.coef_[0]
        if not len(mine):
            continue
        for _ in range(3):
            off = numbers[mine] @ w + model.intercept_[0]
            numbers[mine] -= np.outer(off / (w @ w), w)
        off = 10 ** rng.uniform(-11.5, -9, len(mine)) * rng.choice([-1, 1], len(mine))
        numbers[mine] += np.outer(off / (w @ w), w)
        decision = model.decision_function(pd.DataFrame(numbers[mine], columns=X.columns[:WIDTH]))
        assert (np.abs(decision) >= 1e-12).all()
    return X.assign(**{f"x{j}": numbers[:, j] for j in range(WIDTH)})


def show_parity(n: int) -> None:
    """Print the labels that differ on rows that are built to tie."""
    print(f"\nLabels that differ from the router's, {n:,} rows built to tie, 7 routes")
    print(f"{'':<44}{'exact':>7}{'fast':>7}   largest |dp|, exact")
    trials: list[tuple[str, Any]] = [("rows on the linear boundary", LOGISTIC)]
    for k in (20, 28, 30):
        trials.append((f"forest of {k} full trees", _forest(k)))
    trials.append(("forest of 20 trees, 5 rows a leaf", _forest(20, 5)))
    trials.append(("boosting on two decimals", BOOSTING))
    for name, estimator in trials:
        router = fit(estimator, 7)
        X, _ = make_rows(n, 7, 5)
        X = boundary(router, X) if estimator is LOGISTIC else X
        found = {}
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fast bundle warns of rounding
            for precision in ("exact", "fast"):
                path = Path(folder) / "b.onnx"
                found[precision] = export_bundle(router, path, X, precision=precision, max_checks=n)
        flips = [found[p]["label_flips"] for p in ("exact", "fast")]
        gap = found["exact"]["max_difference"]
        print(f"{name:<44}{flips[0]:>7}{flips[1]:>7}   {gap:.0e}")


def _forest(trees: int, leaf: int = 1) -> RandomForestClassifier:
    return RandomForestClassifier(trees, min_samples_leaf=leaf, random_state=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small batches, 7 routes")
    parser.add_argument("--threads", type=int, default=1, help="threads of a session")
    parser.add_argument("--routes", default="7,25", help="numbers of routes, of 7 and 25")
    parser.add_argument("--csv", help="file for the ratios")
    args = parser.parse_args()
    start = time.perf_counter()
    batches, budget = (BATCHES[:3], 0.3) if args.quick else (BATCHES, 3.0)
    settings = args.threads, batches, budget
    found = []
    print("Time of a bundle beside a plain export, by rows a call; * misses its limit")
    header = "".join(f"{n:>6} " for n in ("1", "32", "1k", "100k"))
    print(f"{'bundle / beside':<40}{'R':>3}{header}  limits")
    for routes in (7,) if args.quick else map(int, args.routes.split(",")):
        lines = [race_linear(routes, *settings)]
        lines += [
            race_trees(name, model, routes, *settings)
            for name, model in (
                ("forest", FOREST),
                ("smooth forest", SMOOTH),
                ("boosting", BOOSTING),
            )
        ]
        lines += [
            race_corrected(name, model, routes, *settings)
            for name, model in (("forest", FOREST), ("boosting", BOOSTING))
        ]
        others = {"neural net": OTHERS["neural net"]} if args.quick else {**OTHERS, "texts": TEXTS}
        lines += [race_others(name, model, routes, *settings) for name, model in others.items()]
        for line in itertools.chain.from_iterable(lines):
            print(line, flush=True)
            found += [
                {"what": line.name, "routes": line.routes, "rows": n, "ratio": ratio}
                for n, ratio in line.ratios.items()
            ]
    write_csv(found, args.csv)
    show_parity(5_000 if args.quick else 100_000)
    seconds = time.perf_counter() - start
    print(f"\nseeds 0 to 5, {ROWS} rows a group, {args.threads} thread(s), {seconds:.0f} s")


if __name__ == "__main__":
    main()
