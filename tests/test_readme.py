"""README: every block is run, and prints what the README says it prints."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from fairuse_router.routing.promises import PROMISES

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(<!-- command: (\w+) -->\n)?```(\w+)\n(.*?)```", re.S)


def blocks():
    return [(m[2], m[3], m[4]) for m in BLOCK.finditer(README.read_text(encoding="utf-8"))]


def test_every_block_is_of_a_kind_that_is_run():
    kinds = [(kind, command) for command, kind, _ in blocks()]
    assert {kind for kind, _ in kinds} <= {"python", "text", "sh"}
    assert [command for kind, command in kinds if command] == ["run", "test"]


def test_policies_promise_what_cards_say():
    text = README.read_text(encoding="utf-8")
    for policy, (rule, promise) in PROMISES.items():
        assert f'| `"{policy}"` | {rule} | {promise} |' in text


@pytest.mark.slow
def test_python_blocks_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    found = blocks()
    for i, (_, kind, text) in enumerate(found):
        if kind != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, f"README block {i}", "exec"), scope)
        lines = [line.rstrip() for line in printed.getvalue().splitlines()]
        assert all(len(line) <= 80 for line in lines)
        shown = (
            found[i + 1][2].splitlines()
            if found[i + 1 : i + 2] and found[i + 1][1] == "text"
            else []
        )
        assert lines == shown, "\n".join(lines)


@pytest.mark.slow
def test_commands_on_a_csv(tmp_path, monkeypatch, capsys):
    from fairuse_router.cli import main
    from fairuse_router.datasets import load_heart

    monkeypatch.chdir(tmp_path)
    frame = load_heart(as_frame=True).frame.rename(columns={"target": "died"})
    frame.to_csv("patients.csv", index=False)
    frame.drop(columns="died").to_csv("new_patients.csv", index=False)
    commands = [text for command, kind, text in blocks() if kind == "sh" and command is None]
    assert commands
    for line in "".join(commands).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "fairuse-router"
        assert main(arguments) == 0
    assert len(Path("predictions.csv").read_text().splitlines()) == len(frame) + 1
