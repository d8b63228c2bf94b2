"""The reference bundles: vectors replayed by plain onnxruntime, pages made from their data."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from fairuse_router import Bundle
from models import build, pages, vectors

ROOT = Path(build.__file__).parent
MANIFEST = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))


def facts_of(name):
    return json.loads((ROOT / name / "audit.json").read_text(encoding="utf-8"))


def test_the_three_models_are_there():
    assert set(build.NAMES) == {"heart_logistic", "heart_forest", "diabetes_ridge"}
    assert set(MANIFEST["models"]) == set(build.NAMES)


@pytest.mark.parametrize("name", build.NAMES)
def test_vectors_replay(name):
    model, folder = ROOT / name / f"{name}.onnx", ROOT / name / vectors.FOLDER
    assert vectors.difference(model, folder) <= 1e-6
    inputs, outputs = vectors.read(folder)
    assert [i.name for i in onnx.load(model).graph.input] == list(inputs)
    assert [o.name for o in onnx.load(model).graph.output] == list(outputs)
    reports = {tuple(report) for report in inputs["report"]}
    assert len(reports) == Bundle.load(model).schema.n_reports


def test_a_replay_can_fail(tmp_path):
    name = "heart_logistic"
    inputs, outputs = vectors.read(ROOT / name / vectors.FOLDER)
    assert {a.dtype.kind for a in inputs.values()} == {"f", "O"}
    for key, change in (("label", 1), ("probabilities", 1e-4)):
        wrong = {**outputs, key: outputs[key] + np.array(change, dtype=outputs[key].dtype)}
        for kind, tensors in (("input", inputs), ("output", wrong)):
            for i, (n, a) in enumerate(tensors.items()):
                tensor = onnx.numpy_helper.from_array(a, n)
                (tmp_path / f"{kind}_{i}.pb").write_bytes(tensor.SerializeToString())
        assert vectors.difference(ROOT / name / f"{name}.onnx", tmp_path) > 1e-5


@pytest.mark.parametrize("name", build.NAMES)
def test_manifest_and_audit_describe_the_file(name):
    model, entry = ROOT / name / f"{name}.onnx", MANIFEST["models"][name]
    assert (ROOT / entry["file"]) == model
    assert entry["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert entry["bytes"] == model.stat().st_size < 1_000_000
    bundle, file = Bundle.load(model), facts_of(name)["file"]
    assert entry["inputs"] == bundle.inputs == file["inputs"]
    assert entry["outputs"] == bundle.outputs == file["outputs"]
    assert file["certificate"] == bundle.certificate
    assert str(entry["format_version"]) == bundle.metadata["fairuse_router.format_version"]
    assert (
        facts_of(name)["card"]["routing_table"]["grid"]
        == bundle.routing_table.grid.ravel().tolist()
    )


@pytest.mark.parametrize("name", build.NAMES)
def test_cards_are_made_from_audit_json(name):
    facts, card = facts_of(name), (ROOT / name / "README.md").read_text(encoding="utf-8")
    assert card == pages.card_page(name, facts)
    assert facts["card"]["audit"] is not None
    assert "held-out rows, which no model has seen" in card
    assert "## What the policy promises" in card
    assert "## Limits" in card


def test_the_index_is_made_from_the_manifest():
    assert (ROOT / "README.md").read_text(encoding="utf-8") == pages.index_page(MANIFEST)


@pytest.mark.parametrize("name", build.NAMES)
def test_recipes_are_short(name):
    assert len((ROOT / name / "recipe.py").read_text(encoding="utf-8").splitlines()) <= 80


@pytest.mark.slow
@pytest.mark.parametrize("name", build.NAMES)
def test_a_refit_answers_the_same(name, capsys):
    assert build.main([name, "--check"]) == 0
    assert f"{name}: the same" in capsys.readouterr().out


def test_a_check_can_fail(monkeypatch, capsys):
    monkeypatch.setattr(build, "build", _other)
    assert build.main(["heart_logistic", "--check"]) == 1
    error = capsys.readouterr().err
    assert "its answers to the test vectors differ by inf" in error
    assert "its audit differs at card." in error


def _other(name, folder):
    """A build that gives another model with the same inputs."""
    (folder / f"{name}.onnx").write_bytes((ROOT / name / f"{name}.onnx").read_bytes())
    facts = facts_of(name)
    facts["card"]["audit"]["alpha"] = 0.2
    (folder / "audit.json").write_text(json.dumps(facts))
    model = onnx.load(folder / f"{name}.onnx")
    encoder = next(n for n in model.graph.node if n.op_type == "LabelEncoder")
    values = next(a for a in encoder.attribute if a.name == "values_int64s")
    values.ints[:] = [0] * len(values.ints)
    label = next(n for n in model.graph.node if "label" in n.output)
    label.output[list(label.output).index("label")] = "right"
    model.graph.node.append(onnx.helper.make_node("Neg", ["right"], ["label"]))
    onnx.save(model, folder / f"{name}.onnx")
