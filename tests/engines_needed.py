"""Engines that tests start: skipped where one is missing, unless the run says that none may be."""

import importlib.util
import os
import shutil

import pytest

REQUIRED = "FAIRUSE_NO_SKIPS"  # "1": a missing engine fails its tests
PROGRAMS = {"java", "node", "npm", "chromium"}


def need(*names):
    """Skip a test, with the reason, if a package or a program is not installed."""
    missing = [
        name for name in names if (shutil.which(name) if name in PROGRAMS else _found(name)) is None
    ]
    if missing and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{', '.join(missing)} not installed, and {REQUIRED}=1")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def _found(name):
    """Where a package is; None if it, or one that holds it, is not there."""
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
