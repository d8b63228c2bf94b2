"""Names and texts that are part of the file format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from fairuse_router.levels import level_text


def feature_text(value: Any) -> str:
    """Text of one cell of a text column: as of a group level, and ``""`` where it is missing.

    Examples
    --------
    >>> feature_text("normal"), feature_text(True), feature_text(3.0), feature_text(None)
    ('normal', 'True', '3', '')
    """
    return level_text(value) or ""


def identifiers(names: Iterable[str], taken: Sequence[str] = ()) -> list[str]:
    """Map names to distinct C identifiers, as ONNX asks of its inputs.

    Parameters
    ----------
    names : iterable of str
        Any texts.
    taken : sequence of str
        Identifiers that are in use already.

    Examples
    --------
    >>> identifiers(["age group?", "age_group_", "1st", "Größe", "label"], taken=["label"])
    ['age_group_', 'age_group__2', '_1st', 'Gr__e', 'label_2']
    """
    used, found = set(taken), []
    for name in names:
        base = re.sub(r"[^0-9A-Za-z_]", "_", name)
        base = base if re.match(r"[A-Za-z_]", base) else f"_{base}"
        unique, copies = base, 1
        while unique in used:
            copies += 1
            unique = f"{base}_{copies}"
        used.add(unique)
        found.append(unique)
    return found
