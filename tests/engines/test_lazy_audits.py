"""Lazy frames of every engine give the audit of the same rows in memory."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from engines_needed import need

from fairuse_router.audit import audit_predictions, audit_sums

METRICS = ("error", "brier", "log_loss", "auc")
NAMES = {"generic": "p0", "own": "p1", "said": "label"}
ENGINES = ("polars", "duckdb", "dask", "spark", "pandas", "pyarrow")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    n = 3000
    z = rng.normal(size=n)
    y = rng.random(n) < 1 / (1 + np.exp(-z))
    return pd.DataFrame(
        {
            "sex": rng.choice(["F", "M", "?", None], n, p=[0.5, 0.44, 0.03, 0.03]),
            "age": rng.choice([1, 2, 10], n),
            "y": np.where(y, "yes", "no"),
            "p0": 1 / (1 + np.exp(-z - rng.normal(size=n))),
            "p1": 1 / (1 + np.exp(-z - rng.normal(0, 0.5, n))),
            "label": rng.choice(["no", "yes"], n),
            "w": rng.choice([0.0, 1.0, 2.5], n),
            "who": [f"person {i}" for i in rng.integers(0, 600, n)],
        }
    ).astype({"sex": object, "y": object, "label": object, "who": object})


@pytest.fixture(params=ENGINES)
def lazy(request, frame, tmp_path):
    """The same rows in an engine, from Parquet."""
    need("pyarrow")
    path = str(tmp_path / "scores.parquet")
    pl.from_pandas(frame).write_parquet(path, row_group_size=500)
    if request.param == "polars":
        return pl.scan_parquet(path)
    if request.param == "pandas":
        return frame
    if request.param == "pyarrow":
        return pl.read_parquet(path).to_arrow()
    if request.param == "duckdb":
        need("duckdb")
        import duckdb

        return duckdb.sql(f"SELECT * FROM '{path}'")
    if request.param == "dask":
        request.getfixturevalue("dask_client")
        import dask.dataframe as dd

        return dd.from_pandas(frame, npartitions=3)
    return request.getfixturevalue("spark").read.parquet(path).repartition(3)


def wanted(frame, weight=None, clusters=None, metrics=("error", "brier", "log_loss")):
    names = {k: v for k, v in NAMES.items() if metrics == ("error",) or k != "said"}
    return audit_predictions(
        frame.y,
        {name: frame[column] for name, column in names.items()},
        frame[["sex", "age"]],
        None if weight is None else frame[weight],
        clusters=None if clusters is None else frame[clusters],
        metrics=metrics,
    )


def assert_near(found, exact):
    assert (found.groups, found.n, found.n_partial) == (exact.groups, exact.n, exact.n_partial)
    for kind in ("risks", "overall", "rationality"):
        for ours, theirs in zip(getattr(found, kind), getattr(exact, kind), strict=True):
            for name in ours.__dataclass_fields__:
                a, b = getattr(ours, name), getattr(theirs, name)
                if isinstance(a, float):
                    assert a == pytest.approx(b, rel=1e-9, abs=1e-9), (ours, theirs)
                elif name != "rows_needed":
                    assert a == b


def test_every_engine_gives_the_audit_of_the_rows(lazy, frame):
    given = {"y": "y", "predictions": NAMES, "groups": ["sex", "age"]}
    assert_near(audit_sums(lazy, **given).audit(), wanted(frame, metrics=("error",)))
    given["predictions"] = {k: v for k, v in NAMES.items() if k != "said"}
    found = audit_predictions(
        given["y"], given["predictions"], given["groups"], metrics=METRICS, frame=lazy
    )
    exact = wanted(frame, metrics=METRICS)
    for ours, theirs in zip(found.rationality, exact.rationality, strict=True):
        assert ours.verdict == theirs.verdict
        assert ours.gain == pytest.approx(theirs.gain, abs=1e-4 if ours.metric == "auc" else 1e-9)
    weighted = audit_sums(
        lazy, sample_weight="w", clusters="who", metrics=("error", "brier", "log_loss"), **given
    )
    assert_near(weighted.audit(), wanted(frame, "w", "who"))


def test_what_a_worker_refuses_is_told_as_in_memory(lazy):
    with pytest.raises(ValueError, match="'own' are missing, or none of the classes"):
        audit_sums(lazy, y="y", predictions={"generic": "p0", "own": "who"}, groups="age")
