"""What people read of the reference bundles, made from audit.json and manifest.json alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fairuse_router.card import Card, Column, Grid, Page, Section


def card_page(name: str, facts: Mapping[str, Any]) -> str:
    """Return the card of a model as Markdown; every number stands in its audit.json."""
    page = Card.from_dict(facts["card"]).page()
    told = [replace(section, picture=None) for section in page.sections]  # its data are in tables
    return Page(page.title, [*told, *_file_sections(name, facts["file"])]).to_markdown()


def _file_sections(name: str, file: Mapping[str, Any]) -> list[Section]:
    certificate = file["certificate"]
    flips = certificate.get("label_flips")
    labels = "" if flips is None else f" Labels that differ: {flips}."
    parity = (
        f"Parity with the fitted router: {certificate['checks']:,} answers compared, on "
        f"{certificate['rows']} rows under {certificate['reports']} reports.{labels} Largest "
        f"difference of the {certificate['compared']}: {certificate['max_difference']:g}."
    )
    origin = (
        f"{name}.onnx has {file['bytes']:,} bytes, format version {file['format_version']}; it "
        "runs in onnxruntime from 1.22 on. test_data_set_0 holds inputs and outputs to check a "
        "runtime by."
    )
    rows = [
        [kind, tensor["name"], tensor["type"], _shape(tensor["shape"])]
        for kind, tensors in (("input", file["inputs"]), ("output", file["outputs"]))
        for tensor in tensors
    ]
    grid = Grid([Column(head, left=True) for head in ("", "name", "type", "shape")], rows)
    rebuild = (
        f"python -m models.build {name} --check fits it anew from recipe.py and compares: the same "
        "answers to 1e-6, and the same bytes under the versions of lock.txt, where the processor "
        "computes alike."
    )
    return [Section("The file", [origin, parity], (), grid), Section("Rebuild", [rebuild])]


def index_page(manifest: Mapping[str, Any]) -> str:
    """Return the index of the models as Markdown; every number stands in manifest.json."""
    rows = [
        [
            name,
            entry["title"],
            ", ".join(entry["groups"]),
            entry["policy"],
            str(entry["routes"]),
            f"{entry['bytes']:,}",
            entry["sha256"][:12],
        ]
        for name, entry in manifest["models"].items()
    ]
    names = [Column(head, left=True) for head in ("folder", "model", "groups", "policy")]
    grid = Grid([*names, "routes", "bytes", Column("sha256", left=True)], rows)
    about = (
        "Bundles to try, to test a runtime by, and to compare with. Each folder holds the recipe, "
        "the file, the audit on rows that took no part in fitting (audit.json), a card made from "
        "it (README.md), and test vectors. This page and manifest.json are written by "
        "python -m models.build."
    )
    section = Section("The models", [about], (), grid)
    return Page("Reference bundles", [section]).to_markdown()


def _shape(shape: Sequence[int | None]) -> str:
    return " x ".join("N" if size is None else str(size) for size in shape)
