"""Properties that are added to a bundle once it is written; readers pass over unknown ones."""

from __future__ import annotations

from typing import Any, TypeVar

from fairuse_router.bundle.file import metadata
from fairuse_router.documents import Document

READING = "reading"  # how the command line read the training table

_Kind = TypeVar("_Kind", bound=Document)


def with_property(model: bytes, key: str, value: Any) -> bytes:
    """Add one property to a bundle, and seal it anew.

    Parameters
    ----------
    model : bytes
        As `export_bundle` writes it.
    key : str
        Without the prefix.
    value : object
        As JSON holds it.
    """
    import onnx

    from fairuse_router.bundle.file.digest import BLANK, KEY, seal

    loaded = onnx.load_model_from_string(model)
    for entry in loaded.metadata_props:
        if entry.key == KEY:
            entry.value = BLANK
    loaded.metadata_props.add(key=f"{metadata.PREFIX}{key}", value=metadata.to_json(value))
    return seal(loaded.SerializeToString(deterministic=True))


def read_property(bundle: Any, key: str, kind: type[_Kind]) -> _Kind | None:
    """Read a property as a document; None if the bundle does not have it."""
    text = bundle.metadata.get(f"{metadata.PREFIX}{key}")
    return None if text is None else kind.from_json(text)
