"""Foreign parts: what no bundle holds is refused before a runtime follows it.

Functions can call each other so that a small file grows without bounds when they are put in line;
tensors in other files are read from wherever the file says, and no digest covers them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_FUNCTIONS = 25  # field of ModelProto
_LOCATION = b"location"  # a tensor in another file needs this key


def refuse_foreign_parts(model: bytes) -> None:
    """Refuse a serialized model that holds functions or tensors in other files.

    Parameters
    ----------
    model : bytes

    Raises
    ------
    ValueError
        Also for what is no model.
    """
    if _FUNCTIONS in _fields(model):
        raise ValueError("it holds functions, which no bundle does")
    if _LOCATION in model and _has_external_tensors(model):
        raise ValueError("it reads tensors from other files, which no bundle does")


def _fields(message: bytes) -> set[int]:
    """Numbers of the fields of a serialized message."""
    found, place = set(), 0
    try:
        while place < len(message):
            key, place = _varint(message, place)
            found.add(key >> 3)
            kind = key & 7
            if kind == 0:
                _, place = _varint(message, place)
            elif kind == 2:
                size, place = _varint(message, place)
                place += size
            elif kind in (1, 5):
                place += 8 if kind == 1 else 4
            else:
                raise ValueError("it is no ONNX model")
    except IndexError:
        raise ValueError("it is no ONNX model, or only a part of one") from None
    return found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of variable length at a place, and the place behind it."""
    number = shift = 0
    while True:
        byte = message[place]
        number |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return number, place
        shift += 7
        if shift > 63:
            raise ValueError("it is no ONNX model")


def _has_external_tensors(model: bytes) -> bool:
    import onnx

    try:
        loaded = onnx.load_model_from_string(model)
    except Exception as error:  # protobuf has no one exception for this
        raise ValueError("it is no ONNX model") from error
    return any(t.data_location or t.external_data for t in _tensors(loaded.graph))


def _tensors(graph: Any) -> Iterator[Any]:
    """All tensors of a graph, and of the graphs inside its nodes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in (attribute.g, *attribute.graphs):
                if inner.ByteSize():
                    yield from _tensors(inner)
