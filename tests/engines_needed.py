"""Engines that tests start: skipped where one is missing, unless the run says that none may be."""

import importlib.util
import os
import shutil

import pytest

REQUIRED = "FAIRUSE_ROUTER_ENGINES"  # "required": a missing engine fails its tests


def need(*names):
    """Skip a test, with the reason, if a package (or the program java) is not installed."""
    missing = [
        name
        for name in names
        if (shutil.which(name) if name == "java" else importlib.util.find_spec(name)) is None
    ]
    if missing and os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{', '.join(missing)} not installed, and {REQUIRED}=required")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
