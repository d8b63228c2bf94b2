"""The command line: what it prints, what it writes, and how it refuses."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from patients import GROUPS, patients, read_csv, refused, router_default, write_csv
from sklearn.datasets import load_diabetes

from fairuse_router import Bundle, __version__
from fairuse_router.cli import fit as fit_command
from fairuse_router.cli import main
from fairuse_router.cli.cells import MISSING, to_numbers
from fairuse_router.cli.data import Request, hold_out, prepare
from fairuse_router.cli.parser import MEASURES, METRICS, build_parser, split_names
from fairuse_router.cli.tablefile import TableFile
from fairuse_router.cli.target import to_labels, to_measurements
from fairuse_router.metrics import get_metric

REFERENCE = Path(__file__).parents[2] / "models"
BUNDLES = sorted([*REFERENCE.glob("*/*.onnx"), *Path(__file__).parents[1].glob("data/*.onnx")])


def test_predictions_are_those_of_the_router(cli_fit, capsys, tmp_path):
    data, path, router, X = cli_fit
    out = str(tmp_path / "predictions.csv")
    assert main(["predict", path, data, "--out", out]) == 0
    assert "240 rows" in capsys.readouterr().out
    rows = read_csv(out)
    assert list(rows[0]) == [
        *("label", "probability_sick", "probability_well"),
        *("route", "candidate", "reason"),
    ]
    assert [row["label"] for row in rows] == router.predict(X).tolist()
    found = [[float(row["probability_sick"]), float(row["probability_well"])] for row in rows]
    np.testing.assert_allclose(found, router.predict_proba(X), atol=1e-5)
    routed = router.route(X)
    assert [row["candidate"] for row in rows] == routed.candidate.tolist()
    assert [row["reason"] for row in rows] == routed.reason.tolist()
    assert [int(row["route"]) for row in rows] == routed.route.tolist()
    assert len(set(routed.candidate)) > 1
    assert routed.candidate[[17, 19, 23]].tolist() == ["generic"] * 3


def test_fit_finds_the_group_that_needs_its_own_model(cli_fit):
    table = cli_fit[2].routing_table_
    assert table.schema.levels == (("1", "2"), ('"young"', "60, or more"))
    served = {record.report: record.candidate for record in table.groups}
    assert served["2", "60, or more"] == "decoupled"


def test_predict_writes_to_standard_output(cli_fit, capsys):
    data, path, router, X = cli_fit
    assert main(["predict", path, data]) == 0
    out, err = capsys.readouterr()
    labels = [row["label"] for row in csv.DictReader(out.splitlines())]
    assert labels == router.predict(X).tolist()
    assert err == ""


def test_predict_takes_columns_in_any_order_and_more_of_them(cli_fit, capsys, tmp_path):
    columns = patients()
    del columns["outcome"]
    columns = {"noise": ["a,b"] * 240, **dict(reversed(columns.items())), "": ["9"] * 240}
    columns["sex"] = [f"{cell}.0" if cell else "NA" for cell in columns["sex"]]
    columns["z"] = [f" {cell} " for cell in columns["z"]]  # numbers are numbers, blanks or not
    other = write_csv(tmp_path / "other.csv", columns, ";")
    assert main(["predict", cli_fit[1], other, "--sep", ";"]) == 0
    out = capsys.readouterr().out
    assert main(["predict", cli_fit[1], cli_fit[0]]) == 0
    assert out == capsys.readouterr().out


def test_predict_goes_batch_by_batch(cli_fit, capsys, monkeypatch):
    assert main(["predict", cli_fit[1], cli_fit[0]]) == 0
    whole = capsys.readouterr().out
    monkeypatch.setattr("fairuse_router.cli.predict._BATCH", 7)
    assert main(["predict", cli_fit[1], cli_fit[0]]) == 0
    assert capsys.readouterr().out == whole


def test_inspect_reads_the_file_alone(cli_fit, capsys, tmp_path):
    path, router = cli_fit[1], cli_fit[2]
    assert main(["inspect", path]) == 0
    out = capsys.readouterr().out
    table = out.split("Audit on")[0].splitlines()
    for name, record in zip(
        router.schema_.group_names(), router.routing_table_.groups, strict=True
    ):
        (line,) = (line for line in table if line.startswith(f"{name} "))
        assert str(record.rows) in line.split()
    for entry in onnxruntime.InferenceSession(path).get_inputs():
        assert f"  {entry.name} " in out
    for words in (
        "Classes: sick, well",
        "column größe, cm",
        "report holds sex, age band",
        "under each of 9 reports: 0 of 2,400 labels differ",
        "probabilities",
        *(f"onnxruntime {onnxruntime.__version__}", f"fairuse-router {__version__}"),
    ):
        assert words in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_inspect_reads_every_kind_of_bundle(path, capsys):
    assert main(["inspect", str(path)]) == 0
    certificate = Bundle.load(path).certificate
    checks = f"{certificate['checks']:,}"
    regression = "label_flips" not in certificate
    words = f"{checks} predictions differ by" if regression else f"of {checks} labels differ"
    assert words in " ".join(capsys.readouterr().out.split())


def test_predict_answers_with_the_numbers_of_a_regression(capsys, tmp_path):
    X = load_diabetes(scaled=False, as_frame=True).data.head(20)
    X = X.assign(sex=X["sex"].astype(int), age="<50")
    X.to_csv(tmp_path / "x.csv", index=False)
    path = REFERENCE / "diabetes_ridge" / "diabetes_ridge.onnx"
    assert main(["predict", str(path), str(tmp_path / "x.csv")]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    found = [float(row["prediction"]) for row in rows]
    np.testing.assert_allclose(found, Bundle.load(path).predict(X), rtol=1e-6)


def test_serving_needs_neither_scikit_learn_nor_pandas(cli_fit, tmp_path):
    code = (
        "import sys; from fairuse_router.cli import main; "
        f"assert main(['predict', {cli_fit[1]!r}, {cli_fit[0]!r}, '--out', 'p.csv']) == 0; "
        f"assert main(['inspect', {cli_fit[1]!r}]) == 0; "
        "bad = {'sklearn', 'skl2onnx', 'pandas'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    "estimator",
    [
        "forest",
        pytest.param("boosting", marks=pytest.mark.slow),
        pytest.param("mlp", marks=pytest.mark.slow),
    ],
)
def test_every_estimator_can_be_exported(estimator, capsys, tmp_path):
    data = write_csv(tmp_path / "d.csv", patients(120))
    out = str(tmp_path / "r.onnx")
    command = ["fit", data, *GROUPS, "--out", out, "--estimator", estimator, "--cv", "2"]
    assert main([*command, "--policy", "best", "--test", "0"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "so there is no audit" in printed
    assert "0 of 1,200 labels differ" in printed
    assert Bundle.load(out).certificate["label_flips"] == 0


@pytest.mark.parametrize(
    ("estimator", "metric"),
    [
        (None, "squared_error"),
        ("forest", "absolute_error"),
        pytest.param("boosting", "squared_error", marks=pytest.mark.slow),
        pytest.param("mlp", "squared_error", marks=pytest.mark.slow),
    ],
)
def test_measurements_are_predicted_as_the_router_does(
    estimator, metric, capsys, monkeypatch, tmp_path
):
    columns = patients(160)
    sick = np.array(columns.pop("outcome")) == "sick"
    numbers = np.array([float(cell or 0) for cell in columns["größe, cm"]])
    columns["dose"] = [f"{v:.2f}" for v in 40 + 10 * numbers + 5 * sick]
    columns["dose"][7] = ""
    kept, export = [], fit_command.export_bundle
    monkeypatch.setattr(
        fit_command, "export_bundle", lambda r, *a, **k: kept.append(r) or export(r, *a, **k)
    )
    data, out = write_csv(tmp_path / "d.csv", columns), str(tmp_path / "r.onnx")
    command = ["fit", data, "--target", "dose", "--groups", "sex,age band", "--out", out]
    options = ["--metric", metric, "--cv", "2", "--policy", "best"]
    options += [] if estimator is None else ["--estimator", estimator]
    assert main([*command, *options]) == 0
    printed = capsys.readouterr().out
    words = " ".join(printed.split())
    assert "1 row without a value left out" in words
    assert "(from 1" in words
    assert f"2 numbers, 1 texts; {estimator or 'ridge'}" in words
    assert "drawn at random within every group (seed 0)" in words
    assert f"{metric} (lower is better)" in words
    assert "1,590 predictions differ by at most" in words
    assert max(map(len, printed.splitlines())) <= 80
    assert main(["predict", out, data]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    found = np.array([float(row["prediction"]) for row in rows])
    assert all(len(row["prediction"]) <= 10 for row in rows)
    cells = TableFile(data).columns() | {"dose": ["1", "2"] * 80}  # so that every row is kept
    asked = prepare(cells, Request("dose", ["sex", "age band"], missing=MISSING)).X
    np.testing.assert_allclose(found, kept[0].predict(asked), rtol=1e-5)


def test_numbers_alone_several_classes_and_boolean_groups(capsys, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=150)
    columns = {
        "x": [f"{v:.4f}" for v in x],
        "smoker": rng.choice(["True", "False"], 150).tolist(),
        "pills": rng.choice(["0", "1", "2"], 150).tolist(),
        "stage": np.digitize(x, [-0.5, 0.5]).astype(str).tolist(),
        "empty": [""] * 150,
        "gone": rng.choice(["a", "b"], 150).tolist(),
        "mostly": [*map(str, range(149)), "n/d"],
        "id": [f"p{i}" for i in range(150)],
    }
    columns["stage"][3] = ""
    data, out = write_csv(tmp_path / "d.csv", columns), str(tmp_path / "r.onnx")
    command = ["fit", data, "--target", "stage", "--group", "smoker", "--group", "pills"]
    options = ["--drop", "gone,mostly", "--metric", "log_loss", "--cv", "2", "--policy", "best"]
    assert main([*command, *options, "--out", out]) == 0
    printed, err = capsys.readouterr()
    assert "note:" not in err
    for words in (
        "stage target 1 row without a label left out",
        "empty left out it is empty",
        "id left out 150 different texts in 149 rows look like an identifier".replace("150", "149"),
        "(0: ",
    ):
        assert words in " ".join(printed.split())
    bundle = Bundle.load(out)
    assert bundle.classes_.tolist() == [0, 1, 2]
    assert [c.name for c in bundle.layout.columns] == ["x"]
    assert bundle.schema.levels == (("False", "True"), ("0", "1", "2"))


def test_unknown_levels_do_as_the_router_was_told(cli_fit, capsys, tmp_path):
    columns = {**patients(), "sex": ["9"] * 240}
    strange = write_csv(tmp_path / "strange.csv", columns)
    assert main(["predict", cli_fit[1], strange]) == 1
    refused(capsys, 1, "'sex'", "['9']", "Known levels: ['1', '2']")
    out = str(tmp_path / "lenient.onnx")
    command = ["fit", cli_fit[0], *GROUPS, "--out", out, "--handle-unknown", "withhold"]
    assert main([*command, "--cv", "2", "--test", "0"]) == 0
    capsys.readouterr()
    assert main(["predict", out, strange]) == 0
    found = capsys.readouterr().out
    blank = write_csv(tmp_path / "blank.csv", {**columns, "sex": [""] * 240})
    assert main(["predict", out, blank]) == 0
    said = "sex = 9 was not known in training and counts as withheld; "
    assert found.count(said) == 240
    assert found.replace(said, "") == capsys.readouterr().out


def test_another_text_may_withhold(capsys, tmp_path):
    columns = patients(120)
    columns["sex"] = ["refused" if i % 10 == 0 else c for i, c in enumerate(columns["sex"])]
    data, out = write_csv(tmp_path / "d.csv", columns), str(tmp_path / "r.onnx")
    command = ["fit", data, *GROUPS, "--out", out, "--withheld", "refused", "--cv", "2"]
    assert main([*command, "--policy", "best"]) == 0
    assert Bundle.load(out).schema.levels[0] == ("1", "2")
    capsys.readouterr()
    assert main(["predict", out, data]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert {rows[i]["candidate"] for i in range(0, 120, 10)} == {"generic"}


def test_candidates_and_harm_reach_the_router(cli_fit, capsys, monkeypatch, tmp_path):
    kept = []
    train = fit_command.train
    monkeypatch.setattr(
        fit_command, "train", lambda router, X, y: kept.append(router) or train(router, X, y)
    )
    command = ["fit", cli_fit[0], *GROUPS, "--out", str(tmp_path / "r.onnx"), "--cv", "2"]
    command += ["--test", "0", "--candidates"]
    assert main([*command, "generic, multilevel", "--policy", "priced", "--price", "0.5"]) == 0
    assert "0 of 2,400 labels differ" in " ".join(capsys.readouterr().out.split())
    assert main([*command, "generic,decoupled", "--policy", "best"]) == 0
    priced, best = kept
    assert (priced.price, best.price) == (0.5, router_default("price"))
    assert list(priced.candidates_) == ["generic", "multilevel"]
    assert list(best.candidates_) == ["generic", "decoupled"]
    assert cli_fit[2].candidates == router_default("candidates")


# the parts


def test_names_are_split_as_in_csv():
    assert split_names('"height, cm", sex,"say ""hi"""') == ["height, cm", "sex", 'say "hi"']
    assert split_names("") == []
    args = build_parser().parse_args(
        ["fit", "d", "--target", "y", "--groups", "a,b", "--group", "c,d", "--groups", "e"]
    )
    assert args.groups == ["a", "b", "c,d", "e"]


def test_metrics_of_the_parser_are_known():
    assert not any(get_metric(name).regression for name in METRICS)
    assert all(get_metric(name).regression for name in MEASURES)


def test_cells_are_kept_to_the_letter(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes('\ufeffa,"b, ""c""",\n 1 , NA ,5\n\n"",?,6\n'.encode())
    assert TableFile(str(path)).columns() == {"a": [" 1 ", ""], 'b, "c"': [" NA ", "?"]}


def test_numbers_are_finite():
    np.testing.assert_array_equal(to_numbers(["1e2", None, " 3"], "x"), [100, np.nan, 3])
    for cell in ("inf", "1_0", "x"):
        with pytest.raises(ValueError, match=f"column 'x' holds '{cell}'"):
            to_numbers(["1", cell], "x")


def test_labels_are_integers_or_texts():
    assert to_labels(["0", "1", "1.0"], "y").tolist() == [0, 1, 1]
    assert to_labels(["0.5", "1", "1"], "y").tolist() == ["0.5", "1", "1"]
    with pytest.raises(ValueError, match="one class only, 'a'"):
        to_labels(["a", "a"], "y")
    with pytest.raises(ValueError, match="101 classes"):
        to_labels([f"c{i}" for i in range(101)], "y")


def test_measurements_are_finite_numbers():
    assert to_measurements(["0", "1.5", "-1e3"], "y").tolist() == [0, 1.5, -1000]
    for cell in ("a", "inf", "1_0"):
        with pytest.raises(ValueError, match=f"'y' holds '{cell}', which is no finite number"):
            to_measurements(["1", cell, "2"], "y")
    with pytest.raises(ValueError, match="one value only"):
        to_measurements(["1.0", "1"], "y")


def test_features_are_what_the_bundle_will_see():
    columns = {"x": ["0.1", "0.2", None], "s": ["a", "b", "a"], "y": ["0", "1", "1"]}
    data = prepare(columns, Request("y", ["s"]))
    np.testing.assert_array_equal(data.X["x"], np.float32([0.1, 0.2, np.nan]).astype(float))
    assert data.X["x"].dtype == np.float64
    with pytest.raises(ValueError, match="no column is left"):
        prepare({"s": ["a", "b"], "y": ["0", "1"]}, Request("y", ["s"]))
    with pytest.raises(ValueError, match="missing in every row"):
        prepare({"s": ["a"], "y": [None]}, Request("y", ["s"]))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_held_out_rows_are_drawn_within_groups_and_classes(share):
    rng = np.random.default_rng(1)
    y, codes = rng.integers(0, 2, 997), rng.integers(0, 3, (997, 2))
    training, held = hold_out(y, codes, share, 0)
    assert sorted([*training, *held]) == list(range(997))
    assert abs(len(held) - 997 * share) < 1
    cell = codes[:, 0] * 6 + codes[:, 1] * 2 + y
    expected = np.bincount(cell) * share
    assert (np.abs(np.bincount(cell[held], minlength=len(expected)) - expected) < 1).all()
    if share:
        assert not np.array_equal(hold_out(y, codes, share, 1)[1], held)


def test_what_only_one_row_knows_stays_in_training():
    y = np.array([0] * 20 + [1] * 20 + [2])
    codes = np.array([[1]] * 39 + [[2], [1]])
    for seed in range(20):
        _, held = hold_out(y, codes, 0.9, seed)
        assert not {39, 40} & set(held.tolist())


def test_frames_of_strings_reach_the_router(cli_fit):
    assert isinstance(cli_fit[3], pd.DataFrame)
    assert list(cli_fit[3].columns) == [name for name in patients() if name != "outcome"]
