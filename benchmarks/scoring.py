"""Rows a second that Spark scores by a bundle: our function, mapInPandas and MLflow's.

Run ``python -m benchmarks.scoring``; ``--rows 200000`` for a quick look. Real Spark (local[2]),
heart's reference bundle, its rows repeated with one number moved a little, cached in memory. Each
way sums the probability of the second class over all rows, in turn, ``--repeat`` times after one
run that is not counted (Spark starts its workers in it); the best is printed. mapInPandas is what
one would write by hand: an iterator that opens the bundle once a partition and calls
`Bundle.predict_proba`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.outputs import write_csv
from fairuse_router.datasets import load_heart

BUNDLE = Path(__file__).parents[1] / "models" / "heart_logistic" / "heart_logistic.onnx"


def rows_of(n: int) -> pd.DataFrame:
    """N rows of the heart data, the age of each moved by less than a year."""
    X, _ = load_heart(return_X_y=True, as_frame=True)
    rng = np.random.default_rng(0)
    frame = X.iloc[rng.integers(0, len(X), n)].reset_index(drop=True)
    moved = frame.select_dtypes("number").columns[0]
    return frame.assign(**{moved: frame[moved] + rng.random(n)})


def by_our_function(frame: Any) -> float:
    """`fairuse_router.engines.spark.udf`."""
    from pyspark.sql.functions import sum as total

    from fairuse_router.engines.spark import predict

    scored = predict(BUNDLE, frame, "probability", "p")
    return float(scored.agg(total("p")).first()[0])


def by_map_in_pandas(frame: Any) -> float:
    """A function of one's own over `Bundle`."""
    from pyspark.sql.functions import sum as total

    content = BUNDLE.read_bytes()

    def score(parts: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        from fairuse_router import Bundle

        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            file.write(content)
            file.flush()
            bundle = Bundle.load(file.name)
        for part in parts:
            yield pd.DataFrame({"p": bundle.predict_proba(part)[:, 1].astype(float)})

    return float(frame.mapInPandas(score, "p double").agg(total("p")).first()[0])


def by_mlflow(frame: Any) -> float:
    """`mlflow.pyfunc.spark_udf` of the same bundle."""
    import mlflow.pyfunc
    from pyspark.sql.functions import struct
    from pyspark.sql.functions import sum as total

    from fairuse_router.engines.mlflow import save_model

    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        save_model(BUNDLE, model)
        udf = mlflow.pyfunc.spark_udf(
            frame.sparkSession,
            model,
            result_type="double",
            env_manager="local",
            params={"output": "probability"},
        )
        scored = frame.withColumn("p", udf(struct(*frame.columns)))
        return float(scored.agg(total("p")).first()[0])


WAYS: dict[str, Callable[[Any], float]] = {
    "fairuse_router.engines.spark.udf": by_our_function,
    "mapInPandas and Bundle": by_map_in_pandas,
    "mlflow.pyfunc.spark_udf": by_mlflow,
}


def main() -> None:
    """Print rows a second of every way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--csv", help="file for all lines")
    args = parser.parse_args()
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = session.config("spark.driver.memory", "3g").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.parquet")
        rows_of(args.rows).to_parquet(path)
        frame = spark.read.parquet(path).repartition(8).cache()
        frame.count()
        best, sums = dict.fromkeys(WAYS, np.inf), {}
        for turn in range(args.repeat + 1):
            for name, way in WAYS.items():
                start = time.perf_counter()
                sums[name] = way(frame)
                if turn:
                    best[name] = min(best[name], time.perf_counter() - start)
    spark.stop()
    if np.ptp(list(sums.values())) > 1e-6 * args.rows:
        raise SystemExit(f"the ways disagree: {sums}")
    print(f"{args.rows:,} rows of heart_logistic, Spark local[2], best of {args.repeat}")
    lines = [{"way": name, "rows a second": int(args.rows / s)} for name, s in best.items()]
    for line in lines:
        print(f"{line['way']:<36}{line['rows a second']:>12,}")
    write_csv(lines, args.csv)


if __name__ == "__main__":
    main()
