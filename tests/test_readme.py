"""README: every block is run, and prints what the README says it prints."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pages
import pytest

from fairuse_router.routing.policies.promises import PROMISES

README = Path(__file__).parent.parent / "README.md"


def blocks():
    return pages.blocks(README)


def test_every_block_is_of_a_kind_that_is_run():
    kinds = [(kind, command) for command, kind, _ in blocks()]
    assert {kind for kind, _ in kinds} <= {"python", "js", "text", "sh"}
    assert [command for kind, command in kinds if command] == ["run", "test", "page", "serve"]


def test_policies_promise_what_cards_say():
    text = README.read_text(encoding="utf-8")
    for policy, (rule, promise) in PROMISES.items():
        assert f'| `"{policy}"` | {rule} | {promise} |' in text


def shown_after(place):
    return pages.shown_after(blocks(), place)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """All Python blocks, run in one folder: the folder, and the lines that each printed."""
    folder = tmp_path_factory.mktemp("readme")
    scope: dict = {}
    lines = {}
    with contextlib.chdir(folder):
        for i, (_, kind, text) in enumerate(blocks()):
            if kind == "python":
                lines[i] = pages.run_python(text, scope, f"README block {i}")
    scope["X"][:3].to_json(folder / "patients.json", orient="records")
    return folder, lines


@pytest.mark.slow
def test_python_blocks_print_what_they_say(ran):
    for i, lines in ran[1].items():
        assert all(len(line) <= 80 for line in lines)
        assert lines == shown_after(i), "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("place", [i for i, (_, kind, _) in enumerate(blocks()) if kind == "js"])
def test_javascript_blocks_print_what_they_say(place, ran):
    modules = Path(__file__).parent / "clients" / "node" / "node_modules"
    if shutil.which("node") is None or not (modules / "onnxruntime-node").is_dir():
        pytest.skip("needs node, and `npm ci --ignore-scripts` in tests/clients/node")
    folder = ran[0]
    (folder / "client.mjs").write_text(blocks()[place][2])
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(modules)
    run = subprocess.run(
        ["node", "client.mjs"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == shown_after(place)


@pytest.mark.slow
def test_commands_on_a_csv(tmp_path, monkeypatch, capsys):
    from fairuse_router.datasets import load_heart

    monkeypatch.chdir(tmp_path)
    frame = load_heart(as_frame=True).frame.rename(columns={"target": "died"})
    frame.to_csv("patients.csv", index=False)
    frame.drop(columns="died").to_csv("new_patients.csv", index=False)
    commands = [text for command, kind, text in blocks() if kind == "sh" and command is None]
    assert commands
    pages.run_commands("".join(commands))
    assert len(Path("predictions.csv").read_text().splitlines()) == len(frame) + 1
