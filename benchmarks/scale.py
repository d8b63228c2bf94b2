"""Many groups, wide frames and single rows: what fit, audit, export, load and predict take.

``python -m benchmarks.scale groups --m 300``, ``... wide --d 400 5000`` and ``... single``. Seconds
are of the processors, as the clock tells of other programs, too; single rows by the clock.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import Bundle, FairUseRouter, export_bundle


def timed(name: str, work: Callable[[], Any]) -> Any:
    """Do it, and say what it took."""
    clock, cpu = time.perf_counter(), time.process_time()
    found = work()
    spent, passed = time.process_time() - cpu, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{name:<24} CPU {spent:8.3f} s, clock {passed:8.3f} s, peak {peak:6.0f} MB", flush=True)
    return found


def groups(m: int, n: int = 50_000, d: int = 20) -> None:
    """Two group attributes that span m groups."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, m // 10, n), rng.integers(0, 10, n)
    X = pd.DataFrame(rng.normal(size=(n, d)), columns=[f"x{i}" for i in range(d)])
    shift = rng.normal(0, 0.5, m)[a * 10 + b]
    margin = X.to_numpy() @ rng.normal(size=d) / 2 + shift
    y = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(int)
    X["a"], X["b"] = np.char.add("a", a.astype(str)), np.char.add("b", b.astype(str))
    router = FairUseRouter(LogisticRegression(max_iter=200), ["a", "b"], random_state=0)
    print(f"m = {m}, n = {n:,}, d = {d}")
    timed("fit", lambda: router.fit(X, y))
    timed("audit of 20,000 rows", lambda: router.audit(X[:20_000], y[:20_000]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "router.onnx"
        timed("export", lambda: export_bundle(router, path, X[:2_000]))
        print(f"{'file':<24} {path.stat().st_size / 1e6:.2f} MB")
        timed("load, first of a process", lambda: Bundle.load(path))
        timed("load, again", lambda: Bundle.load(path))


def wide(d: int, n: int = 300) -> None:
    """An array and a frame of the same d columns."""
    rng = np.random.default_rng(0)
    X, g = rng.normal(size=(n, d)), rng.integers(0, 3, n)
    y = (X[:, 0] + rng.normal(size=n) > 0).astype(int)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(d)]).assign(g=g)
    for kind, rows, where in (("array", np.column_stack([X, g]), d), ("frame", frame, "g")):
        router = FairUseRouter(
            LogisticRegression(max_iter=30),
            [where],
            cv=2,
            candidates=("generic", "onehot"),
            policy="best",
        )
        alone = LogisticRegression(max_iter=30)
        timed(f"{kind}, d = {d}: alone", lambda a=alone, x=rows: a.fit(x, y).predict_proba(x))
        timed(f"{kind}, d = {d}: fit", lambda r=router, x=rows: r.fit(x, y))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "router.onnx"
            timed(
                f"{kind}, d = {d}: export",
                lambda r=router, x=rows, p=path: export_bundle(r, p, x[:100]),
            )


def single(n: int = 1_000, d: int = 20) -> None:
    """One row, as a server gets it; the median and the least of 1,000 calls."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, d)), rng.integers(0, 2, n)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(d)]).assign(g=rng.integers(0, 3, n))
    router = FairUseRouter(LogisticRegression(), ["g"], cv=3).fit(frame, y)
    encoder = make_column_transformer((OneHotEncoder(), ["g"]), remainder="passthrough")
    pipeline = make_pipeline(encoder, LogisticRegression()).fit(frame, y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "router.onnx"
        export_bundle(router, path, frame)
        bundle = Bundle.load(path, session_options={"intra_op_num_threads": 1})
    row = frame[:1]
    feed, record = bundle.feed(row), [row.iloc[0].to_dict()]
    calls = {
        "session.run, ready tensors": lambda: bundle.session.run(None, feed),
        "Bundle.predict, dict": lambda: bundle.predict(record),
        "Bundle.predict, frame": lambda: bundle.predict(row),
        "scikit-learn's Pipeline": lambda: pipeline.predict(row),
    }
    for name, call in calls.items():
        call()
        took = []
        for _ in range(1_000):
            start = time.perf_counter()
            call()
            took.append(time.perf_counter() - start)
        print(f"{name:<28} {1e3 * np.median(took):7.3f} ms, least {1e3 * min(took):7.3f} ms")


def main() -> None:
    """Measure what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("groups", "wide", "single"))
    parser.add_argument("--m", type=int, nargs="+", default=[300])
    parser.add_argument("--d", type=int, nargs="+", default=[400, 5_000])
    args = parser.parse_args()
    if args.what == "groups":
        for m in args.m:
            groups(m)
    elif args.what == "wide":
        for d in args.d:
            wide(d)
    else:
        single()


if __name__ == "__main__":
    main()
