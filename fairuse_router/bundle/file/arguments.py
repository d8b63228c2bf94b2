"""Arguments of writing, updating and verifying bundles, refused before any work is done.

skl2onnx is imported where it is used: a process that only serves loads none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np

from fairuse_router.grids import told

NUMBERS = {"fast": "float32", "exact": "float64"}
TOLERANCES = {"fast": 1e-5, "exact": 1e-9}
SINGLE = 1e-6  # of models that compute in single precision themselves
OLDEST = 16  # of the operators: ScatterElements adds up since then
OPSETS = {"fast": {"": 18, "ai.onnx.ml": 3}, "exact": {"": 18, "ai.onnx.ml": 5}}
_ML_VERSIONS = {"fast": (3, 4), "exact": (5,)}  # exact trees need the TreeEnsemble of 5


def check_choices(precision: Any, report: Any, candidates: Any = "routed") -> None:
    """Refuse other kinds of numbers, of reports, and of what is kept."""
    _check_choice("candidates", candidates, ("routed", "all"))
    _check_choice("precision", precision, NUMBERS)
    _check_choice("report", report, ("texts", "codes"))


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse what is no count, or too small a one."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(
            f"{name}={told(value)} is not allowed: pass an integer of at least {least}."
        )


def read_tolerance(tolerance: Any, precision: str) -> float:
    """Return the tolerance: the given one, or that of the precision."""
    if tolerance is None:
        return TOLERANCES[precision]
    number = isinstance(tolerance, (int, float, np.integer, np.floating))
    if not number or isinstance(tolerance, bool) or not 0 <= tolerance < np.inf:
        raise ValueError(
            f"tolerance={told(tolerance)} is not allowed: pass a finite number of at least 0, or "
            f"None for {TOLERANCES[precision]:g}."
        )
    return float(tolerance)


def read_opsets(target_opset: int | Mapping[str, int] | None, precision: str) -> dict[str, int]:
    """Return the operator sets: those asked for, or the defaults of the precision."""
    from skl2onnx.proto import get_latest_tested_opset_version

    opsets = dict(OPSETS[precision])
    if isinstance(target_opset, Mapping):
        opsets.update(target_opset)
    elif target_opset is not None:
        opsets[""] = target_opset
    latest, allowed = get_latest_tested_opset_version(), _ML_VERSIONS[precision]
    known = set(opsets) == set(OPSETS[precision]) and opsets["ai.onnx.ml"] in allowed
    if not known or isinstance(opsets[""], bool) or opsets[""] not in range(OLDEST, latest + 1):
        raise ValueError(
            f"target_opset={told(target_opset)} is not allowed: pass an integer from {OLDEST} to "
            f"{latest}, or a dict such as {OPSETS[precision]} with ai.onnx.ml in {allowed}, as "
            f"precision={precision!r} needs."
        )
    return opsets


def _check_choice(name: str, value: Any, allowed: Iterable[str]) -> None:
    if value not in tuple(allowed):
        raise ValueError(f"{name}={value!r} is not allowed: pass one of {list(allowed)}.")
