"""The credentialed data sets' file format, on a file written here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("benchmarks.authors_format", reason="needs the repository's folder")
from benchmarks.authors_format import differences, load_authors

ROOT = Path(__file__).parent.parent
HELPER = """header,is_outcome,is_group_attribute,type,ordering
died,TRUE,FALSE,boolean,NA
sex,FALSE,TRUE,categorical,NA
age,FALSE,TRUE,categorical,NA
sofa,FALSE,FALSE,ordinal,low|mid|high
lactate,FALSE,FALSE,numeric,NA
unit,FALSE,FALSE,categorical,NA
vent,FALSE,FALSE,boolean,NA
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    n = 300
    sex, lactate = rng.choice(["Female", "Male"], n), rng.normal(2, 1, n)
    frame = pd.DataFrame(
        {
            "died": np.where(rng.random(n) < 1 / (1 + np.exp(1 - lactate)), 1, -1),
            "sex": sex,
            "age": rng.choice(["<30", "30_to_60", "60+"], n),
            "sofa": rng.choice(["low", "mid", "high"], n),
            "lactate": np.where(rng.random(n) < 0.1, np.nan, lactate),
            "unit": rng.choice(["MICU", "SICU"], n),
            "vent": rng.random(n) < 0.5,
        }
    )
    frame.to_csv(tmp_path / "saps_data.csv", index=False)
    (tmp_path / "saps_helper.csv").write_text(HELPER)
    return tmp_path


def test_columns_become_what_the_helper_says(folder):
    X, y, groups = load_authors(folder, "saps")
    assert groups == ["sex", "age"]
    assert list(X.columns) == ["sex", "age", "sofa", "lactate", "unit", "vent"]
    assert set(np.unique(y)) == {0, 1}
    assert set(X["sofa"].unique()) == {0.0, 1.0, 2.0}
    assert X["lactate"].isna().any()
    assert set(X["unit"]) == {"MICU", "SICU"}
    raw = pd.read_csv(folder / "saps_data.csv")
    assert (y == (raw["died"] == 1)).all()
    assert (X["sofa"] == raw["sofa"].map({"low": 0, "mid": 1, "high": 2})).all()
    assert differences("saps", load_authors(folder, "saps")) == [
        "300 rows where the paper has 7797",
        "4 features where the paper has 36",
        "6 groups where the paper has 4",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("died,TRUE", "died,FALSE", "marks 0 columns is_outcome; 1 to 1 are allowed"),
        (
            "sofa,FALSE",
            "sofas,FALSE",
            r"only in the helper \['sofas'\], only in the data \['sofa'\]",
        ),
        ("low|mid|high", "low|mid", r"'sofa' holds \['high'\], which its ordering"),
        ("numeric", "float", r"has the types \['float'\]; allowed are"),
        ("type", "kind", r"lacks the columns \['type'\]"),
        ("died,TRUE", "lactate,TRUE", "only in the data"),
    ],
)
def test_bad_helpers_are_refused(folder, old, new, message):
    path = folder / "saps_helper.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new))
    with pytest.raises(ValueError, match=message):
        load_authors(folder, "saps")


def test_missing_files_and_wrong_outcomes(folder):
    with pytest.raises(FileNotFoundError, match=r"apnea_data.csv is missing; apnea needs"):
        load_authors(folder, "apnea")
    frame = pd.read_csv(folder / "saps_data.csv").assign(died=2)
    frame.to_csv(folder / "saps_data.csv", index=False)
    with pytest.raises(ValueError, match="an outcome is 0 or 1"):
        load_authors(folder, "saps")


@pytest.mark.slow
def test_the_command_fills_the_table(folder):
    command = [sys.executable, "-m", "benchmarks.paper_tables", "--data", "saps,apnea"]
    options = ["--folder", str(folder), "--models", "logistic regression", "--policies", "priced"]
    (folder / "apnea_data.csv").write_bytes((folder / "saps_data.csv").read_bytes())
    (folder / "apnea_helper.csv").write_bytes((folder / "saps_helper.csv").read_bytes())
    run = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "saps: 300 rows, 4 features. 300 rows where the paper has 7797" in run
    assert "[18.9%]" in run  # Table 1, saps, error, 1Hot
    assert "routed, priced" in run
    assert "1Hot in the group" in run  # Table 2
    bare = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "saps: needs the credentialed file: python -m benchmarks.paper_tables" in bare


def test_ordered_numbers_with_gaps_and_text_among_numbers(folder):
    helper = folder / "saps_helper.csv"
    about = pd.read_csv(helper, dtype=str)
    frame = pd.read_csv(folder / "saps_data.csv")
    frame["sofa"] = [0.0, np.nan, 2.0] * 100  # pandas reads numbers with a gap as floats
    frame.to_csv(folder / "saps_data.csv", index=False)
    row = {"header": "sofa", "is_outcome": "0", "is_group_attribute": "0"}
    about.loc[len(about)] = row | {"type": "ordinal", "ordering": "0|1|2"}
    about.to_csv(helper, index=False)
    rank = load_authors(folder, "saps").X["sofa"]
    assert rank[:3].fillna(-1).tolist() == [0, -1, 2]
    frame["sofa"] = ["low", "2", "1"] * 100
    frame.to_csv(folder / "saps_data.csv", index=False)
    about.loc[about.index[-1], "type"] = "numeric"
    about.to_csv(helper, index=False)
    with pytest.raises(ValueError, match=r"'sofa' is .* holds what is no number"):
        load_authors(folder, "saps")
