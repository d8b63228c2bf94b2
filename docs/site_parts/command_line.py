"""The command line, as its parser tells it."""

import argparse
import os
from pathlib import Path

from fairuse_router.cli.parser import build_parser
from site_parts.pages import title, write_page


def write(folder: Path) -> None:
    """Write the help of the program and of every command."""
    os.environ["COLUMNS"] = "84"
    parser = build_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    lines = [".. _command-line:", "", *title("Command line"), *_block(parser)]
    for name, command in commands.choices.items():
        lines += [*title(name, "-"), *_block(command)]
    write_page(folder / "command_line.rst", lines)


def _block(parser: argparse.ArgumentParser) -> list[str]:
    return [
        ".. code-block:: none",
        "",
        *(f"   {line}" for line in parser.format_help().splitlines()),
        "",
    ]
