"""The CLI refuses with one line of error that says what to do."""

import builtins
import subprocess
import sys

import pytest
from patients import GROUPS, patients, refused, router_default, write_csv
from platforms import POSIX

from fairuse_router import __version__
from fairuse_router.cli import main


def test_version_and_help(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fairuse-router {__version__}\n"
    for command in ([], ["demo"], ["fit"], ["predict"], ["inspect"]):
        assert main([*command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.count(f"({','.join(router_default('candidates'))})") == 2  # of demo and of fit
    assert printed.count(f"1 bold ({router_default('price'):g})") == 2


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["sing"],
        ["fit"],
        ["fit", "d.csv"],
        ["fit", "d.csv", "--target", "y", "--groups", "a", "--cv", "1"],
        ["fit", "d.csv", "--target", "y", "--groups", "a", "--cv", "x"],
        ["fit", "d.csv", "--target", "y", "--groups", "a", "--test", "1"],
        ["fit", "d.csv", "--target", "y", "--groups", "a", "--jobs", "0"],
        ["fit", "d.csv", "--target", "y", "--groups", "a", "--sep", "ab"],
        ["fit", "d.csv", "--target", "y", "--groups", "a", "--metric", "r2"],
        ["fit", "d.csv", "--target", "y", "--groups", "a", "--policy", "brave"],
        ["fit", "d.csv", "--target", "y"],
        ["predict", "r.onnx"],
    ],
)
def test_misspelt_commands_return_two(command, capsys):
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: " in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--candidates", "generic,magic"],
            "--candidates generic,magic: 'magic' is not known; choose from generic, onehot, "
            "intersectional, decoupled, multilevel",
        ),
        (["--candidates", "generic,,onehot"], "generic,,onehot: '' is not known"),
        (["--candidates", "generic,onehot,onehot"], "onehot,onehot: name each candidate once"),
        (["--candidates", "onehot"], "onehot lacks generic, which is always among them; add it"),
        (["--candidates", ""], "lacks generic"),
        (["--price", "0"], "--price: '0' is not allowed: give a number of points above"),
        (["--price", "nan"], "--price: 'nan' is not allowed"),
        (["--price", "inf"], "--price: 'inf' is not allowed"),
        (["--price", "few"], "--price: 'few' is not allowed"),
        (
            ["--policy", "best", "--price", "0.2"],
            "--price 0.2 does nothing under --policy best; it goes with --policy priced",
        ),
        (
            ["--metric", "squared_error", "--estimator", "logistic"],
            "--estimator logistic cannot predict measurements, which --metric squared_error judges",
        ),
        (["--estimator", "ridge"], "--estimator ridge cannot predict classes"),
    ],
)
def test_bad_requests_are_refused_before_the_file_is_read(options, words, capsys):
    assert main(["fit", "no.csv", *GROUPS, *options]) == 2
    refused(capsys, 2, words)


BAD_FILES = {
    "empty.csv": (b"", "empty.csv is empty"),
    "header.csv": (b"sex,age band,outcome\n", "has a header and no rows"),
    "ragged.csv": (b"a,b\n1,2\n1,2,3\n", "row 2 after the header has 3 cells, the header 2"),
    "twice.csv": (b"a,b,a\n1,2,3\n", "names ['a'] twice"),
    "latin.csv": ("größe\n1\n".encode("latin-1"), "is no text in UTF-8"),
    "binary.csv": (b"a,b\n1,\x00\n", "column"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_one_line_of_error(name, cli_fit, capsys, tmp_path):
    content, words = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    out = ["--out", str(tmp_path / "r.onnx")]
    assert main(["fit", str(tmp_path / name), *GROUPS, *out]) == 1
    refused(capsys, 1, words)
    assert main(["predict", cli_fit[1], str(tmp_path / name)]) == 1
    refused(capsys, 1)


def test_missing_files_are_one_line_of_error(cli_fit, capsys, tmp_path):
    data, path = cli_fit[:2]
    assert main(["fit", str(tmp_path / "no.csv"), *GROUPS]) == 1
    refused(capsys, 1, "no.csv: there is no such file")
    assert main(["predict", path, str(tmp_path)]) == 1
    refused(capsys, 1, "it is a folder")
    assert main(["predict", str(tmp_path / "no.onnx"), data]) == 1
    refused(capsys, 1, "no.onnx", "no such file")
    assert main(["inspect", data]) == 1
    refused(capsys, 1, "data.csv", "no ONNX model")
    assert main(["predict", path, data, "--out", str(tmp_path / "no" / "p.csv")]) == 1
    refused(capsys, 1, "--out=", "its folder does not exist")
    assert main(["fit", data, *GROUPS, "--out", str(tmp_path)]) == 1
    refused(capsys, 1, "is a folder")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "outcom", "--groups", "sex"], "Did you mean 'outcome'?"),
        (["--target", "outcome", "--groups", "gender"], "the group attribute 'gender'"),
        (["--target", "outcome", "--groups", "sex", "--drop", "w"], "the dropped column 'w'"),
        (["--target", "outcome", "--groups", "sex,outcome"], "'outcome' is named twice"),
        (["--target", "z", "--groups", "sex"], "or predict its value with --metric squared_error"),
        (
            ["--target", "outcome", "--groups", "sex", "--metric", "squared_error"],
            "is no finite number, and the metric is one of measurements",
        ),
        (["--target", "outcome", "--groups", "z"], "'z' has more than max_levels=100 levels"),
    ],
)
def test_bad_columns_are_one_line_of_error(options, words, cli_fit, capsys, tmp_path):
    assert main(["fit", cli_fit[0], *options, "--out", str(tmp_path / "r.onnx")]) == 1
    refused(capsys, 1, words)


def test_an_error_stands_on_a_line_of_its_own(capsys, tmp_path):
    columns = {"x": ["1", "2", "3", "4", "5", "6"], "s": ["a", "b"] * 3, "y": ["0"] * 5 + ["1"]}
    data, out = write_csv(tmp_path / "d.csv", columns), str(tmp_path / "r.onnx")
    assert main(["fit", data, "--target", "y", "--groups", "s", "--out", out, "--cv", "2"]) == 1
    refused(capsys, 1, "2 classes")


def test_predict_names_the_columns_that_are_missing(cli_fit, capsys, tmp_path):
    columns = patients()
    del columns["z"], columns["größe, cm"]
    data, out = write_csv(tmp_path / "d.csv", columns), tmp_path / "p.csv"
    assert main(["predict", cli_fit[1], data, "--out", str(out)]) == 1
    refused(capsys, 1, "lacks the columns 'größe, cm', 'z'")
    columns = {**patients(), "z": ["tall"] * 240}
    write_csv(tmp_path / "d.csv", columns)
    assert main(["predict", cli_fit[1], data, "--out", str(out)]) == 1
    refused(capsys, 1, "column 'z' holds 'tall' in row 1")
    assert list(tmp_path.iterdir()) == [tmp_path / "d.csv"]


def test_predict_prints_nothing_for_a_file_that_is_refused_at_once(cli_fit, capsys, tmp_path):
    data = write_csv(tmp_path / "d.csv", {**patients(), "sex": ["alien"] * 240})
    assert main(["predict", cli_fit[1], data]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "['alien']" in captured.err
    assert "train with handle_unknown='withhold'" in captured.err
    write_csv(tmp_path / "d.csv", {name: [] for name in patients()})
    assert main(["predict", cli_fit[1], data]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "has a header and no rows" in captured.err


def test_a_wrong_separator_is_guessed_at(cli_fit, capsys, tmp_path):
    data = write_csv(tmp_path / "d.csv", {"sex": ["F", "M"], "outcome": ["0", "1"]}, ";")
    out = ["--out", str(tmp_path / "r.onnx"), "--sep", ","]
    assert main(["fit", data, "--target", "outcome", "--groups", "sex", *out]) == 1
    refused(capsys, 1, "'outcome' is not a column", "Is the separator another (--sep)?")


def test_without_pandas_the_extra_is_named(cli_fit, capsys, monkeypatch):
    real = builtins.__import__

    def without_pandas(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError("No module named 'pandas'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "pandas")
    monkeypatch.setattr(builtins, "__import__", without_pandas)
    for command in (["demo"], ["fit", cli_fit[0], *GROUPS]):
        assert main(command) == 1
        refused(capsys, 1, 'pip install "fairuse-router[cli]"')


@POSIX
def test_a_reader_that_stops_is_no_error(cli_fit, tmp_path):
    command = f"{sys.executable} -m fairuse_router predict {cli_fit[1]} {cli_fit[0]} | head -n 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert run.stdout.startswith("label,")
    assert run.stderr == ""
