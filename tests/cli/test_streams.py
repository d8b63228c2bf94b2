"""Streams that fail: what cannot be said is not said, and nothing else is lost."""

import os
import subprocess
import sys

import pytest
from patients import GROUPS, patients, write_csv

COMMAND = [sys.executable, "-m", "fairuse_router"]
STREAMS = {
    "a full disk": ["bash", "-c", '"$@" 2>/dev/full', "-"],
    "no standard error": ["bash", "-c", '"$@" 2>&-', "-"],
}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("how", STREAMS)
def test_a_standard_error_that_fails_stops_no_work(how, tmp_path):
    data, out = write_csv(tmp_path / "d.csv", patients()), tmp_path / "r.onnx"
    fit = ["fit", data, *GROUPS, "--out", str(out), "--policy", "best", "--cv", "2"]
    for arguments, file in (
        (fit, out),
        (["predict", str(out), data, "--out", str(tmp_path / "p.csv")], tmp_path / "p.csv"),
    ):
        command = [*STREAMS[how], *COMMAND, *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout
        assert file.stat().st_size > 0
        assert str(file) in run.stdout
    wrong = [*STREAMS[how], *COMMAND, "predict", str(out), str(tmp_path / "none.csv")]
    assert subprocess.run(wrong, capture_output=True, check=False).returncode == 1
