"""Words that the grammars of commands share."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser
from collections.abc import Callable


def new_command(commands: argparse._SubParsersAction, name: str, text: str) -> ArgumentParser:
    """Add a command, run by the module of its name."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(module=name)
    return parser


def add_bundle(parser: ArgumentParser) -> None:
    """Add the bundle that a command reads."""
    parser.add_argument("bundle", metavar="ROUTER.onnx", help="written by fairuse-router fit")


def limited(kind: type, allowed: Callable[[float], bool], what: str) -> Callable[[str], float]:
    """Return an argument type: a number within limits."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not allowed(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not allowed: give {what}")
        return value

    return parse
