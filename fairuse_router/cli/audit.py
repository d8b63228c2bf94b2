"""``fairuse-router audit``: what a bundle's groups gain, on labelled rows."""

from __future__ import annotations

import argparse

from fairuse_router.cli.console import check_output, warnings_as_notes
from fairuse_router.cli.rows import read_rows
from fairuse_router.documents import write_whole


def run(args: argparse.Namespace) -> None:
    """Print the audit, and keep it as JSON where asked."""
    if args.out is not None:
        check_output(args.out, args.data, args.bundle)
    bundle, X, y = read_rows(args, args.target)
    with warnings_as_notes():
        audit = bundle.audit(X, y, metrics=args.metric, alpha=args.alpha)
    if args.out is not None:
        write_whole(audit.to_json(indent=1).encode(), args.out, "--out")
    print(audit)
