"""``fairuse-router update``: withdraw routes that labelled rows show to be violated."""

from __future__ import annotations

import argparse

from fairuse_router.bundle import update_bundle
from fairuse_router.cli.console import check_output, paragraph, warnings_as_notes
from fairuse_router.cli.rows import read_rows
from fairuse_router.grids import count


def run(args: argparse.Namespace) -> None:
    """Re-audit; write the bundle anew where a route is violated, and nothing otherwise."""
    check_output(args.out, args.data)
    bundle, X, y = read_rows(args, args.target)
    with warnings_as_notes():
        found = bundle.reaudit(X, y, metric=args.metric, alpha=args.alpha)
    print(f"{found}\n")
    if not found.violated:
        print(paragraph("No route is shown to be violated: nothing was written."))
        return
    update_bundle(found.table, args.bundle, args.out)
    withdrawn = count(len(found.violated), "route")
    print(paragraph(f"Wrote {args.out}, in which {withdrawn} went back to generic."))
