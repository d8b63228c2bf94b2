"""What the command line says beside its results: notes, warnings and errors, on standard error."""

from __future__ import annotations

import sys
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from fairuse_router.cli.tablefile import STREAM
from fairuse_router.documents import check_target, is_one_file
from fairuse_router.grids import WIDTH, shown, wrap


class UsageError(ValueError):
    """The command was called wrongly."""


def complain(error: BaseException | str) -> None:
    """Say in one line what went wrong."""
    _say(f"fairuse-router: error: {shown(' '.join(str(error).split()))}")


def note(text: str) -> None:
    """Tell something that the user did not ask for, and should know."""
    _say("\n".join(wrap(f"note: {text}", then="      ")))


def progress(text: str, end: str = "\n") -> None:
    """Say what is being done where it may take longer than a second."""
    _say(text, end)


def _say(text: str, end: str = "\n") -> None:
    """Write to standard error; that nobody reads it must not stop the work."""
    with suppress(OSError, ValueError):
        print(text, end=end, file=sys.stderr, flush=True)


def paragraph(text: str) -> str:
    """Fold a text to the width of the terminal."""
    text = shown(text, keep="\n")
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def fold(text: str, width: int) -> list[str]:
    """Lines of a text."""
    return textwrap.wrap(shown(text), width, break_on_hyphens=False)


def listing(names: Iterable[str], most: int = 12) -> str:
    """Names in quotes, the first few of many."""
    texts = [f"'{name}'" for name in names]
    rest = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + rest


def size(bytes_: int) -> str:
    """Size of a file, for people."""
    return f"{bytes_ / 1e6:.1f} MB" if bytes_ >= 1e6 else f"{bytes_ / 1e3:.0f} kB"


def check_output(path: str, *inputs: str) -> None:
    """Refuse a file that cannot be written, or that is read; ``-`` is standard output.

    Raises
    ------
    ValueError
    """
    if path == STREAM:
        if sys.stdout is None or not hasattr(sys.stdout, "buffer"):
            raise ValueError("--out - asks for standard output, which takes no bytes here.")
        return
    check_target(path, "--out")
    for other in inputs:
        if other != STREAM and is_one_file(path, other):
            raise ValueError(f"--out={path!r} is {other!r}, which is read. Name another file.")


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Tell every distinct warning once, in a line, when the work is done."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    hidden = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    told = Counter(
        str(w.message).strip().splitlines()[0] for w in caught if not issubclass(w.category, hidden)
    )
    for text, times in told.items():
        note(text if times == 1 else f"{text} ({times} times)")
