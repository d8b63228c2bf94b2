"""The command line and Python answer alike, whatever the cells are."""

import csv

import numpy as np
import pandas as pd
import pytest
from patients import read_csv
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import FairUseRouter, export_bundle
from fairuse_router.cli import fit as fit_command
from fairuse_router.cli import main
from fairuse_router.cli.cells import MISSING

N = 240
TEXTS_AND_NUMBERS = make_pipeline(
    make_column_transformer(
        (SimpleImputer(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    ),
    LogisticRegression(solver="newton-cholesky"),
)


def predicted(bundle, data, tmp_path, *options):
    out = tmp_path / "p.csv"
    assert main(["predict", bundle, str(data), "--out", str(out), *options]) == 0
    return read_csv(out)


def awkward_columns(rng):
    """Columns of the sort that files hold."""
    pools = [
        ["1", "01", "1.0", "1.00"],
        ["a,b", 'say "x"', "semi;colon", "tab\tb"],
        [" b", "b", "b ", "B"],
        ["YES", "YES ", "yes", "no"],
        ["1E3", "1000", "1e3", "+1000"],
        ["größer", "日本", "é", "é"],
        ["2024", "2024.0", "NAN", "nil"],
        ["=1+1", "@x", "-", "#"],
    ]
    picked = rng.permutation(len(pools))
    group, text = pools[picked[0]], pools[picked[1]]
    size = int(rng.integers(2, 5))
    x = rng.normal(size=N).round(2)
    g = rng.integers(0, size, N)
    y = (x * np.where(g % 2, 1, -1) + 0.3 * rng.normal(size=N) > 0).astype(int)
    columns = {
        "x": [f"{v:.2f}" for v in x],
        "sex": [group[i] for i in g],
        "t": [text[i] for i in rng.integers(0, len(text), N)],
        "n": [str(v) for v in rng.integers(-5, 50, N)],
        "y": [("no", "yes")[v] for v in y],
    }
    for name, marks in (("sex", ["", "?"]), ("t", ["", "NA", "null"]), ("n", ["", "nan", "N/A"])):
        for i in rng.integers(0, N, 12):
            columns[name][i] = str(rng.choice(marks))
    return columns


def as_frame(columns):
    """The same rows as they are meant, made without the command line."""
    marks = {"", *MISSING}
    frame = pd.DataFrame({k: [None if v in marks else v for v in c] for k, c in columns.items()})
    for name in ("x", "n"):
        frame[name] = pd.to_numeric(frame[name]).astype(np.float32).astype(float)
    for name in ("sex", "t"):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), np.nan)
    return frame.drop(columns="y")


SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 16))]


@pytest.mark.filterwarnings("ignore:Levels differ by blanks")
@pytest.mark.parametrize("seed", SEEDS)
def test_the_command_line_answers_as_python_does(seed, tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(seed)
    columns = awkward_columns(rng)
    separator = ",;\t|"[seed % 4]
    encoding = ["utf-8", "utf-8-sig", "utf-16"][seed % 3]
    written = {k: list(c) for k, c in columns.items()}
    if seed % 2:
        written["x"] = [v.replace(".", ",") for v in written["x"]]
    with open(tmp_path / "d.csv", "w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator, quoting=[0, 1][seed % 2])
        writer.writerow(written)
        writer.writerows(zip(*written.values(), strict=True))
    kept, export = [], fit_command.export_bundle
    monkeypatch.setattr(
        fit_command, "export_bundle", lambda r, *a, **k: kept.append(r) or export(r, *a, **k)
    )
    data, out = str(tmp_path / "d.csv"), str(tmp_path / "r.onnx")
    command = ["fit", data, "--target", "y", "--groups", "sex", "--out", out, "--cv", "2"]
    assert main([*command, "--test", "0", "--policy", "best"]) == 0
    X = as_frame(columns)
    found = [row["label"] for row in predicted(out, data, tmp_path)]
    assert found == kept[0].predict(X).tolist()
    # and the router that Python fits on the same rows, as bundle and as it is
    own = FairUseRouter(TEXTS_AND_NUMBERS, ["sex"], policy="best", cv=2, random_state=0)
    own.fit(X.fillna({"t": "missing"}), columns["y"])
    assert set(own.schema_.levels[0]) == set(kept[0].schema_.levels[0])
    export_bundle(own, tmp_path / "own.onnx", X.fillna({"t": "missing"}))
    X.fillna({"t": "missing"}).to_csv(tmp_path / "own.csv", index=False)
    rows_ = predicted(str(tmp_path / "own.onnx"), tmp_path / "own.csv", tmp_path)
    assert [r["label"] for r in rows_] == own.predict(X.fillna({"t": "missing"})).tolist()
