"""Documents: what to_dict and to_json wrote, read back with errors that say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

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
