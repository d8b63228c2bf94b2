"""The ONNX bundle: writing one from a fitted router, and reading it back.

Serving loads no scikit-learn: what writes is imported on first use, and `file` knows none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairuse_router.bundle.reader import Bundle

if TYPE_CHECKING:
    from fairuse_router.bundle.update import update_bundle
    from fairuse_router.bundle.writer import export_bundle

__all__ = ["Bundle", "export_bundle", "update_bundle"]


def __getattr__(name: str) -> Any:
    if name == "export_bundle":
        from fairuse_router.bundle.writer import export_bundle

        return export_bundle
    if name == "update_bundle":
        from fairuse_router.bundle.update import update_bundle

        return update_bundle
    raise AttributeError(f"module 'fairuse_router.bundle' has no attribute {name!r}")
