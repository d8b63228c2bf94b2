"""The command line ``fairuse-router``: fit and demo; all else needs a bundle alone.

Here lives what turns files and flags into calls, and answers into lines; nothing is computed here.
Every command is imported when it is asked for, so that serving a bundle loads no scikit-learn.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from fairuse_router.cli.console import UsageError, complain
from fairuse_router.cli.parser import build_parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments without the program's name; None: those of the process.

    Returns
    -------
    int
        0 done; 1 a file, a column or a value cannot be used; 2 the command was misspelt;
        130 interrupted.

    Examples
    --------
    >>> main(["--version"])
    fairuse-router ...
    0
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed its help or its complaint
        return int(stop.code or 0)
    if args.module != "predict":  # whose output is data
        _show_what_cannot_be_written()
    try:
        return _run(args)
    finally:
        _let_go()


def _run(args: argparse.Namespace) -> int:
    try:
        importlib.import_module(f"fairuse_router.cli.{args.module}").run(args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except UsageError as error:
        complain(error)
        return 2
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        return 1
    except UnicodeEncodeError as error:
        complain(
            f"standard output is {error.encoding} and cannot hold "
            f"{error.object[error.start : error.end]!a}; write to a file by --out, or set "
            "PYTHONIOENCODING=utf-8"
        )
        return 1
    except (ValueError, TypeError, OSError, ImportError) as error:
        nameless = isinstance(error, OSError) and error.filename is None
        told = getattr(error, "strerror", None) if nameless else None
        complain(f"standard output: {told}" if told else error)
        return 1
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    return 0


def _show_what_cannot_be_written() -> None:
    """Show letters that the terminal does not have by their numbers, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _let_go() -> None:
    """Drop what standard output does not take, which Python would complain of at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # there may be no file behind it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
