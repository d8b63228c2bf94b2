"""A JSON schema of a bundle's metadata, from the form that readers hold files to."""

import json
from pathlib import Path
from typing import Any

from fairuse_router.bundle.file.claims import FORMS
from fairuse_router.bundle.file.metadata import FORMAT_VERSION, KEYS, PREFIX, READABLE

TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", dict: "object"}


def schema_of(form: Any) -> dict[str, Any]:
    """Return the JSON schema of a form, as `fairuse_router.bundle.file.claims` writes forms."""
    if form is None:
        return {"type": "null"}
    if isinstance(form, tuple):
        return {"anyOf": [schema_of(one) for one in form]}
    if isinstance(form, list):
        return {"type": "array", "items": schema_of(form[0])}
    if isinstance(form, dict):
        if str in form:
            return {"type": "object", "additionalProperties": schema_of(form[str])}
        inner = {name.removesuffix("?"): schema_of(one) for name, one in form.items()}
        needed = [name for name in form if not name.endswith("?")]
        return {"type": "object", "properties": inner, "required": needed}
    return {"type": TYPES[form]}


def metadata_schema() -> dict[str, Any]:
    """Return the schema of all metadata of a bundle: parsed JSON by key, without the prefix."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Metadata of a bundle, format versions 1 to {FORMAT_VERSION}",
        "description": f"The values of metadata_props under {PREFIX}*, each parsed as JSON.",
        "type": "object",
        "properties": {
            "format_version": {"enum": [*READABLE]},
            "sha256": {"type": "string"},
            "reading": {"type": "object"},
            **{key: schema_of(form) for key, form in FORMS.items()},
        },
        "required": ["format_version", *KEYS],
    }


def write(folder: Path) -> None:
    """Write the schema as a file to download and to show."""
    text = json.dumps(metadata_schema(), indent=2) + "\n"
    (folder / "bundle.schema.json").write_text(text, encoding="utf-8")
