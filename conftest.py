"""What holds for all tests: one thread each, and examples of extras where those are."""

import os
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

# workers side by side, whose OpenMP threads spin while they wait for each other, come to a stop
os.environ.setdefault("OMP_NUM_THREADS", "1")

_ROOT = Path(__file__).parent
_NEEDS = {
    "engines/dask.py": find_spec("dask"),
    "engines/mlflow.py": find_spec("mlflow"),
    "engines/spark.py": find_spec("pyspark") and which("java"),
    "serving/page.py": find_spec("jinja2")
    and (_ROOT / "tests/clients/browser/node_modules").is_dir(),
}
collect_ignore = [
    f"fairuse_router/{module}"
    for module, found in _NEEDS.items()
    if not found and os.environ.get("FAIRUSE_NO_SKIPS") != "1"
]


def pytest_collection_modifyitems(items):
    """Let engines warn of what is their own; serve before browsers, which keep an event loop."""
    items.sort(key=lambda item: not item.nodeid.startswith("fairuse_router/serving/run"))
    for item in items:
        if item.nodeid.startswith("fairuse_router/engines/"):
            item.add_marker(pytest.mark.filterwarnings("ignore"))
