"""Training under joblib's Dask and Spark backends gives the router of one process."""

import joblib
import numpy as np
import pandas as pd
import pytest
from engines_needed import need
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter
from fairuse_router.rows import TrainingRows


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    n = 500
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=["x", "z", "u"])
    frame["sex"] = rng.choice(["F", "M"], n)
    y = (frame.x + (frame.sex == "F") * frame.z + rng.normal(size=n) > 0).astype(int)
    return frame, y


def fitted(rows, n_jobs):
    frame, y = rows
    router = FairUseRouter(LogisticRegression(), ["sex"], cv=3, n_jobs=n_jobs, random_state=0)
    return router.fit(frame, y)


def assert_alike(router, other, frame):
    assert str(router.routing_table_) == str(other.routing_table_)
    assert router.audit_ == other.audit_
    assert np.array_equal(router.predict_proba(frame), other.predict_proba(frame))


@pytest.mark.filterwarnings("ignore")
def test_dask_trains_the_same_router(rows, dask_client):
    alone = fitted(rows, None)
    with joblib.parallel_config(backend="dask"):
        assert_alike(fitted(rows, -1), alone, rows[0])


@pytest.mark.filterwarnings("ignore")
def test_spark_trains_the_same_router(rows, spark):
    need("joblibspark")
    from joblibspark import register_spark

    register_spark()
    alone = fitted(rows, None)
    with joblib.parallel_config(backend="spark"):
        assert_alike(fitted(rows, 2), alone, rows[0])


def test_rows_tell_their_size_so_that_dask_sends_them_once():
    need("dask")
    from dask.sizeof import sizeof

    y = np.zeros(1000, dtype=int)
    rows = TrainingRows(np.zeros((1000, 5)), y, y, y, np.array([0]), 1, codes=y[:, None])
    assert sizeof(rows) >= 1000 * (5 + 4) * 8
