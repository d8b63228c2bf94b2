"""Build the reference bundles: `python -m models.build NAME [--check]`, or `all`."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sklearn.base import is_classifier
from sklearn.model_selection import train_test_split

from fairuse_router import Bundle, export_bundle
from fairuse_router.card import Card
from models import pages, vectors

ROOT = Path(__file__).parent
NAMES = tuple(sorted(path.parent.name for path in ROOT.glob("*/recipe.py")))
PACKAGES = (
    *("joblib", "narwhals", "numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "scipy"),
    "skl2onnx",
)
TOLERANCE = 1e-6


def build(name: str, folder: Path) -> None:
    """Fit a recipe on its training rows, audit it on the others, and write all its files."""
    recipe = importlib.import_module(f"models.{name}.recipe")
    X, y = recipe.load()
    router = recipe.make_router()
    cells = X[list(router.group_attributes)].astype(str)
    if is_classifier(router):
        cells["label"] = y.astype(str)
    train, test = train_test_split(
        range(len(X)),
        test_size=recipe.TEST_SIZE,
        random_state=recipe.SEED,
        stratify=cells.agg(" ".join, axis=1),
    )
    router.fit(X.iloc[train], y[train])
    audit = router.audit(X.iloc[test], y[test])
    model = folder / f"{name}.onnx"
    export_bundle(router, model, X, precision=recipe.PRECISION, audit=audit)
    bundle = Bundle.load(model)
    card = Card.of(bundle, title=recipe.TITLE, description=recipe.DESCRIPTION, date="")
    inputs = vectors.rows_under_every_report(bundle, X.iloc[test])
    vectors.write(folder / vectors.FOLDER, model, inputs)
    facts = {"card": card.to_dict(), "file": _describe(bundle, model)}
    _write(folder / "audit.json", json.dumps(facts, indent=1, sort_keys=True, allow_nan=False))
    _write(folder / "README.md", pages.card_page(name, facts))
    _write(folder / "lock.txt", "\n".join(_versions()))


def _describe(bundle: Bundle, model: Path) -> dict[str, Any]:
    return {
        "bytes": model.stat().st_size,
        "format_version": int(bundle.metadata["fairuse_router.format_version"]),
        "inputs": bundle.inputs,
        "outputs": bundle.outputs,
        "certificate": bundle.certificate,
    }


def _versions() -> list[str]:
    python = ".".join(map(str, sys.version_info[:2]))
    return [f"# Python {python}", *(f"{package}=={version(package)}" for package in PACKAGES)]


def write_index() -> None:
    """Write manifest.json and the index from the files of all models."""
    models = {name: _entry(name) for name in NAMES if (ROOT / name / f"{name}.onnx").exists()}
    manifest = {"models": models}
    _write(ROOT / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True))
    _write(ROOT / "README.md", pages.index_page(manifest))


def _entry(name: str) -> dict[str, Any]:
    model = ROOT / name / f"{name}.onnx"
    facts = json.loads((ROOT / name / "audit.json").read_text(encoding="utf-8"))
    table, file = facts["card"]["routing_table"], facts["file"]
    return {
        "title": facts["card"]["title"],
        "file": f"{name}/{name}.onnx",
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "bytes": model.stat().st_size,
        "format_version": file["format_version"],
        "inputs": file["inputs"],
        "outputs": file["outputs"],
        "groups": table["schema"]["attributes"],
        "policy": table["policy"],
        "routes": len(table["routes"]),
    }


def check(name: str) -> list[str]:
    """Build a model anew beside the one at hand, and say what differs."""
    kept = ROOT / name
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        build(name, fresh)
        problems = []
        gap = vectors.difference(fresh / f"{name}.onnx", kept / vectors.FOLDER)
        if not gap <= TOLERANCE:
            problems.append(f"its answers to the test vectors differ by {gap:.1e}")
        far = _first_difference(_card(kept), _card(fresh), "card")
        if far:
            problems.append(f"its audit differs at {far}")
        same = (fresh / f"{name}.onnx").read_bytes() == (kept / f"{name}.onnx").read_bytes()
    locked = (kept / "lock.txt").read_text(encoding="utf-8").splitlines() == _versions()
    if locked and not same and not problems:
        print(
            f"{name}: other bytes under the versions of lock.txt: this processor rounds otherwise, "
            "or our own writer has changed"
        )
    print(f"{name}: {'the same bytes' if same else f'the same answers to {gap:.0e}'}")
    return [f"{name}: {problem}" for problem in problems]


def _card(folder: Path) -> dict[str, Any]:
    """What a model's card says, less what only tells which file it speaks of."""
    card = json.loads((folder / "audit.json").read_text(encoding="utf-8"))["card"]
    origin = {k: v for k, v in card["origin"].items() if k not in ("digest", "versions")}
    return {**card, "origin": origin}


def _first_difference(old: Any, new: Any, place: str) -> str | None:
    """Place of the first value that differs; numbers may differ by the tolerance."""
    if isinstance(old, dict) and isinstance(new, dict) and set(old) == set(new):
        pairs = [(old[k], new[k], f"{place}.{k}") for k in old]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(zip(old, new, strict=True))]
    elif isinstance(old, float) and isinstance(new, (int, float)):
        close = math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return None if close else place
    else:
        return None if old == new else place
    return next((found for a, b, p in pairs if (found := _first_difference(a, b, p))), None)


def _write(path: Path, text: str) -> None:
    path.write_bytes((text.rstrip("\n") + "\n").encode())


def main(arguments: list[str] | None = None) -> int:
    """Build, or check, one model or all."""
    parser = argparse.ArgumentParser(prog="python -m models.build", description=__doc__)
    parser.add_argument("name", choices=[*NAMES, "all"])
    parser.add_argument("--check", action="store_true", help="build beside, compare, write nothing")
    asked = parser.parse_args(arguments)
    chosen = NAMES if asked.name == "all" else (asked.name,)
    if asked.check:
        problems = [problem for name in chosen for problem in check(name)]
        print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
        return 1 if problems else 0
    for name in chosen:
        build(name, ROOT / name)
        print(f"wrote models/{name}: {(ROOT / name / f'{name}.onnx').stat().st_size:,} bytes")
    write_index()
    return 0


if __name__ == "__main__":
    sys.exit(main())
