"""Forks: a child has its parent's sessions, but not their threads."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any

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
