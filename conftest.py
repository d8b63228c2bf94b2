"""What holds for all tests: one thread each, and engines' examples where the engines are."""

import os
from importlib.util import find_spec
from shutil import which

import pytest

# workers side by side, whose OpenMP threads spin while they wait for each other, come to a stop
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
