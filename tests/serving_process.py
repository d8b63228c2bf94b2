"""A server in a process of its own."""

import subprocess
import sys
from contextlib import contextmanager
from typing import NamedTuple


class Server(NamedTuple):
    """A server that runs: its address, its process, its log, and what it serves, by name."""

    host: str
    process: subprocess.Popen
    log: object
    bundles: dict
    rows: dict

    def logged(self):
        """All that it has said on standard error."""
        with open(self.log, encoding="utf-8") as file:
            return file.read()


@contextmanager
def running(paths, folder, *options, bundles=None, rows=None):
    """Start a server on a free port, and stop it as a supervisor does."""
    command = [sys.executable, "-W", "error", "-m", "fairuse_router", "serve", "--port", "0"]
    log = folder / "access.log"
    with (
        open(log, "w", encoding="utf-8") as err,
        subprocess.Popen(
            [*command, *options, *map(str, paths)], stdout=subprocess.PIPE, stderr=err, text=True
        ) as process,
    ):
        line = process.stdout.readline()
        if not line.startswith("Serving http://"):
            process.wait(timeout=30)
            raise AssertionError(log.read_text(encoding="utf-8"))
        host = line.removeprefix("Serving http://").split("/")[0]
        try:
            yield Server(host, process, log, bundles or {}, rows or {})
            process.terminate()
            assert process.wait(timeout=20) == 0, log.read_text(encoding="utf-8")
        finally:
            process.kill()
