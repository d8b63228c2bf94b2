"""The bundles that are served, by name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairuse_router.bundle import Bundle
from fairuse_router.documents import check_path
from fairuse_router.serving.tensors import DATATYPES

VERSION = "1"


@dataclass(frozen=True)
class Served:
    """One bundle under a name."""

    name: str
    bundle: Bundle

    def metadata(self) -> dict[str, Any]:
        """What the protocol tells of a model."""
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "onnxruntime_onnx",
            "inputs": [_described(entry) for entry in self.bundle.inputs],
            "outputs": [_described(entry) for entry in self.bundle.outputs],
        }


def _described(entry: dict[str, Any]) -> dict[str, Any]:
    shape = [-1 if d is None else d for d in entry["shape"]]
    return {"name": entry["name"], "datatype": DATATYPES[entry["type"]], "shape": shape}


def model_name(path: Path) -> str:
    """Name of a file as a part of an address.

    Examples
    --------
    >>> model_name(Path("models/heart router.onnx"))
    'heart_router'
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem) or "model"


def load_models(
    paths: Sequence[str | os.PathLike[str]], threads: int | None = None
) -> dict[str, Served]:
    """Open bundles: files, and folders whose files end in ``.onnx``.

    Parameters
    ----------
    paths : sequence of str or path
    threads : int, default=None
        Threads of each bundle; None leaves it to ONNX Runtime.

    Raises
    ------
    ValueError
        If there is none, one cannot be read, or two have one name.
    """
    files: list[Path] = []
    for given in map(check_path, paths):
        files += sorted(given.glob("*.onnx")) if given.is_dir() else [given]
    if not files:
        told = ", ".join(str(path) for path in paths) or "nothing"
        raise ValueError(f"there is no bundle to serve: {told} holds no file that ends in .onnx.")
    options = None if threads is None else {"intra_op_num_threads": threads}
    models: dict[str, Served] = {}
    for path in files:
        name = model_name(path)
        if name in models:
            raise ValueError(f"two bundles would be called {name!r}: rename {str(path)!r}.")
        models[name] = Served(name, Bundle.load(path, session_options=options))
    return models
