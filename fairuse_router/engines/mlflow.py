"""Keep bundles in MLflow: a pyfunc that is the file and its signature, without a pickle."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fairuse_router.bundle import Bundle
from fairuse_router.documents import write_whole
from fairuse_router.engines.opened import Scorer, columns_of

__all__ = ["load_model", "log_model", "save_model"]

_FILE = "router.onnx"
_TYPES = {"int64": "long", "bool": "boolean", "float64": "double", "str": "string"}
_REQUIREMENTS = ("fairuse-router", "pandas")


def save_model(bundle: Bundle | str | os.PathLike[str], path: str, **more: Any) -> None:
    """Write a bundle as an MLflow model into a folder.

    Parameters
    ----------
    bundle : Bundle, str or path
    path : str
        A folder that does not exist.
    **more
        For `mlflow.pyfunc.save_model`, such as ``metadata``.

    Raises
    ------
    ValueError
        If the router was trained on an array, whose columns have no names.

    Examples
    --------
    >>> import mlflow.pyfunc
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/router.onnx", X)
    ...     save_model(f"{folder}/router.onnx", f"{folder}/model")
    ...     labels = mlflow.pyfunc.load_model(f"{folder}/model").predict(X)
    >>> list(labels) == router.predict(X).tolist()
    True
    """
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(path=path, **_settings(bundle, folder), **more)


def log_model(bundle: Bundle | str | os.PathLike[str], name: str, **more: Any) -> Any:
    """Log a bundle as an MLflow model of the active run.

    Parameters
    ----------
    bundle : Bundle, str or path
    name : str
    **more
        For `mlflow.pyfunc.log_model`, such as ``registered_model_name``.

    Returns
    -------
    mlflow.models.model.ModelInfo
        ``mlflow.pyfunc.load_model(info.model_uri)`` predicts labels (or numbers), and
        ``predict(frame, params={"output": "probability"})`` what else the bundle says;
        ``mlflow.pyfunc.spark_udf`` works. `fairuse_router.engines.spark.udf` is faster
        (`benchmarks.scoring`).

    Raises
    ------
    ValueError
        If the router was trained on an array, whose columns have no names.

    Examples
    --------
    >>> import mlflow
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mlflow.set_tracking_uri(f"sqlite:///{folder}/runs.db")
    ...     experiment = mlflow.create_experiment("heart", artifact_location=f"{folder}/artifacts")
    ...     certificate = export_bundle(router, f"{folder}/router.onnx", X)
    ...     with mlflow.start_run(experiment_id=experiment):
    ...         info = log_model(f"{folder}/router.onnx", "router")
    ...     bundle = load_model(info.model_uri)
    >>> bundle.routing_table == router.routing_table_
    True
    """
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as folder:
        return mlflow.pyfunc.log_model(name=name, **_settings(bundle, folder), **more)


def load_model(uri: str) -> Bundle:
    """Return the bundle itself of a logged or saved model, with its routing table and audit.

    Parameters
    ----------
    uri : str
        As of `mlflow.pyfunc.load_model`.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/router.onnx", X)
    ...     save_model(f"{folder}/router.onnx", f"{folder}/model")
    ...     bundle = load_model(f"{folder}/model")
    >>> bundle.routing_table == router.routing_table_
    True
    """
    import mlflow.artifacts

    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    return Bundle.load(folder / "data" / _FILE)


def _settings(bundle: Bundle | str | os.PathLike[str], folder: str) -> dict[str, Any]:
    """What MLflow is told: the file, who loads it, and what goes in and out."""
    opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    data = Path(folder) / _FILE
    write_whole(opened.__getstate__()["model"], data)
    return {
        "loader_module": __name__,
        "data_path": str(data),
        "signature": _signature(opened),
        "pip_requirements": list(_REQUIREMENTS),
    }


def _signature(bundle: Bundle) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    groups = set(bundle.schema.attributes)
    numbers = {column.name for column in bundle.layout.columns if column.numeric}
    used = {column.name for column in bundle.layout.columns}
    inputs: list[Any] = [
        ColSpec("double" if name in numbers else "string", name, required=name in used)
        for name in columns_of(bundle)
        if name in used | groups
    ]
    output = "label" if bundle.classes_ is not None else "prediction"
    kind = _TYPES[Scorer(bundle, output).kind]
    params = ParamSchema([ParamSpec("output", "string", output)])
    return ModelSignature(Schema(inputs), Schema([ColSpec(kind, output)]), params)


class _Served:
    """What MLflow calls."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def predict(self, X: Any, params: dict[str, Any] | None = None) -> np.ndarray:
        output = "label" if self._bundle.classes_ is not None else "prediction"
        return Scorer(self._bundle, (params or {}).get("output", output))(X)


def _load_pyfunc(path: str) -> _Served:
    """Open a bundle, as MLflow asks the module that its model names."""
    return _Served(Bundle.load(path))
