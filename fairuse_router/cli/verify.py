"""``fairuse-router verify``: whether a bundle answers here as it did where it was written."""

from __future__ import annotations

import argparse

from fairuse_router.cli.console import paragraph
from fairuse_router.cli.rows import read_rows


def run(args: argparse.Namespace) -> None:
    """Print what was compared; what differs is an error."""
    bundle, X, _ = read_rows(args)
    found = bundle.verify(X)
    print(
        paragraph(
            f"{args.bundle} answers as its routing table says: {found['rows']:,} rows under each "
            f"of {found['reports']} reports, {found['checks']:,} answers; alone and in a batch "
            f"{found['label_flips']} labels differ, values by at most "
            f"{found['max_difference']:.0e}."
        )
    )
