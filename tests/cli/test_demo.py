"""The demo: the whole job on the heart disease data, in eighty columns."""

import subprocess
import sys

import numpy as np
import pytest
from patients import refused

from fairuse_router import Bundle
from fairuse_router.cli import main
from fairuse_router.cli.demo import serve
from fairuse_router.datasets import load_heart


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "fairuse_router", "demo"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return folder, run


def test_demo_does_the_whole_job(demo):
    folder, run = demo
    assert run.returncode == 0, run.stderr
    for words in (
        "'priced' policy",
        "Nobody need be asked",
        "'best' policy",
        "75 held-out rows",
        "So few people decide little",
        "Left to gain by another report than one's own: most for (female, 60+), +11.1% on 9 people",
        "Disclosure plan: 2.00 of 2 attributes asked per person",
        "everyone (228 rows): ask sex",
        "2.00 +1.8% +0.0% +0.0% 0 <- this plan",
        "Row 0 reports sex = male, age_group = <60: predicted",
        "Without any or all of it: 0,",
        "The same person tells sex only, under the policy 'priced'",
        "(male, ?) is served by generic: no gain to speak of is expected",
        "0 of 3,030 labels differ",
        "gives the router's labels",
        "reports ?, ?         -> generic",
    ):
        assert " ".join(words.split()) in " ".join(run.stdout.split()), run.stdout
    assert (folder / "heart_router.onnx").is_file()
    assert "24 of 24" in run.stderr
    assert "note:" not in run.stderr


def test_demo_fits_eighty_columns(demo):
    lines = (demo[1].stdout + demo[1].stderr.replace("\r", "\n")).splitlines()
    assert max(map(len, lines)) <= 80, [line for line in lines if len(line) > 80]


def test_the_bundle_of_the_demo_answers_plain_onnxruntime(demo):
    path = str(demo[0] / "heart_router.onnx")
    X, _ = load_heart(return_X_y=True, as_frame=True)
    label, probabilities = serve(path, X, ["sex", "age_group"])
    bundle = Bundle.load(path)
    np.testing.assert_array_equal(label, bundle.predict(X))
    np.testing.assert_array_equal(probabilities, bundle.predict_proba(X))
    silent = X.assign(sex="?", age_group="?")
    assert (serve(path, silent, ["sex", "age_group"])[1] != probabilities).any()


def test_demo_refuses_before_it_trains(capsys, tmp_path):
    assert main(["demo", "--out", str(tmp_path / "none" / "r.onnx")]) == 1
    refused(capsys, 1, "folder does not exist")
    assert main(["demo", "--policy", "brave"]) == 2
    refused(capsys, 2, "--policy brave", "priced, best")
    assert main(["demo", "--candidates", "onehot"]) == 2
    refused(capsys, 2, "--candidates onehot lacks generic")


def test_demo_with_generic_alone_shows_no_other_policy(capsys, tmp_path):
    command = ["demo", "--candidates", "generic", "--policy", "assign_generic"]
    assert main([*command, "--out", str(tmp_path / "r.onnx")]) == 0
    printed = capsys.readouterr().out
    assert "no other candidate was asked for" in printed
    assert "'best'" not in printed
    assert "2. Policy 'assign_generic' audited" in printed
