"""``fairuse-router audit``: what groups gain, on labelled rows of a bundle or of any models."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairuse_router.card import Card
from fairuse_router.cli.card import check_page
from fairuse_router.cli.console import UsageError, check_output, warnings_as_notes
from fairuse_router.cli.rows import read_rows
from fairuse_router.cli.scores import audit_scores
from fairuse_router.documents import write_whole


def run(args: argparse.Namespace) -> None:
    """Print the audit, and keep it as JSON where asked."""
    if args.predictions or Path(args.bundle).suffix == ".json":
        audit_scores(args)
        return
    if len(args.data) != 1 or args.target is None:
        raise UsageError(
            "to audit a bundle give it, one table and --target; to audit a table of predictions "
            "give --predictions, too"
        )
    (args.data,) = args.data
    if args.out is not None:
        check_output(args.out, args.data, args.bundle)
    if args.card is not None:
        check_page("--card", args.card, args.data, args.bundle)
    bundle, X, y = read_rows(args, args.target)
    with warnings_as_notes():
        audit = bundle.audit(X, y, metrics=args.metric, alpha=args.alpha)
    if args.out is not None:
        write_whole(audit.to_json(indent=1).encode(), args.out, "--out")
    if args.card is not None:
        title = "FairUseRouter" if args.title is None else args.title
        Card.of(bundle, audit, title=title, description=args.description).save(args.card)
    print(audit)
