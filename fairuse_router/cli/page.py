"""``fairuse-router page``: a bundle as a form that runs in a browser."""

from __future__ import annotations

import argparse
from collections import Counter

from fairuse_router.bundle import Bundle
from fairuse_router.cli.console import paragraph, progress
from fairuse_router.cli.tablefile import TableFile
from fairuse_router.serving.page import write_page

_FEWEST, _MOST = 5, 50  # rows behind a text that is offered, and texts


def run(args: argparse.Namespace) -> None:
    """Write the page, and say how it is opened."""
    choices = {} if args.like is None else _choices(args.bundle, args.like)
    progress("writing the page; npm may have to fetch its runtime")
    told = {"title": args.title, "description": args.description, "choices": choices}
    written = write_page(args.bundle, args.out, texts=args.texts, runtime=args.runtime, **told)
    size = sum(path.stat().st_size for path in written) / 1e6
    print(
        paragraph(f"Wrote {args.out}: {len(written)} files, {size:.1f} MB. {how_to_open(args.out)}")
    )


def how_to_open(folder: str) -> str:
    """How a page is looked at."""
    return (
        "Any web server serves it; to look at it here: "
        f"python -m http.server --bind 127.0.0.1 --directory {folder} 8000, then open "
        "http://127.0.0.1:8000"
    )


def _choices(bundle: str, path: str) -> dict[str, list[str]]:
    """Texts of a table that are offered, by column: none that tells of few people."""
    file = TableFile(path, None, None)
    columns = file.columns()
    found = {}
    for column in Bundle.load(bundle).layout.columns:
        if column.numeric or column.name not in columns:
            continue
        counts = Counter(cell for cell in columns[column.name] if cell)
        texts = sorted(text for text, n in counts.items() if n >= _FEWEST)
        if 0 < len(texts) <= _MOST:
            found[column.name] = texts
    return found
