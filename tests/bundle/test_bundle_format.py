"""The file: native fields, metadata, names, the same bytes for the same router, old versions."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from forced import EVERY, force
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import FairUseRouter
from fairuse_router.bundle import Bundle, export_bundle
from fairuse_router.bundle.file.layout import OUTPUTS
from fairuse_router.bundle.file.metadata import FORMAT_VERSION, KEYS, LATER
from fairuse_router.bundle.file.properties import READING
from fairuse_router.datasets import load_heart

DATA = Path(__file__).parents[1] / "data"
GROUPS = ["sex", "age_group"]


def heart_router(**settings):
    X, y = load_heart(return_X_y=True, as_frame=True)
    X = X.drop(columns=["ca", "thal"])
    encode = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    clf = make_pipeline(encode, LogisticRegression())
    router = FairUseRouter(clf, GROUPS, cv=2, random_state=0, **settings).fit(X, y)
    return force(router, EVERY), X


@pytest.fixture(scope="module")
def heart():
    return heart_router()


@pytest.fixture(scope="module")
def written(heart, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "heart.onnx"
    export_bundle(heart[0], path, heart[1])
    return path


# files of version 1
@pytest.mark.parametrize("name", ["bundle_v1", "bundle_v1_numbers"])
def test_files_of_version_1_are_still_served(name):
    bundle = Bundle.load(DATA / f"{name}.onnx")
    expected = json.loads((DATA / "bundle_v1.json").read_text(encoding="utf-8"))[name]
    X = pd.DataFrame(expected["X"])
    assert bundle.metadata["fairuse_router.format_version"] == "1"
    np.testing.assert_allclose(bundle.predict(X), expected["predict"], rtol=2e-5)
    assert bundle.route(X).route.tolist() == expected["route"]
    if "predict_proba" in expected:
        found = bundle.predict_proba(X)[:, 1]
        np.testing.assert_allclose(found, expected["predict_proba"], atol=1e-5)
    assert len(str(bundle.routing_table).splitlines()) > 8
    assert bundle.certificate["rows"] > 300


def test_old_files_are_what_they_were():
    """Old files are never written anew: that would test today's writer."""
    sizes = {p.name: p.stat().st_size for p in DATA.glob("bundle_v1*.onnx")}
    assert sizes == {"bundle_v1.onnx": 34100, "bundle_v1_numbers.onnx": 30710}


# the same bytes
def test_the_same_router_gives_the_same_bytes(heart, written, tmp_path):
    export_bundle(heart[0], tmp_path / "again.onnx", heart[1])
    assert (tmp_path / "again.onnx").read_bytes() == written.read_bytes()


@pytest.mark.slow
def test_the_same_bytes_in_other_processes(tmp_path):
    program = (
        "import sys; from test_bundle_format import *;"
        "router, X = heart_router(); export_bundle(router, sys.argv[1], X)"
    )
    files, here = [], Path(__file__)
    search = os.pathsep.join([str(here.parents[0]), str(here.parents[1])])
    for seed in ("1", "2"):  # the order of sets differs
        path = tmp_path / f"{seed}.onnx"
        command = [sys.executable, "-c", program, str(path)]
        told = {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed, "PYTHONPATH": search}
        environment = {**os.environ, **told}
        subprocess.run(command, check=True, env=environment)
        files.append(path.read_bytes())
    assert files[0] == files[1]


# what the file says of itself
def test_native_fields(written):
    model = onnx.load(written)
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_name == "fairuse-router"
    assert model.producer_version
    assert model.domain == "fairuse_router"
    assert model.model_version == FORMAT_VERSION
    assert "sex, age_group" in model.doc_string
    described = [*model.graph.input, *model.graph.output]
    assert all(value.doc_string for value in described)
    assert [value.name for value in model.graph.output] == ["label", "probabilities", "route"]


def test_metadata_is_json_with_sorted_keys_and_no_time(written):
    properties = onnxruntime.InferenceSession(written).get_modelmeta().custom_metadata_map
    names = {f"fairuse_router.{key}" for key in (*KEYS, "class_counts", "format_version", "sha256")}
    assert set(properties) == names
    for key in (*KEYS, "format_version"):
        text = properties[f"fairuse_router.{key}"]
        data = json.loads(text)
        assert text == json.dumps(data, sort_keys=True, ensure_ascii=False)
    everything = " ".join(properties.values())
    assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", everything)


def test_the_page_on_the_file_names_all_of_it():
    text = (DATA.parent.parent / "docs" / "bundle.md").read_text(encoding="utf-8")
    table = text.split("## Metadata")[1].split("## Versions")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", table, re.M))
    assert named == {*KEYS, *LATER, READING, "format_version", "sha256"}
    outputs = text.split("## Outputs")[1].split("## What")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", outputs, re.M)) == set(OUTPUTS)


def test_no_row_of_the_data_is_in_the_file(heart, written):
    X = heart[1]
    content = written.read_bytes()
    for column in X.select_dtypes("number"):
        values = X[column].to_numpy()
        for kind in (np.float32, np.float64):
            assert values.astype(kind).tobytes() not in content


def test_every_name_is_a_c_identifier(tmp_path):
    X, y = load_heart(return_X_y=True, as_frame=True)
    X = X[["sex", "age_group", "cp", "chol", "trestbps"]].rename(
        columns={"cp": "chest pain?", "chol": "1. Größe [mg/dl]", "trestbps": "label"}
    )
    encode = make_column_transformer((OneHotEncoder(), ["chest pain?"]), remainder=StandardScaler())
    router = FairUseRouter(make_pipeline(encode, LogisticRegression()), GROUPS, cv=2)
    export_bundle(force(router.fit(X, y), EVERY), tmp_path / "r.onnx", X)
    model = onnx.load(tmp_path / "r.onnx")
    names = {v.name for v in (*model.graph.input, *model.graph.output, *model.graph.initializer)}
    for node in model.graph.node:
        names.update([node.name, *node.input, *node.output])
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in names - {""})
    assert [v.name for v in model.graph.input] == [
        "chest_pain_",
        "_1__Gr__e__mg_dl_",
        "label_2",
        "report",
    ]
    bundle = Bundle.load(tmp_path / "r.onnx")
    assert bundle.predict(X).tolist() == router.predict(X).tolist()


# small cells
def test_numbers_of_small_groups_are_left_out(heart, tmp_path):
    router, X = heart
    rows = [record.rows for record in router.routing_table_.groups]
    export_bundle(router, tmp_path / "r.onnx", X, min_cell=min(rows) + 1)
    bundle = Bundle.load(tmp_path / "r.onnx")
    hidden = [record for record in bundle.routing_table.groups if record.rows is None]
    assert len(hidden) == 2  # the small one, and the next, as totals would give it away
    smallest = {record.report for record in hidden}
    assert router.routing_table_.groups[int(np.argmin(rows))].report in smallest
    assert all(not record.risks and record.gain is None for record in hidden)
    names = {", ".join(report) for report in smallest}
    found = [r for r in _records(bundle.audit_.to_dict()) if r["group"] in names]
    assert found
    assert all(not isinstance(value, float) for record in found for value in record.values())


def _records(data):
    """Every dictionary of an audit that has a group."""
    if isinstance(data, list):
        for value in data:
            yield from _records(value)
    elif isinstance(data, dict):
        if "group" in data:
            yield data
        for value in data.values():
            yield from _records(value)
