"""Serving: a server that speaks the Open Inference Protocol, and a page for whoever is asked.

Here lives what puts bundles before programs and people. Nothing is predicted here: the files are
asked. Each part is imported when it is used, as each has libraries of its own (the extras ``serve``
and ``page``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairuse_router.serving.app import make_app
    from fairuse_router.serving.manifest import export_serving
    from fairuse_router.serving.page import write_page
    from fairuse_router.serving.run import serve

_HOMES = {
    "export_serving": "manifest",
    "make_app": "app",
    "serve": "run",
    "write_page": "page",
}

__all__ = ["export_serving", "make_app", "serve", "write_page"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"fairuse_router.serving.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'fairuse_router.serving' has no attribute {name!r}")
