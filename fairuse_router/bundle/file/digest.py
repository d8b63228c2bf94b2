"""The digest that a bundle carries of itself, so that damage is found before anything is run.

It guards against truncation, flipped bits and later edits, all of which void the certificate; it
is no signature.
"""

from __future__ import annotations

import hashlib
import re

KEY = "fairuse_router.sha256"
BLANK = "0" * 64
_PLACE = re.compile(re.escape(KEY).encode() + rb"\x12\x40([0-9a-f]{64})")  # key, tag, length, text


def seal(model: bytes) -> bytes:
    """Fill in the digest of a serialized model that holds the key with `BLANK`.

    Raises
    ------
    ValueError
        If it does not hold exactly one.
    """
    places = list(_PLACE.finditer(model))
    if len(places) != 1 or places[0][1] != BLANK.encode():
        raise ValueError("the model has no place for its digest")
    start, end = places[0].span(1)
    return model[:start] + hashlib.sha256(model).hexdigest().encode() + model[end:]


def is_intact(model: bytes) -> bool | None:
    """Whether a model is as it was written; None if it carries no digest, or several."""
    places = list(_PLACE.finditer(model))
    if len(places) != 1:
        return None
    place = places[0]
    start, end = place.span(1)
    blank = model[:start] + BLANK.encode() + model[end:]
    return hashlib.sha256(blank).hexdigest().encode() == place[1]
