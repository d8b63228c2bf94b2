"""Bundles that score on Spark, on Dask and in MLflow answer as they do here."""

import pickle

import numpy as np
import pandas as pd
import pytest
from engines_needed import need
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.engines.opened import Scorer

GROUPS = ["sex", "age"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=["x", "z", "u"])
    frame["sex"] = pd.Series(rng.choice(["F", "M"], n), dtype=object)
    frame["age"] = pd.Series(rng.choice(["old", "young"], n), dtype=object)
    frame["y"] = np.where(frame.x + (frame.sex == "F") * frame.z + rng.normal(size=n) > 0, "b", "a")
    return frame


@pytest.fixture(scope="module")
def path(rows, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("bundle") / "router.onnx")
    router = FairUseRouter(LogisticRegression(), GROUPS, cv=3).fit(
        rows[["x", "z", "u", *GROUPS]], rows.y
    )
    export_bundle(router, path, rows[["x", "z", "u", *GROUPS]])
    return path


def test_a_scorer_opens_its_bundle_once_and_travels_as_bytes(rows, path):
    scorer = pickle.loads(pickle.dumps(Scorer(path, "probability")))
    bundle = Bundle.load(path)
    X = rows[["x", "z", "u", *GROUPS]]
    assert np.array_equal(scorer(X), bundle.predict_proba(X)[:, 1].astype(float))
    shuffled = rows[["y", "age", "u", "sex", "z", "x"]]
    assert np.array_equal(scorer(shuffled), scorer(X))
    assert np.array_equal(Scorer(path)(X.drop(columns="sex")), bundle.predict(X.assign(sex="?")))
    with pytest.raises(ValueError, match="output='scores' is not allowed: this bundle has label"):
        Scorer(path, "scores")


def test_a_bundle_of_an_array_has_no_names_to_be_found_by(rows, tmp_path):
    X = rows[["x", "z", "sex"]].to_numpy(object)
    router = FairUseRouter(LogisticRegression(), [2], cv=3).fit(X, rows.y)
    export_bundle(router, tmp_path / "r.onnx", X)
    with pytest.raises(ValueError, match="trained on an array"):
        Scorer(tmp_path / "r.onnx")


@pytest.mark.parametrize("output", ["label", "probability", "probabilities", "route"])
def test_spark_scores_as_the_bundle_does(rows, path, spark, output):
    from pyspark.sql.functions import struct

    from fairuse_router.engines.spark import predict, udf

    frame = spark.createDataFrame(rows).repartition(3)
    found = frame.withColumn("found", udf(path, output)(struct(*frame.columns))).toPandas()
    X = found[["x", "z", "u", *GROUPS]].astype(dict.fromkeys(GROUPS, object))
    expected = Scorer(path, output)(X)
    assert np.array_equal(np.stack(found["found"].to_list()), expected)
    if output == "label":
        assert (
            predict(path, frame, name="said").toPandas()["said"].tolist() == found["found"].tolist()
        )


@pytest.mark.parametrize("output", ["label", "probability", "route"])
def test_dask_scores_as_the_bundle_does(rows, path, dask_client, output):
    import dask.dataframe as dd

    from fairuse_router.engines.dask import predict

    found = predict(path, dd.from_pandas(rows, npartitions=3), output)
    expected = Scorer(path, output)(rows)
    assert found.dtype == (object if output == "label" else expected.dtype)
    assert found.compute().tolist() == expected.tolist()
    with pytest.raises(ValueError, match="no one column"):
        predict(path, dd.from_pandas(rows, npartitions=1), "probabilities")


@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_the_bundle_and_its_signature(rows, path, tmp_path, monkeypatch):
    need("mlflow")
    import mlflow

    from fairuse_router.engines.mlflow import load_model, log_model, save_model

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("bundles", artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment("bundles")
    with mlflow.start_run():
        info = log_model(path, "router")
    served = mlflow.pyfunc.load_model(info.model_uri)
    X = rows[["x", "z", "u", *GROUPS]]
    assert served.predict(X).tolist() == Bundle.load(path).predict(X).tolist()
    p = served.predict(X, params={"output": "probability"})
    assert np.array_equal(p, Scorer(path, "probability")(X))
    assert served.metadata.signature.inputs.input_names() == ["x", "z", "u", *GROUPS]
    assert served.metadata.signature.outputs.input_names() == ["label"]
    assert load_model(info.model_uri).routing_table == Bundle.load(path).routing_table
    with pytest.raises(mlflow.MlflowException):
        served.predict(X.drop(columns="x"))
    save_model(path, str(tmp_path / "saved"))
    assert not list((tmp_path / "saved").rglob("*.pkl"))


@pytest.mark.filterwarnings("ignore")
def test_mlflows_own_udf_works(rows, path, tmp_path, spark):
    need("mlflow")
    import mlflow
    from pyspark.sql.functions import struct

    from fairuse_router.engines.mlflow import save_model

    save_model(path, str(tmp_path / "saved"))
    score = mlflow.pyfunc.spark_udf(spark, str(tmp_path / "saved"), result_type="string")
    frame = spark.createDataFrame(rows[["x", "z", "u", *GROUPS]])
    found = frame.withColumn("found", score(struct(*frame.columns))).toPandas()
    assert found["found"].tolist() == Scorer(path)(rows).tolist()


@pytest.mark.parametrize("kind", ["classes", "numbers", "honest", "recalibrated"])
def test_skops_round_trips_a_router_by_the_types_that_are_listed(rows, kind):
    need("skops")
    import skops.io

    from fairuse_router.engines.skops import TRUSTED

    X = rows[["x", "z", "u", *GROUPS]]
    if kind == "numbers":
        router = FairUseRouter(Ridge(), GROUPS, cv=3, metric="squared_error").fit(
            X, rows.x + rows.z
        )
    elif kind == "recalibrated":
        settings = {"policy": "best", "metric": "brier", "recalibrate": True, "cv": 3}
        router = FairUseRouter(GaussianNB(), GROUPS, **settings).fit(X, rows.y)
    else:
        model = make_pipeline(StandardScaler(), LogisticRegression())
        more = {"n_resamples": 20} if kind == "honest" else {}
        router = FairUseRouter(model, GROUPS, cv=3, **more).fit(X, rows.y)
    written = skops.io.dumps(router)
    assert set(skops.io.get_untrusted_types(data=written)) <= set(TRUSTED)
    read = skops.io.loads(written, trusted=list(TRUSTED))
    assert read.predict(X).tolist() == router.predict(X).tolist()
    assert read.audit_ == router.audit_
    assert str(read.routing_table_) == str(router.routing_table_)


def test_the_types_that_are_listed_exist():
    import importlib

    from fairuse_router.engines.skops import TRUSTED

    for name in TRUSTED:
        module, _, kind = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), kind), type)
