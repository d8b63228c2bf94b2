"""Audits of Parquet larger than memory, beside a plain GROUP BY of the same columns.

``python -m benchmarks.engines --folder /tmp/scores`` makes files of 10^6, 10^7 and 10^8 rows
(1.7 GB) and audits them by error, AUC and Brier score: 6 groups, two models. Each run is a process
of its own, with the GROUP BY before and after it. ``--engine spark`` asks Spark (local[2]);
``--by-hand`` has DuckDB alone answer parts of the audit, written in SQL.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from fairuse_router.audit import audit_sums

METRICS = ("error", "auc", "brier")
_ROWS = 1_000_000


def make(path: Path, n: int) -> None:
    """Write rows of two models' probabilities, a million at a time."""
    import pyarrow
    import pyarrow.parquet

    rng, writer = np.random.default_rng(0), None
    for start in range(0, n, _ROWS):
        k = min(_ROWS, n - start)
        a, b = rng.integers(0, 2, k).astype(np.int8), rng.integers(0, 3, k).astype(np.int8)
        z, noise = rng.normal(0, 1.2, k), rng.normal(0, 0.5, k)
        risk = z + 0.4 * a - 0.2 * b
        y = (rng.random(k) < 1 / (1 + np.exp(-risk))).astype(np.int8)
        columns = {
            "a": pyarrow.array(np.array(["F", "M"])[a]).dictionary_encode(),
            "b": pyarrow.array(np.array(["old", "mid", "young"])[b]).dictionary_encode(),
            "y": y,
            "p0": 1 / (1 + np.exp(-(z + 0.6 * noise))),
            "p1": 1 / (1 + np.exp(-(risk + 0.5 * noise))),
        }
        table = pyarrow.table(columns)
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def frame(engine: str, path: str) -> Any:
    """The file in an engine."""
    if engine == "polars":
        import polars

        return polars.scan_parquet(path)
    if engine == "spark":
        from pyspark.sql import SparkSession

        session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        return session.config("spark.driver.memory", "2g").getOrCreate().read.parquet(path)
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    return connection.read_parquet(path)


PLAIN = "SELECT a, b, count(*), avg(y), avg(p0), avg(p1) FROM '{path}' GROUP BY a, b"


def group_by(path: str, query: str = PLAIN) -> tuple[float, float]:
    """Seconds by the clock and of the processors for a query in DuckDB, the plain GROUP BY."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    clock, work = time.perf_counter(), time.process_time()
    connection.execute(query.format(path=path)).fetchall()
    return time.perf_counter() - clock, time.process_time() - work


def by_hand(path: str, bins: int) -> None:
    """What parts of the audit cost in SQL, beside the plain GROUP BY."""
    step = "(sqrt({0}) - sqrt(1 - {0}) + 1) * {1}"
    fine, one, other = (
        f"least(floor({step.format(p, k / 2)})::int, {k - 1})"
        for p, k in (("p0", bins), ("p0", 128), ("p1", 128))
    )
    off = {p: f"(({p} > 0.5)::int <> y)::int" for p in ("p0", "p1")}
    gain = "((p0 - y) * (p0 - y) - (p1 - y) * (p1 - y))"
    queries = {
        "plain GROUP BY": PLAIN,
        "levels and labels": "SELECT a, b, y, count(*) FROM '{path}' GROUP BY ALL",
        "sums of error, Brier": (
            f"SELECT a, b, y, {off['p0']} i, {off['p1']} j, count(*), sum((p0 - y) * (p0 - y)), "
            f"sum({gain}), sum({gain} * {gain}), sum({gain} * {gain} * {gain}) "
            "FROM '{path}' GROUP BY ALL"
        ),
        "128 x 128 steps": (
            f"SELECT a, b, y, {one} i, {other} j, count(*) FROM '{{path}}' GROUP BY ALL"
        ),
        f"{bins:,} steps of p0": (
            "SELECT count(*), sum(n * n) FROM (SELECT a, b, y, "
            f"{fine} k, count(*) n FROM '{{path}}' GROUP BY ALL)"
        ),
    }
    plain = 0.0
    for name, query in queries.items():
        work = min(group_by(path, query)[1] for _ in range(2))
        plain = plain or work
        print(f"{name:<26} CPU {work:7.2f} s, {work / plain:5.1f} x", flush=True)


def one(engine: str, path: str) -> None:
    """Audit one file, and print what it took as JSON."""
    before = group_by(path)
    rows = frame(engine, path)
    clock, work = time.perf_counter(), time.process_time()
    sums = audit_sums(
        rows,
        y="y",
        predictions={"generic": "p0", "own": "p1"},
        groups=["a", "b"],
        metrics=METRICS,
    )
    audit = sums.audit()
    took = time.perf_counter() - clock, time.process_time() - work
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    after = group_by(path)
    ranked = [r for r in audit.rationality if r.metric == "auc"]
    se = sums.source().compared(_metric("auc"), "own").groups.se
    found = {
        "rows": audit.n,
        "plain": [min(x) for x in zip(before, after, strict=True)],
        "audit": took,
        "peak_gb": peak,
        "bracket_of_se": float(np.max(sums.brackets()["own"] / se)),
        "gains": [round(r.gain or 0.0, 6) for r in ranked],
    }
    print(json.dumps(found))


def _metric(name: str) -> Any:
    from fairuse_router.metrics import get_metric

    return get_metric(name)


def main() -> None:
    """Make the files that are missing, and audit each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6, 1e7, 1e8])
    parser.add_argument("--engine", nargs="+", default=["duckdb", "polars"])
    parser.add_argument("--by-hand", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.engine[0], args.one)
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.by_hand:
        for rows in map(int, args.rows):
            path = args.folder / f"scores_{rows}.parquet"
            print(f"{rows:,} rows, DuckDB on two threads")
            by_hand(str(path), 1 << 20)
        return
    head = (
        "rows",
        "engine",
        "GROUP BY s (CPU)",
        "audit s (CPU)",
        "x clock",
        "x CPU",
        "GB",
        "of se",
    )
    print("{:>11} {:>7} {:>18} {:>18} {:>8} {:>6} {:>5} {:>6}".format(*head))
    for rows in map(int, args.rows):
        path = args.folder / f"scores_{rows}.parquet"
        if not path.exists():
            make(path, rows)
        for engine in args.engine:
            call = [sys.executable, "-W", "ignore", "-m", "benchmarks.engines", "--folder", "."]
            call += ["--engine", engine, "--one", str(path)]
            run = subprocess.run(call, capture_output=True, text=True, check=True)
            r = json.loads(run.stdout.strip().splitlines()[-1])
            (clock, work), (wall, cpu) = r["plain"], r["audit"]
            # Spark works in other processes, whose work and memory are not counted here
            own = engine != "spark"
            print(
                f"{r['rows']:>11,} {engine:>7} {clock:>9.2f} ({work:>6.2f}) {wall:>9.1f} "
                f"({cpu if own else float('nan'):>6.1f}) {wall / clock:>8.1f} "
                f"{cpu / work if own else float('nan'):>6.1f} {r['peak_gb']:>5.2f} "
                f"{100 * r['bracket_of_se']:>5.1f}%",
                flush=True,
            )


if __name__ == "__main__":
    main()
