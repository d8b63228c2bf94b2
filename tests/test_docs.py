"""The site: every block of its pages is run, and prints what the page says."""

import contextlib
import html
import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pages
import pytest
from engines_needed import need
from sklearn.naive_bayes import GaussianNB

from fairuse_router import Bundle, FairUseRouter
from fairuse_router.bundle.file.metadata import PREFIX
from fairuse_router.card import Card
from fairuse_router.datasets import make_population
from fairuse_router.grids import MEANINGS
from fairuse_router.routing.policies.promises import PROMISES

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not {"_build", "gallery", "generated"} & {*p.parts})
BUNDLES = sorted((DOCS.parent / "models").glob("*/*.onnx"))


@pytest.fixture
def part(monkeypatch):
    """Imports what makes pages from the package."""
    monkeypatch.syspath_prepend(str(DOCS))
    yield lambda name: importlib.import_module(f"site_parts.{name}")
    for name in [name for name in sys.modules if name.split(".")[0] == "site_parts"]:
        del sys.modules[name]


def with_code():
    """Pages with blocks; docs/clinic.md has doctests instead, which tests/test_guide.py runs."""
    code = {page: [t for _, kind, t in pages.blocks(page) if kind == "python"] for page in PAGES}
    return [page for page, texts in code.items() if texts and not texts[0].startswith(">>>")]


def test_there_are_pages_with_code():
    assert len(with_code()) >= 9
    kinds = {kind for page in PAGES for _, kind, _ in pages.blocks(page)}
    assert kinds <= {"python", "text", "sh", "js"}


@pytest.mark.slow
@pytest.mark.parametrize("page", with_code(), ids=lambda page: page.stem)
def test_blocks_print_what_they_say(page, tmp_path):
    found, scope, programs = pages.blocks(page), {}, []
    with contextlib.chdir(tmp_path):
        for i, (_, kind, text) in enumerate(found):
            if kind == "python":
                lines = pages.run_python(text, scope, f"{page.name}, block {i}")
                assert all(len(line) <= 80 for line in lines)
                assert lines == pages.shown_after(found, i), "\n".join(lines)
            elif kind == "sh":
                pages.run_commands(text)
            elif kind == "js":
                programs.append((text, pages.shown_after(found, i)))
    for program, shown in programs:
        run_in_node(program, tmp_path, shown)


def run_in_node(program, folder, shown):
    """Run a program beside the files that the page's other blocks wrote."""
    modules = Path(__file__).parent / "clients" / "node" / "node_modules"
    if shutil.which("node") is None or not (modules / "onnxruntime-node").is_dir():
        pytest.skip("all else ran; needs node, and `npm ci --ignore-scripts` in tests/clients/node")
    (folder / "client.mjs").write_text(program, encoding="utf-8")
    (folder / "node_modules").symlink_to(modules)
    run = subprocess.run(
        ["node", "client.mjs"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == shown


def test_every_public_name_is_in_the_reference(part):
    import fairuse_router

    need("starlette", "uvicorn")
    api = part("api")
    told = {name for names in api.documented().values() for name in names}
    for door in ("", *(f".{door}" for door in api.DOORS)):
        assert set(importlib.import_module(f"fairuse_router{door}").__all__) <= told
    assert set(fairuse_router.__all__) <= told


def test_words_of_the_tables_are_in_the_glossary():
    text = (DOCS / "reference" / "glossary.md").read_text(encoding="utf-8")
    terms = dict(re.findall(r"^(\S[^\n]*)\n  ([^\n]+)$", text, re.M))
    assert {word: terms.get(word) for word in MEANINGS} == MEANINGS
    assert set(MEANINGS) >= {"rational", "envy-free", "truthful", "generic", "one-hot", "gain"}


def test_heads_of_tables_in_html_say_what_they_mean():
    population = make_population(n_samples=400, random_state=0)
    router = FairUseRouter(GaussianNB(), population.group_attributes, cv=2)
    router.fit(population.to_frame(), population.y)
    told = r'<th(?: class="text")?(?: title="([^"]*)")?>([^<]*)</th>'
    for page in (router.routing_table_.to_html(), Card.of(router).to_html()):
        heads = {head: html.unescape(title) for title, head in re.findall(told, page)}
        for word in ("generic", "gain", "rows", "served by"):
            assert heads[word] == MEANINGS[word]
        assert "sex" not in heads or not heads["sex"]
    assert heads["truthfulness"] == MEANINGS["truthful"]
    assert heads["verdict"] == MEANINGS["verdict"]


def misfit(schema, value, place="metadata"):
    """Where a value does not fit a schema, by the few keywords that ours use."""
    assert set(schema) <= {
        *("$schema", "title", "description", "enum", "anyOf", "type", "items"),
        *("properties", "required", "additionalProperties"),
    }
    if "anyOf" in schema:
        found = [misfit(one, value, place) for one in schema["anyOf"]]
        return None if None in found else found[0]
    if "enum" in schema:
        return None if value in schema["enum"] else place
    kinds = {"string": str, "integer": int, "object": dict, "array": list, "boolean": bool}
    kind = {**kinds, "number": (int, float), "null": type(None)}[schema["type"]]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        return place
    inner = []
    if isinstance(value, list):
        inner = [(schema["items"], v, f"{place}[{i}]") for i, v in enumerate(value)]
    elif isinstance(value, dict):
        if not set(schema.get("required", ())) <= set(value):
            return place
        told, others = schema.get("properties", {}), schema.get("additionalProperties")
        inner = [(told.get(k, others), v, f"{place}.{k}") for k, v in value.items()]
    return next((p for one, v, at in inner if one and (p := misfit(one, v, at))), None)


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_bundles_fit_the_schema(path, part):
    schema = part("bundle_schema").metadata_schema()
    texts = Bundle.load(path).metadata
    parts = {
        key.removeprefix(PREFIX): text if key.endswith("sha256") else json.loads(text)
        for key, text in texts.items()
        if key.startswith(PREFIX)
    }
    assert misfit(schema, parts) is None
    assert misfit(schema, {**parts, "format_version": 0}) == "metadata.format_version"
    assert misfit(schema, {**parts, "candidates": [{"name": 3}]}) is not None
    del parts["schema"]
    assert misfit(schema, parts) == "metadata"


def test_policies_and_commands_are_told_from_the_package(part, tmp_path):
    for name in ("policies", "command_line"):
        part(name).write(tmp_path)
    told = (tmp_path / "policies.inc").read_text(encoding="utf-8")
    assert all(promise in told for _, promise in PROMISES.values())
    commands = (tmp_path / "command_line.rst").read_text(encoding="utf-8")
    for name in ("fit", "predict", "audit", "reaudit", "card"):
        assert f"\n{name}\n{'-' * len(name)}\n" in commands
