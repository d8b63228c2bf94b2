"""Files that are named rightly, and appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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
