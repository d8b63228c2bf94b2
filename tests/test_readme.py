"""README: every block is run, and prints what the README says it prints."""

import contextlib
from pathlib import Path

import pages
import pytest

README = Path(__file__).parent.parent / "README.md"


def blocks():
    return pages.blocks(README)


def test_every_block_is_of_a_kind_that_is_run():
    kinds = [(kind, command) for command, kind, _ in blocks()]
    assert {kind for kind, _ in kinds} <= {"python", "text", "sh"}
    assert [command for kind, command in kinds if command] == ["run", "test", "page", "serve"]


def shown_after(place):
    return pages.shown_after(blocks(), place)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """All Python blocks, run in one folder: the lines that each printed."""
    folder = tmp_path_factory.mktemp("readme")
    scope: dict = {}
    lines = {}
    with contextlib.chdir(folder):
        for i, (_, kind, text) in enumerate(blocks()):
            if kind == "python":
                lines[i] = pages.run_python(text, scope, f"README block {i}")
    return lines


@pytest.mark.slow
def test_python_blocks_print_what_they_say(ran):
    for i, lines in ran.items():
        assert all(len(line) <= 80 for line in lines)
        assert lines == shown_after(i), "\n".join(lines)


@pytest.mark.slow
def test_commands_on_a_csv(tmp_path, monkeypatch, capsys):
    from fairuse_router.datasets import load_heart

    monkeypatch.chdir(tmp_path)
    frame = load_heart(as_frame=True).frame.rename(columns={"target": "died"})
    for name in ("patients.csv", "labelled_patients.csv"):
        frame.to_csv(name, index=False)
    frame.drop(columns="died").to_csv("new_patients.csv", index=False)
    commands = [text for command, kind, text in blocks() if kind == "sh" and command is None]
    assert commands
    pages.run_commands("".join(commands))
    assert len(Path("predictions.csv").read_text(encoding="utf-8").splitlines()) == len(frame) + 1
