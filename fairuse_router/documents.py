"""Documents: what to_dict and to_json wrote, read back with errors that say so."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path

_MALFORMED = (KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)


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
    except (*_MALFORMED, JSONDecodeError) as error:
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
        If it is a folder, or in a folder that does not exist.
    """
    target = check_path(path, name)
    if target.is_dir():
        raise ValueError(f"{name}={str(path)!r} is a folder; name a file in it.")
    if not target.parent.is_dir():
        raise ValueError(f"{name}={str(path)!r}: its folder does not exist. Create it first.")
    return target


def write_whole(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write a file by way of a temporary one beside it, so that a failure leaves nothing behind.

    Raises
    ------
    OSError
        If the folder is missing or cannot be written to; what stood at `path` is untouched.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o666 & ~_umask())  # as open() would have made it
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
