"""Examples of engines: not collected where one is missing, unless none may be skipped."""

import os
from importlib.util import find_spec
from shutil import which

import pytest

_ENGINES = {"dask": "dask", "mlflow": "mlflow", "spark": "pyspark"}

collect_ignore = [
    f"fairuse_router/engines/{name}.py"
    for name, package in _ENGINES.items()
    if os.environ.get("FAIRUSE_NO_SKIPS") != "1"
    and (find_spec(package) is None or (name == "spark" and which("java") is None))
]


def pytest_collection_modifyitems(items):
    """Let engines warn of what is their own, as their tests do."""
    for item in items:
        if item.nodeid.startswith("fairuse_router/engines/"):
            item.add_marker(pytest.mark.filterwarnings("ignore"))
