"""Pages of Markdown: their blocks, run one after the other, and what each should print."""

import contextlib
import io
import re
import shlex

BLOCK = re.compile(r"(<!-- command: (\w+) -->\n)?```(\w+)\n(.*?)```", re.S)


def blocks(path):
    """Command, kind and text of every block of a page."""
    return [(m[2], m[3], m[4]) for m in BLOCK.finditer(path.read_text(encoding="utf-8"))]


def shown_after(found, place):
    """What the page says that a block prints: the text block that follows, if one does."""
    following = found[place + 1 : place + 2]
    return following[0][2].splitlines() if following and following[0][1] == "text" else []


def run_python(text, scope, name):
    """The lines that a block prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, name, "exec"), scope)
    return [line.rstrip() for line in printed.getvalue().splitlines()]


def run_commands(text):
    """Run lines that call the command line of the package, and nothing else."""
    from fairuse_router.cli import main

    for line in text.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "fairuse-router"
        assert main(arguments) == 0
