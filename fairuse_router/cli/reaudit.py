"""``fairuse-router reaudit``: which routes of a bundle still hold, on labelled rows."""

from __future__ import annotations

import argparse

from fairuse_router.cli.console import warnings_as_notes
from fairuse_router.cli.rows import read_rows
from fairuse_router.grids import shown


def run(args: argparse.Namespace) -> None:
    """Print the re-audit, and how to withdraw what is violated."""
    bundle, X, y = read_rows(args, args.target)
    with warnings_as_notes():
        found = bundle.reaudit(X, y, metric=args.metric, alpha=args.alpha)
    text = str(found)
    asked = shown(f"{args.bundle} {args.data} --target {args.target}")
    print(text.replace('To withdraw: update="withdraw"', f"To withdraw: update {asked}"))
