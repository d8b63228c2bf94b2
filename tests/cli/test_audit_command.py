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
    assert Audit.from_json(out.read_text(encoding="utf-8")).n == 1200
    other = tmp_path / "south.json"
    other.write_text(sums.read_text(encoding="utf-8"))
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
        ([*CALL, "--baseline", "p0"], "name one of them by --baseline"),
    ):
        code = main(["audit", str(path), *call])
        assert code in (1, 2)
        refused(capsys, code, match)
    damaged = tmp_path / "sums.json"
    damaged.write_text(json.dumps({"format": 1}))
    assert main(["audit", str(damaged)]) == 1
    refused(capsys, 1, "sums.json")


def test_a_csv_file_is_audited_as_the_same_parquet_is(scores, tmp_path, capsys):
    path, frame = scores
    assert main(["audit", str(path), *CALL, "--metric", "error,auc"]) == 0
    expected = capsys.readouterr().out
    csv = tmp_path / "scores.csv"
    frame.write_csv(csv)
    assert main(["audit", str(csv), *CALL, "--metric", "error,auc"]) == 0
    assert capsys.readouterr().out == expected
    comma = frame.with_columns(
        pl.when(pl.col("y") == 1).then(pl.lit("died")).otherwise(pl.lit("alive")).alias("y"),
        *(pl.col(p).cast(pl.String).str.replace(".", ",", literal=True) for p in ("p0", "p1")),
    )
    lines = comma.write_csv(separator=";").splitlines()
    halves = [tmp_path / "one.csv", tmp_path / "two.csv"]
    halves[0].write_text("\n".join([*lines[:601], "F;old;NA;0,1;0,2"]) + "\n")
    halves[1].write_text("\n".join([lines[0], *lines[601:]]) + "\n")
    assert main(["audit", *map(str, halves), *CALL, "--metric", "error,auc"]) == 0
    printed = capsys.readouterr()
    assert printed.out == expected
    assert "left out: 1 row without 'y'" in printed.err


def test_labels_and_measurements_in_csv_files_are_told_apart(tmp_path, capsys):
    told = tmp_path / "labels.csv"
    told.write_text("g,y,a,b\n" + "01,1,2,1\n1,2,2,2\n" * 40)
    call = ["--groups", "g", "--predictions", "generic=a,new=b"]
    assert main(["audit", str(told), "--target", "y", *call]) == 0
    printed = capsys.readouterr().out
    assert "01 " in printed
    assert "2 groups" in printed
    assert "generic         50.0%" in printed
    assert main(["audit", str(told), "--target", "y", *call, "--metric", "squared_error"]) == 0
    assert "generic         0.500" in capsys.readouterr().out


def test_what_is_no_table_of_scores_is_refused(scores, tmp_path, capsys):
    path, frame = scores
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(path.read_bytes()[:2000])
    odd = tmp_path / "odd.csv"
    frame.with_columns(pl.lit("high").alias("p1")).write_csv(odd)
    for file, call, match in (
        (torn, CALL, "file"),
        (tmp_path / "none.csv", CALL, "there is no such file"),
        (odd, CALL, "column 'p1' holds 'high'"),
        (odd, [*CALL[:4], "--predictions", "generic=p"], "--predictions 'p' is not a column"),
    ):
        assert main(["audit", str(file), *call]) == 1
        refused(capsys, 1, match)


def test_a_card_of_scores_or_of_a_bundle(scores, cli_fit, tmp_path, capsys):
    path, _ = scores
    page = tmp_path / "card.html"
    words = ["--card", str(page), "--title", "Theirs", "--description", "Who comes back."]
    assert main(["audit", str(path), *CALL, *words]) == 0
    text = page.read_text(encoding="utf-8")
    assert "<h1>Theirs</h1>" in text
    assert "<p>Who comes back.</p>" in text
    assert "personalized, in error: " in text
    data, bundle = cli_fit[:2]
    words = ["--target", "outcome", "--card", str(tmp_path / "c.md")]
    assert main(["audit", bundle, data, *words]) == 0
    text = (tmp_path / "c.md").read_text(encoding="utf-8")
    assert text.startswith("# FairUseRouter")
    assert "which no model has seen" in text
    assert main(["audit", str(path), *CALL, "--card", "card.pdf"]) == 2
    refused(capsys, 2, "--card card.pdf must end in .html, .md or .json")
