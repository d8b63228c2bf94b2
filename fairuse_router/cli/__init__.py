"""The command line ``fairuse-router``: demo, fit, predict, inspect.

Here lives what turns files and flags into calls, and answers into lines; nothing is computed here.
Every command is imported when it is asked for, so that serving a bundle loads no scikit-learn.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

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
    try:
        importlib.import_module(f"fairuse_router.cli.{args.module}").run(args)
        sys.stdout.flush()
    except UsageError as error:
        complain(error)
        return 2
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, ImportError) as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    return 0
