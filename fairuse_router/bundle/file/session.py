"""Opening a model in ONNX Runtime."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

PROVIDERS = ("CPUExecutionProvider",)


def check_options(options: Any, providers: Any) -> None:
    """Refuse options that are no dict, and providers that are no sequence."""
    if not isinstance(options, Mapping | None):
        raise TypeError(
            f"session_options={options!r} is not allowed: pass a dict, such as "
            "{'intra_op_num_threads': 1}, or None."
        )
    if isinstance(providers, str) or not isinstance(providers, Sequence):
        raise TypeError(
            f"providers={providers!r} is not allowed: pass a sequence, such as {list(PROVIDERS)}."
        )


def open_session(
    model: bytes, options: Mapping[str, Any] | None = None, providers: Sequence[str] = PROVIDERS
) -> Any:
    """Return an `onnxruntime.InferenceSession`.

    What is wrong with a model is told by the exception, and not by a log.

    Parameters
    ----------
    model : bytes
    options : dict of str to object, default=None
        Attributes of `onnxruntime.SessionOptions`, such as ``intra_op_num_threads``; a name with
        a dot is a configuration entry, such as ``"session.intra_op.allow_spinning": "0"``.
    providers : sequence of str, default=("CPUExecutionProvider",)

    Raises
    ------
    TypeError
        For options that ONNX Runtime does not have.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    for name, value in (options or {}).items():
        _set(settings, name, value)
    return onnxruntime.InferenceSession(model, settings, providers=list(providers))


def _set(settings: Any, name: str, value: Any) -> None:
    known = [n for n, v in vars(type(settings)).items() if isinstance(v, property)]
    try:
        if "." in name:
            settings.add_session_config_entry(name, str(value))
        elif name in known:
            setattr(settings, name, value)
        else:
            raise TypeError(f"it has {', '.join(sorted(known))}")
    except TypeError as error:
        raise TypeError(
            f"session_options: {name!r}={value!r} is not of onnxruntime.SessionOptions ({error})."
        ) from None


_OPEN: weakref.WeakSet[Any] = weakref.WeakSet()


def watch(owner: Any) -> None:
    """Take the ``_session`` of an owner away in every process that is forked from now on."""
    _OPEN.add(owner)


def _leave_to_parent() -> None:
    """Drop the inherited sessions, but never destroy them: that waits for threads of the parent."""
    for owner in list(_OPEN):
        if owner._session is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner._session))
            owner._session = None


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_leave_to_parent)
