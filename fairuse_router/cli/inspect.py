"""``fairuse-router inspect``: what a bundle says of itself."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairuse_router.bundle import Bundle
from fairuse_router.bundle.certified import certified
from fairuse_router.bundle.file.properties import READING, read_property
from fairuse_router.cli.cells import Reading
from fairuse_router.cli.console import listing, paragraph, size
from fairuse_router.documents import write_json
from fairuse_router.grids import count
from fairuse_router.routing.records import Route


def run(args: argparse.Namespace) -> None:
    """Print it, from the file alone."""
    bundle = Bundle.load(args.bundle)
    audit = bundle.held_out_ or bundle.audit_
    texts = [_summary(bundle, args.bundle), str(bundle.routing_table)]
    texts += [] if audit is None else [str(audit)]
    print("\n\n".join([*texts, _tensors(bundle), _origin(bundle)]))


def _summary(bundle: Bundle, path: str) -> str:
    labels = None if bundle.classes_ is None else bundle.classes_.tolist()
    predicts = "Predicts a number" if labels is None else f"Classes: {', '.join(map(str, labels))}"
    taken = {route.candidate for route in used_routes(bundle)}
    said = {c["name"]: f"{c['name']} ({count(c['models'], 'model')})" for c in bundle.candidates}
    models = ", ".join(text for name, text in said.items() if name in taken)
    beside = [name for name in said if name not in taken]
    unknown = "counts as withheld" if bundle.schema.handle_unknown == "withhold" else "is an error"
    lines = [
        f"{path}: {size(Path(path).stat().st_size)}, format "
        f"{bundle.metadata['fairuse_router.format_version']}",
        predicts,
        f"Serving: {models}; {count(bundle.schema.n_reports, 'report')}, "
        f"{count(len(used_routes(bundle)), 'route')}",
    ]
    if beside:
        lines.append(f"Kept for audits, serving nobody: {', '.join(beside)}")
    for name, levels in zip(bundle.schema.attributes, bundle.schema.levels, strict=True):
        lines.append(f"Group attribute {name}: {_quoted(levels)}; an unknown level {unknown}")
    reading = read_property(bundle, READING, Reading)
    if reading is not None:
        lines.append(f"Tables are read so: {_rules(reading)}")
    return "\n".join(paragraph(line) for line in lines)


def used_routes(bundle: Bundle) -> list[Route]:
    """The routes that reports take; a bundle may hold more."""
    table = bundle.routing_table
    return [table.routes[r] for r in sorted(set(table.grid.ravel().tolist()))]


def _rules(reading: Reading) -> str:
    """How cells become values."""
    marks = f"empty cells and {_quoted(reading.missing)} are missing"
    rules = [marks if reading.missing else "empty cells are missing"]
    if reading.commas:
        rules.append(f"decimal commas in {listing(reading.commas, 4)}")
    if reading.id is not None:
        rules.append(f"{reading.id!r} tells whose row it is")
    return "; ".join(rules)


def _tensors(bundle: Bundle) -> str:
    """Inputs and outputs, as callers in any language need them."""
    width = max(len(entry["name"]) for entry in bundle.inputs + bundle.outputs)
    columns = dict(zip(bundle.layout.inputs, (c.name for c in bundle.layout.columns), strict=True))
    blocks = []
    for title, entries in (("Inputs", bundle.inputs), ("Outputs", bundle.outputs)):
        lines = [title]
        for entry in entries:
            shape = ", ".join("N" if d is None else str(d) for d in entry["shape"])
            name = entry["name"]
            other = name in columns and columns[name] != name and not bundle.layout.joined
            column = f"  column {columns[name]}" if other else ""
            lines.append(f"  {name:<{width}}  {entry['type']:<7}  [{shape}]{column}")
        blocks.append("\n".join(lines))
    order = ", ".join(bundle.schema.attributes)
    meaning = f"report holds {order}, in this order; the empty text withholds an attribute."
    if bundle.layout.joined:
        order = ", ".join(column.name for column in bundle.layout.columns)
        meaning = f"X holds {order}, in this order; {meaning}"
    return "\n".join([*blocks, paragraph(meaning)])


def _origin(bundle: Bundle) -> str:
    """Certificate and versions."""
    precision = f" Precision: {bundle.certificate.get('precision', 'fast')}."
    versions = ", ".join(f"{k} {v}" for k, v in bundle.certificate["versions"].items())
    return "\n".join(
        paragraph(text)
        for text in (
            f"Certificate: {certified(bundle.certificate)}{precision}",
            f"Written with {versions}.",
        )
    )


def _quoted(texts: Sequence[Any]) -> str:
    """Levels as JSON writes them, so that blanks and quotes are seen."""
    shown = ", ".join(write_json(text) for text in texts[:10])
    return f"{shown} and {len(texts) - 10} more" if len(texts) > 10 else shown
