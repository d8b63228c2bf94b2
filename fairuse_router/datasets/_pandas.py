"""Import pandas only where someone asks for a frame."""

from __future__ import annotations

from types import ModuleType


def require_pandas(wanted_by: str) -> ModuleType:
    """Return pandas, or say which extra brings it."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"{wanted_by} needs pandas, which is not installed. Install it with "
            'pip install "fairuse-router[cli]", or use the array form.'
        ) from error
    return pandas
