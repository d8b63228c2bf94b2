"""Tensors as the Open Inference Protocol writes them: JSON, or bytes after it.

Both ways of version 2 of the protocol are read and written, the second as Triton's extension
``binary_tensor_data`` has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle import Bundle
from fairuse_router.documents import read_json, write_json

DATATYPES = {"string": "BYTES", "float32": "FP32", "float64": "FP64", "int64": "INT64"}
_NUMPY = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8"}
HEADER = "inference-header-content-length"


class BadRequest(ValueError):
    """A request that cannot be answered, in words for whoever sent it."""


@dataclass(frozen=True)
class Inference:
    """A request for inference.

    Parameters
    ----------
    feed : dict of str to ndarray
        Tensors by input, as the bundle takes them.
    rows : int
    outputs : dict of str to bool
        The outputs wanted, and whether as bytes.
    id : str or None
        What the caller calls the request.
    """

    feed: dict[str, NDArray[Any]]
    rows: int
    outputs: dict[str, bool]
    id: str | None


def read_inference(body: bytes, header: str | None, bundle: Bundle, max_rows: int) -> Inference:
    """Read a request for inference, and hold it against what the bundle takes.

    Parameters
    ----------
    body : bytes
    header : str or None
        How many of the bytes are JSON; None: all.
    bundle : Bundle
    max_rows : int

    Raises
    ------
    BadRequest
    """
    length = len(body)
    if header is not None:
        length = int(header) if header.isascii() and header.isdigit() and len(header) < 12 else -1
        if not 0 <= length <= len(body):
            raise BadRequest(f"{HEADER} is {header[:20]!r}, of a body of {len(body)} bytes")
    request = read_object(body[:length])
    blob = _Blob(body[length:])
    feed = _inputs(request.get("inputs"), bundle, blob, max_rows)
    if blob.left:
        raise BadRequest(f"{blob.left} bytes follow the tensors")
    told = request.get("id")
    if told is not None and not isinstance(told, str):
        raise BadRequest("id is no text")
    rows = {len(tensor) for tensor in feed.values()}
    if len(rows) != 1:
        raise BadRequest(f"the inputs have {sorted(rows)} rows; all must have the same number")
    return Inference(feed, rows.pop(), _wanted(request, bundle), told)


def read_object(text: bytes) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        data = read_json(text.decode())
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is no JSON ({str(error)[:80]})") from None
    if not isinstance(data, dict):
        raise BadRequest("the body is no JSON object")
    return data


class _Blob:
    """Bytes that follow the JSON, taken tensor by tensor."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def left(self) -> int:
        """Bytes that nobody has taken."""
        return len(self._content) - self._at

    def take(self, size: Any) -> bytes:
        """The next bytes."""
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= self.left:
            raise BadRequest(f"binary_data_size is {str(size)[:20]}; {self.left} bytes are left")
        start, self._at = self._at, self._at + size
        return self._content[start : self._at]


def _inputs(inputs: Any, bundle: Bundle, blob: _Blob, max_rows: int) -> dict[str, NDArray[Any]]:
    """Tensors of a request by name: exactly those that the bundle takes."""
    if not isinstance(inputs, list) or not all(isinstance(i, dict) for i in inputs):
        raise BadRequest("inputs is no list of tensors")
    expected = {entry["name"]: entry for entry in bundle.inputs}
    names = [str(entry.get("name")) for entry in inputs]
    if sorted(names) != sorted(expected):
        raise BadRequest(
            f"the inputs are {names[:20]}; the model takes {sorted(expected)}, once each"
        )
    return {
        name: _tensor(entry, expected[name], blob, max_rows)
        for name, entry in zip(names, inputs, strict=True)
    }


def _tensor(
    entry: Mapping[str, Any], expected: Mapping[str, Any], blob: _Blob, max_rows: int
) -> NDArray[Any]:
    """One tensor, of the type and the shape that the model takes."""
    name, kind, width = expected["name"], DATATYPES[expected["type"]], expected["shape"][1]
    if entry.get("datatype") != kind:
        raise BadRequest(f"{name} is {str(entry.get('datatype'))[:20]}; the model takes {kind}")
    shape = entry.get("shape")
    whole = isinstance(shape, list) and all(type(d) is int for d in shape)
    if not whole or len(shape) != 2 or shape[1] != width or not shape[0] >= 0:  # type: ignore
        raise BadRequest(f"{name} has the shape {str(shape)[:40]}; the model takes [N, {width}]")
    rows = int(shape[0])  # type: ignore[index]
    if not 1 <= rows <= max_rows:
        raise BadRequest(f"{name} has {rows:,} rows; from 1 to {max_rows:,} are allowed at once")
    parameters = entry.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None:
        return _from_bytes(blob.take(size), name, kind, (rows, width))
    return _from_json(entry.get("data"), name, kind, (rows, width))


def _from_bytes(content: bytes, name: str, kind: str, shape: tuple[int, int]) -> NDArray[Any]:
    """A tensor from bytes: numbers in order, or texts behind their lengths."""
    count = shape[0] * shape[1]
    if kind != "BYTES":
        if len(content) != count * np.dtype(_NUMPY[kind]).itemsize:
            raise BadRequest(f"{name} has {len(content)} bytes for the shape {list(shape)}")
        return np.frombuffer(content, dtype=_NUMPY[kind]).reshape(shape)
    texts: list[bytes] = []
    at = 0
    while at + 4 <= len(content) and len(texts) < count:
        end = at + 4 + int.from_bytes(content[at : at + 4], "little")
        texts.append(content[at + 4 : end])
        at = end
    if len(texts) != count or at != len(content):
        raise BadRequest(f"{name} holds other than {count} texts behind their lengths")
    try:
        values = [text.decode() for text in texts]
    except UnicodeDecodeError:
        raise BadRequest(f"{name} holds a text that is no UTF-8") from None
    return np.array(values, dtype=object).reshape(shape)


def _from_json(data: Any, name: str, kind: str, shape: tuple[int, int]) -> NDArray[Any]:
    """A tensor from a list, flat or nested; null is a missing number, or the empty text."""
    if not isinstance(data, list):
        raise BadRequest(f"{name} has neither data nor a binary_data_size")
    if data and isinstance(data[0], list):
        if len(data) != shape[0] or any(
            not isinstance(row, list) or len(row) != shape[1] for row in data
        ):
            raise BadRequest(f"{name} holds other than {shape[0]} rows of {shape[1]}")
        data = [value for row in data for value in row]
    if len(data) != shape[0] * shape[1]:
        raise BadRequest(f"{name} holds {len(data)} values for the shape {list(shape)}")
    if kind == "BYTES":
        wrong = next((v for v in data if not isinstance(v, str | None)), None)
        values = [v or "" for v in data]
    elif kind == "INT64":
        wrong = next((v for v in data if type(v) is not int or not -(2**63) <= v < 2**63), None)
        values = data
    else:
        wrong = next((v for v in data if type(v) not in (int, float, type(None))), None)
        values = [math.nan if v is None else v for v in data]
    if wrong is not None or (kind == "INT64" and None in data):
        raise BadRequest(f"{name} holds something that is no {kind}")
    try:
        array = np.array(values, dtype=object if kind == "BYTES" else _NUMPY[kind])
    except OverflowError:
        raise BadRequest(f"{name} holds a number that is too large") from None
    return array.reshape(shape)


def _wanted(request: Mapping[str, Any], bundle: Bundle) -> dict[str, bool]:
    """Outputs that are wanted, and which of them as bytes."""
    every = [entry["name"] for entry in bundle.outputs]
    parameters = request.get("parameters")
    whole = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    asked = request.get("outputs")
    if asked is None:
        return dict.fromkeys(every, whole)
    if not isinstance(asked, list) or not all(isinstance(o, dict) for o in asked):
        raise BadRequest("outputs is no list")
    found = {}
    for entry in asked:
        name, own = str(entry.get("name")), entry.get("parameters")
        if name not in every:
            raise BadRequest(f"there is no output {name[:40]!r}; the model gives {every}")
        found[name] = own.get("binary_data", whole) is True if isinstance(own, dict) else whole
    return found


def write_inference(
    name: str, version: str, request: Inference, answer: Mapping[str, NDArray[Any]]
) -> tuple[bytes, dict[str, str]]:
    """Write the answers to a request: the body, and headers of its own."""
    outputs, blobs = [], []
    for output, as_bytes in request.outputs.items():
        tensor = answer[output]
        kind = "BYTES" if tensor.dtype == object else DATATYPES[tensor.dtype.name]
        entry: dict[str, Any] = {"name": output, "datatype": kind, "shape": list(tensor.shape)}
        if as_bytes:
            blobs.append(b"".join(_to_bytes(tensor, kind)))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = tensor.ravel().tolist()
        outputs.append(entry)
    told = {} if request.id is None else {"id": request.id}
    text = write_json({"model_name": name, "model_version": version, "outputs": outputs, **told})
    head = text.encode()
    if not blobs:
        return head, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER: str(len(head))}
    return b"".join([head, *blobs]), headers


def _to_bytes(tensor: NDArray[Any], kind: str) -> Iterator[bytes]:
    """A tensor as bytes."""
    if kind != "BYTES":
        yield np.ascontiguousarray(tensor, dtype=_NUMPY[kind]).tobytes()
        return
    for value in tensor.ravel().tolist():
        text = value.encode()
        yield len(text).to_bytes(4, "little") + text
