"""What is read is what is meant: texts stay texts, known levels are known, commas are decimals."""

import csv
import gzip
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from patients import read_csv, refused, write_csv
from platforms import POSIX
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.cli import main
from fairuse_router.cli.cells import MISSING, Reading, are_dates, codes_of
from fairuse_router.cli.kinds import find_kinds
from fairuse_router.cli.tablefile import TableFile

N = 240
TEXTS_AND_NUMBERS = make_pipeline(
    make_column_transformer(
        (SimpleImputer(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    ),
    LogisticRegression(solver="newton-cholesky"),
)


def rows(levels=("F", "M"), **more):
    """Columns whose label depends on x the other way round in every second group."""
    rng = np.random.default_rng(0)
    x, group = rng.normal(size=N).round(3), np.arange(N) % len(levels)
    y = (x * np.where(group % 2, 1, -1) + 0.3 * rng.normal(size=N) > 0).astype(int)
    columns = {"x": x.astype(str).tolist(), "sex": [levels[g] for g in group], **more}
    return {**columns, "y": y.astype(str).tolist()}


def fit(tmp_path, columns, *options, separator=","):
    """Fit by the command line, and return the path of the data and of the bundle."""
    data = write_csv(tmp_path / "d.csv", columns, separator)
    out = str(tmp_path / "r.onnx")
    command = ["fit", data, "--target", "y", "--groups", "sex", "--out", out, "--cv", "2"]
    assert main([*command, "--test", "0", "--policy", "best", *options]) == 0
    return data, out


def predicted(bundle, data, tmp_path, *options):
    out = tmp_path / "p.csv"
    assert main(["predict", bundle, str(data), "--out", str(out), *options]) == 0
    return read_csv(out)


# groups and texts keep their text


LOOK_ALIKE = [
    *("1", "01", "+1", "1.0", "１", "1.10", "1.1", "1E3", "1000", "9007199254740993"),
    *("9007199254740992", "b", " b", "b ", "B", "TRUE", "True", '"q"', "q", "a\nb", "a b"),
    *("-0", "0", "Infinity", "inf"),
]


def test_levels_that_look_alike_stay_apart(tmp_path, capsys):
    _, out = fit(tmp_path, rows(LOOK_ALIKE), "--missing", "")
    bundle = Bundle.load(out)
    assert set(bundle.schema.levels[0]) == set(LOOK_ALIKE)
    columns = {"x": ["0.5"] * len(LOOK_ALIKE), "sex": LOOK_ALIKE}
    again = write_csv(tmp_path / "again.csv", columns)
    X = pd.DataFrame({"x": 0.5, "sex": pd.Series(LOOK_ALIKE, dtype=object)})
    found = [(row["candidate"], int(row["route"])) for row in predicted(out, again, tmp_path)]
    routed = bundle.route(X)
    assert found == list(zip(routed.candidate.tolist(), routed.route.tolist(), strict=True))


KNOWN = [*MISSING, " ", "none", "NULL ", "missing"]


@pytest.mark.filterwarnings("ignore:Levels differ by blanks")
@pytest.mark.parametrize("where", ["group", "feature"])
def test_what_a_router_from_python_knows_is_never_missing(where, tmp_path, capsys):
    texts = (KNOWN * 10)[:N]
    columns = rows(KNOWN) if where == "group" else rows(t=texts)
    X = pd.DataFrame(columns).drop(columns="y").astype({"x": float})
    y = pd.Series(columns["y"]).to_numpy()
    if where == "feature":
        y = np.where([KNOWN.index(t) % 2 == 0 for t in texts], "yes", "no")
    router = FairUseRouter(
        TEXTS_AND_NUMBERS, ["sex"], withheld=None, policy="best", cv=2, min_group_size=5
    ).fit(X, y)
    export_bundle(router, tmp_path / "r.onnx", X)
    X.to_csv(tmp_path / "d.csv", index=False)
    found = predicted(str(tmp_path / "r.onnx"), tmp_path / "d.csv", tmp_path)
    assert [row["label"] for row in found] == router.predict(X).tolist()
    assert [row["candidate"] for row in found] == router.route(X).candidate.tolist()


def test_marks_of_the_training_data_are_the_marks_of_predictions(tmp_path, capsys):
    t = ["NA", "b", "n/a", "c"] * (N // 4)
    data, out = fit(tmp_path, rows(t=t), "--missing", "n/a")
    assert "'n/a' is missing in 60 rows" in " ".join(capsys.readouterr().out.split())
    first = [row["label"] for row in predicted(out, data, tmp_path)]
    blank = write_csv(tmp_path / "b.csv", rows(t=["" if v == "n/a" else v for v in t]))
    assert [row["label"] for row in predicted(out, blank, tmp_path)] == first
    assert 'empty cells and "n/a" are missing' in inspect(out, capsys)


def inspect(out, capsys):
    capsys.readouterr()
    assert main(["inspect", out]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_every_usual_mark_is_missing_unless_it_is_named_otherwise(tmp_path, capsys):
    z = [MISSING[i % len(MISSING)] if i % 3 == 0 else str(i * 7 % 10) for i in range(N)]
    sex = [MISSING[i % len(MISSING)] if i % 5 == 0 else "FM"[i % 2] for i in range(N)]
    _, out = fit(tmp_path, rows(z=z) | {"sex": sex})
    bundle = Bundle.load(out)
    assert bundle.schema.levels == (("F", "M"),)
    assert [c.name for c in bundle.layout.columns if c.numeric] == ["x", "z"]
    _, out = fit(tmp_path, rows(("NA", "EU"), z=z), "--missing", "", "--drop", "z")
    assert Bundle.load(out).schema.levels == (("EU", "NA"),)


# numbers


def test_decimal_commas_are_numbers(tmp_path, capsys):
    bmi = [f"{20 + i % 17 + 0.5},{i % 10}".replace(".5,", ",") for i in range(N)]
    columns = rows(bmi=bmi) | {"x": [v.replace(".", ",") for v in rows()["x"]]}
    columns["age"] = [str(20 + i % 50) for i in range(N)]
    data, out = fit(tmp_path, columns, separator=";")
    assert all(c.numeric for c in Bundle.load(out).layout.columns)
    points = {k: [v.replace(",", ".") for v in c] for k, c in columns.items()}
    other = write_csv(tmp_path / "points.csv", points)
    labels = [row["label"] for row in predicted(out, data, tmp_path)]
    assert [row["label"] for row in predicted(out, other, tmp_path, "--decimal", ".")] == labels
    capsys.readouterr()
    assert main(["predict", out, other]) == 1
    refused(capsys, 1, "'x' holds '", "in row 1", "or say --decimal .")
    assert "decimal commas in 'x'" in inspect(out, capsys)


def test_thousands_are_not_guessed_at(tmp_path, capsys):
    columns = rows(pay=[f"{i + 1},{i:03d}" for i in range(N)])
    data = write_csv(tmp_path / "d.csv", columns)
    command = ["fit", data, "--target", "y", "--groups", "sex", "--out", str(tmp_path / "r.onnx")]
    assert main(command) == 1
    refused(capsys, 1, "'pay' holds '1,000'", "decimals or thousands", "--decimal ,")
    kinds = find_kinds({"a": ["1,250", "2,500"], "b": ["0,5", "1,75"], "c": ["1", "2"]})
    assert kinds.numbers == dict.fromkeys("abc", ",")


def test_kinds_are_told_in_one_table(tmp_path, capsys):
    columns = rows(
        ward=["Nord", "Süd"] * (N // 2),
        code=[f"{i % 7:02d}" for i in range(N)],
        admitted=[f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(N)],
        compact=[f"2024{1 + i % 12:02d}{1 + i % 28:02d}" for i in range(N)],
        when=[f"{i % 24}:{i % 60:02d}" for i in range(N)],
        patient=[f"p{i}" for i in range(N)],
        number=[str(10**17 + i) for i in range(N)],
        row=[str(i) for i in range(N)],
        mostly=[*["1", "2"] * (N // 2 - 1), "1", "n.d."],
        empty=[""] * N,
    )
    _, out = fit(tmp_path, columns)
    printed = " ".join(capsys.readouterr().out.split())
    for words in (
        "ward categories 'Nord', 'Süd'",
        "code categories '00', '01', '02', '03' and 3 more; '00' is a code",
        "admitted left out dates such as '2024-01-01'",
        "compact left out dates such as '20240101'",
        "when left out dates such as '0:00'",
        "patient left out 240 different texts in 240 rows look like an identifier",
        "number left out '100000000000000000' has more digits than a number keeps; 240 different",
        "row numbers it counts the rows",
        "mostly categories '1', '2', 'n.d.'; 'n.d.' is no number; if it means missing, say --m",
        "empty left out it is empty",
    ):
        assert words in printed, printed
    names = [c.name for c in Bundle.load(out).layout.columns]
    assert names == ["x", "ward", "code", "row", "mostly"]
    assert main(["predict", out, str(tmp_path / "d.csv")]) == 0


def test_categories_are_kept_where_they_are_asked_for(tmp_path, capsys):
    wave = [f"2024-0{1 + i % 3}-01" for i in range(N)]
    _, out = fit(tmp_path, rows(wave=wave, arm=["1", "2"] * 120), "--categories", "wave,arm")
    kinds = {c.name: c.numeric for c in Bundle.load(out).layout.columns}
    assert kinds == {"x": True, "wave": False, "arm": False}


def test_dates_and_codes():
    for dates in (["31.12.2024"], ["1/2/24"], ["2024-01-31T10:00:00Z"], ["Jan 5, 2024"], ["12:30"]):
        assert are_dates(dates)
    for others in (["1/2"], ["a"], ["2024"], ["60+"], ["1-2"]):
        assert not are_dates(others)
    assert codes_of(["0", "0.5", "-1", "10"]) is None
    assert codes_of(["1", "007"])


def test_labels_keep_their_text(tmp_path, capsys):
    labels = ["01" if v == "1" else "1" for v in rows()["y"]]
    _, out = fit(tmp_path, rows() | {"y": labels})
    assert Bundle.load(out).classes_.tolist() == ["01", "1"]


# files


def packed(path, text, how):
    if how == "gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif how == "utf-16":
        path.write_bytes(text.encode("utf-16"))
    elif how == "cp1252":
        path.write_bytes(text.encode("cp1252"))
    elif how == "tsv":
        path.write_text(text.replace(",", "\t"), encoding="utf-8")
    elif how == "crlf":
        path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    else:
        frame = pd.read_csv(io.StringIO(text), dtype={"sex": str, "ward": "category", "y": str})
        frame.to_parquet(path)
    return ["--encoding", "cp1252"] if how == "cp1252" else []


@pytest.mark.parametrize("how", ["gz", "utf-16", "cp1252", "tsv", "crlf", "parquet"])
def test_files_of_every_kind_are_read_alike(how, tmp_path, capsys):
    columns = rows(("1", "01"), ward=["Süd", "Nord"] * (N // 2))
    data, out = fit(tmp_path, columns)
    other = tmp_path / "other"
    options = packed(other, pd.DataFrame(columns).to_csv(index=False), how)
    labels = [row["label"] for row in predicted(out, data, tmp_path)]
    assert [row["label"] for row in predicted(out, other, tmp_path, *options)] == labels
    again = str(tmp_path / "again.onnx")
    command = ["fit", str(other), "--target", "y", "--groups", "sex", "--out", again, "--cv", "2"]
    assert main([*command, "--test", "0", "--policy", "best", *options]) == 0
    assert Bundle.load(again).schema == Bundle.load(out).schema
    assert [row["label"] for row in predicted(again, data, tmp_path)] == labels


def test_standard_input_and_output(tmp_path, capsys):
    data, out = fit(tmp_path, rows())
    text = Path(data).read_bytes()
    tool = [sys.executable, "-m", "fairuse_router"]
    run = subprocess.run([*tool, "predict", out, "-"], input=text, capture_output=True, check=True)
    labels = [row["label"] for row in csv.DictReader(io.StringIO(run.stdout.decode()))]
    assert labels == [row["label"] for row in predicted(out, data, tmp_path)]
    command = [*tool, "fit", "-", "--target", "y", "--groups", "sex", "--out", "-", "--cv", "2"]
    run = subprocess.run(command, input=text, capture_output=True, check=True)
    assert Bundle(run.stdout).schema.levels == (("F", "M"),)
    assert "standard input: 240 rows" in run.stderr.decode()


def test_separators_are_found_only_where_one_fits(tmp_path, capsys):
    for separator in ",;\t|":
        path = write_csv(tmp_path / "d.csv", {"a": ["1,5", "2;5|\t"], "b": ["x", "y"]}, separator)
        assert TableFile(path).names == ["a", "b"]
    (tmp_path / "both.csv").write_text("a;b,c;d\n1;2,3;4\n")
    with pytest.raises(ValueError, match="may be separated by ',' or ';': say which by --sep"):
        TableFile(str(tmp_path / "both.csv"))
    assert TableFile(str(tmp_path / "both.csv"), ";").names == ["a", "b,c", "d"]
    (tmp_path / "one.csv").write_text("a\n1\n")
    assert TableFile(str(tmp_path / "one.csv")).names == ["a"]
    (tmp_path / "half.csv").write_text('a,b\n1,"2\n')
    with pytest.raises(ValueError, match="no CSV file"):
        TableFile(str(tmp_path / "half.csv")).columns()
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(ValueError, match="workbook"):
        TableFile(str(tmp_path / "book.xlsx"))
    with pytest.raises(ValueError, match="--encoding morse is not known"):
        TableFile(str(tmp_path / "one.csv"), encoding="morse").columns()


def test_large_files_are_read_beyond_the_sample(tmp_path):
    cells = [f"{'ä' * (i % 50)}\n{i}" for i in range(20_000)]
    path = write_csv(tmp_path / "d.csv", {"a": cells, "b": cells})
    assert TableFile(path).columns() == {"a": cells, "b": cells}


# whose rows


def test_the_identifier_is_kept_and_named(tmp_path, capsys):
    columns = rows(patient=[f"=p{i}" for i in range(N)])
    data, out = fit(tmp_path, columns, "--id", "patient")
    assert [c.name for c in Bundle.load(out).layout.columns] == ["x"]
    found = predicted(out, data, tmp_path)
    assert [row["patient"] for row in found] == [f"'=p{i}" for i in range(N)]
    assert "'patient' tells whose row it is" in inspect(out, capsys)
    strange = write_csv(tmp_path / "s.csv", columns | {"x": ["1"] * 7 + ["tall"] * (N - 7)})
    assert main(["predict", out, strange]) == 1
    refused(capsys, 1, "'x' holds 'tall' in row 8 (patient '=p7')")
    strange = write_csv(tmp_path / "s.csv", columns | {"sex": ["F"] * 9 + ["X"] * (N - 9)})
    assert main(["predict", out, strange]) == 1
    refused(capsys, 1, "['X'], first in row 10 (patient '=p9')")
    assert main(["predict", out, data, "--id", "sex"]) == 0
    assert capsys.readouterr().out.startswith("sex,label,")
    assert main(["predict", out, data, "--id", "none"]) == 1
    refused(capsys, 1, "--id 'none' is not a column")


def test_a_file_without_a_group_column_withholds_it(tmp_path, capsys):
    columns = rows()
    _, out = fit(tmp_path, columns)
    del columns["sex"]
    silent = write_csv(tmp_path / "s.csv", columns)
    capsys.readouterr()
    assert {row["candidate"] for row in predicted(out, silent, tmp_path)} == {"generic"}
    assert "lacks 'sex', which every row withholds" in " ".join(capsys.readouterr().err.split())


# output


@POSIX
def test_output_that_is_an_input_is_refused(tmp_path, capsys):
    data, out = fit(tmp_path, rows())
    (tmp_path / "link.csv").symlink_to(data)
    (tmp_path / "hard.onnx").hardlink_to(out)
    for target in (data, str(tmp_path / "link.csv"), out, str(tmp_path / "hard.onnx")):
        assert main(["predict", out, data, "--out", target]) == 1
        refused(capsys, 1, "which is read")
    for target in (data, str(tmp_path / "link.csv"), str(tmp_path / "." / "d.csv")):
        assert main(["fit", data, "--target", "y", "--groups", "sex", "--out", target]) == 1
        refused(capsys, 1, "which is read")
    assert main(["predict", out, data, "--out", "/dev/null"]) == 1
    refused(capsys, 1, "a device")


@POSIX
@pytest.mark.parametrize(
    ("after", "environment", "code"),
    [
        ("", {"PYTHONIOENCODING": "ascii"}, 0),
        pytest.param("", {"PYTHONIOENCODING": "cp437"}, 0, marks=pytest.mark.slow),
        ("| head -n 1", {}, 0),
        ("> /dev/full", {}, 1),
        (">&-", {}, 0),
    ],
)
def test_output_that_fails_loses_no_bundle(after, environment, code, tmp_path, monkeypatch):
    data = write_csv(tmp_path / "d.csv", rows(("größer, 日本", "M")))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = f"{sys.executable} -m fairuse_router fit {data} --target y --groups sex --cv 2"
    line = f"{command} --out {tmp_path}/r.onnx {after}"
    run = subprocess.run(["bash", "-c", line], capture_output=True, check=False)
    said = run.stderr.decode(errors="replace")
    assert run.returncode == code, said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert Bundle.load(tmp_path / "r.onnx").schema.levels == (("M", "größer, 日本"),)
    if code:
        assert said.splitlines()[-1].startswith("fairuse-router: error: standard output: No")


def test_predictions_that_a_terminal_cannot_hold_end_in_a_line(tmp_path, capsys, monkeypatch):
    data, out = fit(tmp_path, rows() | {"y": ["größer" if v == "1" else "b" for v in rows()["y"]]})
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    tool = [sys.executable, "-m", "fairuse_router", "predict", out, data]
    run = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "standard output is ascii and cannot hold" in run.stderr
    assert "Traceback" not in run.stderr


def test_levels_cannot_steer_the_terminal(tmp_path, capsys):
    _, out = fit(tmp_path, rows(("\x1b[2Jnone", "\u202egnp.exe")))
    printed = capsys.readouterr()
    inspected = inspect(out, capsys)
    for text in (printed.out, printed.err, inspected):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert r"\x1b[2Jnone" in printed.out


def test_a_reading_that_is_damaged_is_refused():
    with pytest.raises(ValueError, match="is not a reading"):
        Reading.from_json('{"missing": 5, "commas": [], "id": null}')


# numbers keep their digits

LONG = {
    "seconds since 1970": lambda x: (1.7e9 + 30 * x).round(3),
    "codes above 2**24": lambda x: 2**31 + (300 * x).round(),
    "small steps on a large base": lambda x: 1e4 + 1e-4 * x.round(3),
}


@pytest.mark.parametrize("kind", LONG)
def test_numbers_of_more_digits_than_float32_holds(kind, tmp_path, capsys):
    columns = rows()
    values = LONG[kind](np.array(columns["x"], dtype=float))
    columns["x"] = [repr(float(v)) for v in values]
    data, out = fit(tmp_path, columns)
    assert "more digits than float32 holds" in " ".join(capsys.readouterr().out.split())
    assert Bundle.load(out).certificate["precision"] == "exact"
    found = [int(row["label"]) for row in predicted(out, data, tmp_path)]
    assert np.mean(np.array(found) == np.array(columns["y"], dtype=int)) > 0.85
    X = pd.DataFrame({"x": values, "sex": columns["sex"]})
    scaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    own = FairUseRouter(scaled, ["sex"], policy="best", cv=2, random_state=0)
    assert found == own.fit(X, np.array(columns["y"], dtype=int)).predict(X).tolist()


def test_numbers_that_float32_holds_make_fast_bundles(tmp_path, capsys):
    _, out = fit(tmp_path, rows(year=[str(1950 + i % 70) for i in range(N)]))
    assert "digits" not in capsys.readouterr().out
    assert Bundle.load(out).certificate["precision"] == "fast"
