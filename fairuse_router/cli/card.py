"""``fairuse-router card``: a bundle on one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairuse_router.bundle import Bundle
from fairuse_router.card import Card
from fairuse_router.cli.console import UsageError, check_output, paragraph


def run(args: argparse.Namespace) -> None:
    """Write the page; its kind is told by the file's ending."""
    check_page("--out", args.out, args.bundle)
    bundle = Bundle.load(args.bundle)
    card = Card.of(bundle, title=args.title, description=args.description)
    card.save(args.out)
    print(paragraph(f"Wrote {args.out}: {card.verdict()}"))


def check_page(option: str, path: str, *inputs: str) -> None:
    """Refuse a file that cannot be written, that is read, or whose ending tells no kind of page."""
    if Path(path).suffix.lower() not in (".html", ".md", ".json"):
        raise UsageError(f"{option} {path} must end in .html, .md or .json")
    check_output(path, *inputs)
