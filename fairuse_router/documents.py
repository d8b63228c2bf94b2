"""Documents: objects as JSON holds them, read back with errors that say so; and their files.

An infinity is written as the text ``inf`` or ``-inf``; NaN is refused, None is undefined. Readers
pass over fields that they do not know, which later versions may write.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, BinaryIO, ClassVar, Self, get_args, get_origin, get_type_hints

_MALFORMED = (KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
_HALF_SIGNS = re.compile("[\ud800-\udfff]")  # surrogates, which no file of text holds
_INFINITE = {"inf": math.inf, "-inf": -math.inf}


class Shown:
    """What a notebook shows as `print` does, in place of repr, which tells every field."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        # IPython asks the class nearest to the object, whose own repr, a dataclass's, wins else
        setattr(cls, "_repr_pretty_", _as_printed)  # noqa: B010


def _as_printed(shown: Shown, printer: Any, cycle: bool) -> None:
    printer.text(str(shown))


class Written(Shown):
    """A dataclass that can be written as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it; infinities are the texts ``inf``, ``-inf``."""
        return _plain_fields(self)

    def to_json(self, indent: int | None = None) -> str:
        """Return `to_dict` as JSON with sorted keys and no NaN."""
        return write_json(self.to_dict(), indent)


class Printed(Written):
    """A dataclass that can be written as JSON, and printed line by line."""

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        raise NotImplementedError


class Document(Written):
    """A dataclass that can be written as JSON and read back."""

    _KIND: ClassVar[str] = "a document"  # with its article, for messages
    _LATER: ClassVar[frozenset[str]] = frozenset()  # fields with a default, not in older documents

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises
        ------
        ValueError
            If parts are missing or malformed; parts that are not known are passed over.
        """
        with reading("data", cls._KIND):
            return _read_fields(cls, data)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`; refuses what `from_dict` does."""
        with reading("text", cls._KIND):
            data = read_json(text)
        return cls.from_dict(data)


def write_json(data: Any, indent: int | None = None) -> str:
    """JSON text with sorted keys; infinities and NaN are refused, and halves of signs escaped."""
    text = json.dumps(data, indent=indent, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return _HALF_SIGNS.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def read_json(text: str) -> Any:
    """Inverse of `write_json`, which knows no infinities and no NaN either."""

    def refuse(constant: str) -> Any:
        raise json.JSONDecodeError(f"{constant} is no number", text, 0)

    return json.loads(text, parse_constant=refuse)


def plain(value: Any, undefined: bool = False) -> Any:
    """Return nested data as JSON can hold it.

    Parameters
    ----------
    value : object
    undefined : bool, default=False
        Whether NaN becomes None; else `write_json` refuses it.

    Examples
    --------
    >>> plain({"gains": (0.1, -math.inf)})
    {'gains': [0.1, '-inf']}
    """
    if isinstance(value, float):
        if math.isinf(value):
            return str(value)
        return None if undefined and math.isnan(value) else value
    if isinstance(value, Mapping):
        return {name: plain(v, undefined) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, undefined) for v in value]
    if isinstance(value, Written):
        return value.to_dict()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(v, undefined) for v in value]
    return _plain_fields(value, undefined) if is_dataclass(value) else value


def _plain_fields(record: Any, undefined: bool = False) -> dict[str, Any]:
    return {field.name: plain(getattr(record, field.name), undefined) for field in fields(record)}


def read(kind: Any, value: Any) -> Any:
    """Inverse of `plain`.

    Parameters
    ----------
    kind : type
        A dataclass, or what a field of one is annotated by: tuples, mappings and numbers are read,
        other values are taken as they are.
    value : object

    Examples
    --------
    >>> read(tuple[float | None, ...], [0.1, "-inf", None])
    (0.1, -inf, None)
    """
    return _reader(kind)(value)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    origin, args = get_origin(kind), get_args(kind)
    if kind is float:
        return _number
    if kind in (str, int):
        return partial(_exactly, kind)
    if isinstance(kind, type) and issubclass(kind, Document):
        return kind.from_dict
    if is_dataclass(kind):
        return partial(_read_fields, kind)
    if origin is UnionType:
        (inner,) = (_reader(arg) for arg in args if arg is not NoneType)
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        inner = _reader(args[0])
        return lambda value: tuple(inner(v) for v in _of_kind(list, value))
    if origin is Mapping:
        inner = _reader(args[1])
        return lambda value: {k: inner(v) for k, v in _of_kind(Mapping, value).items()}
    return lambda value: value


@cache
def _readers(kind: Any) -> dict[str, Callable[[Any], Any]]:
    hints = get_type_hints(kind)
    return {field.name: _reader(hints[field.name]) for field in fields(kind)}


def _read_fields(kind: Any, data: Any) -> Any:
    """Read a dataclass."""
    readers, got = _readers(kind), set(_of_kind(Mapping, data))
    if not readers.keys() - getattr(kind, "_LATER", ()) <= got:
        raise ValueError(
            f"{kind.__name__}: got fields {sorted(got)}, expected {sorted(readers)}; the file was "
            "written by another version or is damaged."
        )
    return kind(**{name: reader(data[name]) for name, reader in readers.items() if name in data})


def _of_kind(kind: Any, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")


def _exactly(kind: Any, value: Any) -> Any:
    if type(value) is kind:  # a truth is no number
        return value
    raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")


def _number(value: Any) -> float:
    if isinstance(value, str) and value not in _INFINITE:
        raise TypeError(f"{value[:20]!r} is no number")
    return _INFINITE[value] if isinstance(value, str) else float(value)


def number(value: Any) -> float | None:
    """Return a float, None for NaN."""
    value = float(value)
    return None if math.isnan(value) else value


@contextmanager
def reading(argument: str, kind: str) -> Iterator[None]:
    """Turn what reading a malformed document raises into a ValueError.

    Parameters
    ----------
    argument : str
        What the user calls the document.
    kind : str
        What it should be, with its article.

    Examples
    --------
    >>> with reading("text", "a schema"):
    ...     {}["levels"]
    Traceback (most recent call last):
    ValueError: text is not a schema as to_dict and to_json write it (KeyError: 'levels').
    """
    try:
        yield
    except (*_MALFORMED, json.JSONDecodeError) as error:
        raise ValueError(
            f"{argument} is not {kind} as to_dict and to_json write it "
            f"({type(error).__name__}: {str(error)[:200]})."
        ) from error


def check_path(path: object, name: str = "path") -> Path:
    """Return a path.

    Parameters
    ----------
    path : str or path
    name : str, default="path"
        What the user calls it, for messages.

    Raises
    ------
    TypeError
        If it is neither text nor a path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"{name} must be the path of a file, a str or an os.PathLike; got "
            f"{type(path).__name__}. Check the order of the arguments."
        )
    return Path(path)


def check_target(path: object, name: str = "path") -> Path:
    """Return the path of a file that could be written.

    Parameters
    ----------
    path : str or path
    name : str, default="path"
        What the user calls it, for messages.

    Raises
    ------
    TypeError
        If it is neither text nor a path.
    ValueError
        If it is a folder, a device or a pipe, in a folder that does not exist or cannot be written
        to, or has a name that no file can have.
    """
    target = check_path(path, name)
    told = f"{name}={str(path)!r}"
    try:
        if target.is_dir():
            raise ValueError(f"{told} is a folder; name a file in it.")
        if not target.parent.is_dir():
            raise ValueError(f"{told}: its folder does not exist. Create it first.")
        kind = _mode(target)
        if kind is not None and not stat.S_ISREG(kind):
            raise ValueError(f"{told} is a device, a pipe or a socket; name a file.")
    except OSError as error:
        raise ValueError(f"{told} is no name of a file: {error.strerror}.") from None
    if not os.access(target.parent, os.W_OK):
        raise ValueError(f"{told}: its folder cannot be written to. Name another.")
    return target


def _mode(path: Path) -> int | None:
    """Kind and rights of what a path leads to; None where it leads nowhere."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def is_one_file(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Whether two paths lead to one file, by whatever names and links."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)


def write_whole(content: bytes, path: str | os.PathLike[str], name: str = "path") -> None:
    """Write a file by `writing`."""
    with writing(path, name) as file:
        file.write(content)


@contextmanager
def writing(path: str | os.PathLike[str], name: str = "path") -> Iterator[BinaryIO]:
    """Open a file that appears whole or not at all.

    It is written under a random name beside its place, and put there when all is written. It keeps
    the rights of a file that it replaces. A link is replaced; what it leads to is left alone.

    Parameters
    ----------
    path : str or path
    name : str, default="path"
        What the user calls it, for messages.

    Raises
    ------
    TypeError, ValueError
        As `check_target`.
    OSError
        If the disk is full, say; what stood at `path` is untouched.
    """
    target = check_target(path, name)
    handle, part = _open_beside(target)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            keeps = os.name == "posix" and not target.is_symlink()  # Windows has no such rights
            if keeps and (mode := _mode(target)) is not None:
                os.chmod(part, stat.S_IMODE(mode))
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _open_beside(target: Path) -> tuple[int, Path]:
    """Make a file that nobody else has, and that leads nowhere else; the mask of rights holds."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    while True:
        part = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            return os.open(part, flags, 0o666), part
        except FileExistsError:
            continue
