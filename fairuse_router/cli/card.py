"""``fairuse-router card``: a bundle on one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairuse_router.bundle import Bundle
from fairuse_router.card import Card
from fairuse_router.cli.console import UsageError, check_output, paragraph


def run(args: argparse.Namespace) -> None:
    """Write the page; its kind is told by the file's ending."""
    if Path(args.out).suffix.lower() not in (".html", ".md", ".json"):
        raise UsageError(f"--out {args.out} must end in .html, .md or .json")
    check_output(args.out, args.bundle)
    bundle = Bundle.load(args.bundle)
    card = Card.of(bundle, title=args.title, description=args.description)
    card.save(args.out)
    print(paragraph(f"Wrote {args.out}: {card.verdict()}"))
