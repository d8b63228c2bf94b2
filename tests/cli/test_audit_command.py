"""fairuse-router audit: tables in Parquet, and sums of several sites."""

import json

import numpy as np
import polars as pl
import pytest
from patients import refused

from fairuse_router import audit_predictions
from fairuse_router.audit import Audit
from fairuse_router.cli import main


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    rng = np.random.default_rng(0)
    n = 1200
    z = rng.normal(size=n)
    frame = pl.DataFrame(
        {
            "sex": rng.choice(["F", "M"], n),
            "age": rng.choice(["old", "young"], n),
            "y": (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int),
            "p0": 1 / (1 + np.exp(-z - rng.normal(0, 1.5, n))),
            "p1": 1 / (1 + np.exp(-z)),
        }
    )
    path = tmp_path_factory.mktemp("scores") / "scores.parquet"
    frame.write_parquet(path)
    return path, frame


CALL = ["--target", "y", "--groups", "sex,age", "--predictions", "generic=p0,personalized=p1"]


def test_a_table_is_audited_and_its_sums_are_for_other_sites(scores, tmp_path, capsys):
    path, frame = scores
    out, sums = tmp_path / "audit.json", tmp_path / "north.json"
    assert main(["audit", str(path), *CALL, "--out", str(out), "--sums", str(sums)]) == 0
    printed = capsys.readouterr().out
    exact = audit_predictions(
        frame["y"], {"generic": frame["p0"], "personalized": frame["p1"]}, frame[["sex", "age"]]
    )
    assert printed == f"{exact}\n"
    assert Audit.from_json(out.read_text()).n == 1200
    other = tmp_path / "south.json"
    other.write_text(sums.read_text())
    assert main(["audit", str(sums), str(other)]) == 0
    printed = capsys.readouterr().out
    assert "Audit on 2,400 held-out rows" in printed
    assert "at 2 sites with 2,400 rows" in printed


def test_what_is_misspelt_is_said(scores, tmp_path, capsys):
    path, _ = scores
    for call, match in (
        (["--target", "y", "--groups", "sex"], "--predictions"),
        (["--groups", "sex", "--predictions", "generic=p0"], "--target is needed"),
        ([*CALL[:4], "--predictions", "p0"], "not of the form model=column"),
        ([*CALL, "--weight", "w"], "sample_weight: 'w' is not a column"),
    ):
        code = main(["audit", str(path), *call])
        assert code in (1, 2)
        refused(capsys, code, match)
    damaged = tmp_path / "sums.json"
    damaged.write_text(json.dumps({"format": 1}))
    assert main(["audit", str(damaged)]) == 1
    refused(capsys, 1, "sums.json")
