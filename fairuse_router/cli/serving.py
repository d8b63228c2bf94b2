"""The grammar of what puts bundles before programs and people."""

from __future__ import annotations

import argparse

from fairuse_router.cli.grammar import add_bundle, limited, new_command

_port = limited(int, lambda v: 0 <= v < 65536, "a port from 0 to 65535; 0 takes a free one")
_rows = limited(int, lambda v: v >= 1, "a whole number of at least 1")
_cell = limited(int, lambda v: v >= 0, "a whole number of at least 0")
_more = limited(float, lambda v: 0 < v < 1e6, "a number above 0")


def add_serving(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    _add_serve(commands)
    _add_export(commands)
    _add_page(commands)


def _add_serve(commands: argparse._SubParsersAction) -> None:
    parser = new_command(
        commands, "serve", "serve bundles by the Open Inference Protocol over HTTP"
    )
    parser.add_argument(
        "bundles", nargs="+", metavar="ROUTER.onnx", help="files, or folders of them"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=8080, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--max-rows", type=_rows, default=10_000, metavar="N", help="of a request (%(default)s)"
    )
    parser.add_argument(
        "--max-mb", type=_more, default=16, metavar="MB", help="of a request (%(default)s)"
    )
    parser.add_argument(
        "--timeout",
        type=_more,
        default=10,
        metavar="SECONDS",
        help="to send a request in, and to stop in (%(default)s)",
    )
    parser.add_argument(
        "--min-cell",
        type=_cell,
        default=5,
        metavar="N",
        help="counters of rows grow in steps of this (%(default)s)",
    )
    parser.add_argument(
        "--threads", type=_rows, default=None, metavar="N", help="of each bundle (all cores)"
    )
    parser.add_argument("--quiet", action="store_true", help="no access log")


def _add_export(commands: argparse._SubParsersAction) -> None:
    text = "lay a bundle out for Triton and KServe"
    parser = new_command(commands, "export-serving", text)
    parser.set_defaults(module="export_serving")
    add_bundle(parser)
    parser.add_argument("--out", default="models", metavar="FOLDER", help="(%(default)s)")
    parser.add_argument("--name", default=None, metavar="NAME", help="of the model (the file's)")
    parser.add_argument(
        "--storage-uri",
        default="pvc://models",
        metavar="URI",
        help="where KServe finds the folder (%(default)s)",
    )


def _add_page(commands: argparse._SubParsersAction) -> None:
    text = "write a page that asks only what helps, and computes on the device of whoever is asked"
    parser = new_command(commands, "page", text)
    add_bundle(parser)
    parser.add_argument("--out", default="form", metavar="FOLDER", help="(%(default)s)")
    parser.add_argument("--title", default="Your prediction", metavar="TEXT", help="(%(default)s)")
    parser.add_argument("--description", default="", metavar="TEXT", help="below the title")
    parser.add_argument(
        "--like",
        default=None,
        metavar="DATA",
        help="table whose texts are offered as choices, those of five rows and more",
    )
    parser.add_argument(
        "--texts", default=None, metavar="JSON", help="texts, to translate the page"
    )
    parser.add_argument(
        "--runtime",
        default=None,
        metavar="FOLDER",
        help="where npm's onnxruntime-web is (npm fetches it)",
    )
