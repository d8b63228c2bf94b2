"""What other servers want beside a bundle: Triton's ``config.pbtxt``, and a manifest of KServe."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fairuse_router.bundle import Bundle
from fairuse_router.documents import check_path, write_json, write_whole
from fairuse_router.serving.models import VERSION, model_name

_TRITON = {"string": "STRING", "float32": "FP32", "float64": "FP64", "int64": "INT64"}


def export_serving(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    storage_uri: str = "pvc://models",
) -> list[Path]:
    """Lay a bundle out as a model repository of Triton, with a manifest of KServe beside it.

    Parameters
    ----------
    source : str or path
        The bundle.
    folder : str or path
        The repository; it is made if it is not there.
    name : str, default=None
        Of the model; None: that of the file.
    storage_uri : str, default="pvc://models"
        Where KServe finds the repository.

    Returns
    -------
    list of Path
        ``NAME/config.pbtxt``, ``NAME/1/model.onnx`` and ``NAME.kserve.json``, as written.

    Raises
    ------
    ValueError
        If the bundle cannot be read, or the name is no part of an address.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/heart.onnx", X)
    ...     written = export_serving(f"{folder}/heart.onnx", f"{folder}/repository")
    >>> [path.name for path in written]
    ['config.pbtxt', 'model.onnx', 'heart.kserve.json']
    """
    source = check_path(source, "source")
    bundle = Bundle.load(source)
    name = model_name(source) if name is None else name
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name.startswith("."):
        raise ValueError(f"name={name!r} is not allowed: use letters, digits, _, - and dots.")
    home = check_path(folder, "folder") / name
    (home / VERSION).mkdir(parents=True, exist_ok=True)
    contents = {
        home / "config.pbtxt": triton_config(bundle, name).encode(),
        home / VERSION / "model.onnx": source.read_bytes(),
        home.parent / f"{name}.kserve.json": write_json(
            kserve_manifest(name, storage_uri), indent=2
        ).encode(),
    }
    for path, content in contents.items():
        write_whole(content, path)
    return list(contents)


def triton_config(bundle: Bundle, name: str) -> str:
    """Return the ``config.pbtxt`` of a bundle; the first dimension is the rows."""
    return "\n".join(_config(bundle, name)) + "\n"


def _config(bundle: Bundle, name: str) -> Iterator[str]:
    yield f'name: "{name}"'
    yield 'backend: "onnxruntime"'
    yield "max_batch_size: 0"
    for kind, entries in (("input", bundle.inputs), ("output", bundle.outputs)):
        for entry in entries:
            dims = ", ".join("-1" if d is None else str(d) for d in entry["shape"])
            yield (
                f'{kind} {{ name: "{entry["name"]}" data_type: TYPE_{_TRITON[entry["type"]]} '
                f"dims: [ {dims} ] }}"
            )
    yield "instance_group { kind: KIND_CPU }"


def kserve_manifest(name: str, storage_uri: str) -> dict[str, Any]:
    """Return an InferenceService that serves the repository; JSON is YAML."""
    label = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:63].strip("-") or "model"
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": label},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "onnx"},
                    "protocolVersion": "v2",
                    "runtime": "kserve-tritonserver",
                    "storageUri": storage_uri,
                }
            }
        },
    }
