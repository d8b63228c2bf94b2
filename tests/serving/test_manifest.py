"""What other servers want: read by their own schema where it is installed."""

import importlib.util
import json

import numpy as np
import onnxruntime
import pytest
from engines_needed import need

from fairuse_router import Bundle
from fairuse_router.cli import main
from fairuse_router.serving import export_serving


@pytest.mark.parametrize("name", ["numbers", "texts"])
def test_triton_reads_its_configuration(bundles, tmp_path, name):
    need("tritonclient", "google.protobuf")
    from google.protobuf import text_format

    root = importlib.util.find_spec("tritonclient").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("pb", f"{root}/grpc/model_config_pb2.py")
    schema = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(schema)
    folder, rows = bundles
    export_serving(folder / f"{name}.onnx", tmp_path)
    text = (tmp_path / name / "config.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, schema.ModelConfig())
    bundle = Bundle.load(folder / f"{name}.onnx")
    assert [i.name for i in config.input] == [i["name"] for i in bundle.inputs]
    assert [list(o.dims) for o in config.output] == [
        [-1 if d is None else d for d in o["shape"]] for o in bundle.outputs
    ]
    kinds = {"float32": schema.TYPE_FP32, "float64": schema.TYPE_FP64, "string": schema.TYPE_STRING}
    assert [i.data_type for i in config.input] == [kinds[i["type"]] for i in bundle.inputs]
    session = onnxruntime.InferenceSession(tmp_path / name / "1" / "model.onnx")
    label = session.run(["label"], bundle.feed(rows[name]))[0]
    assert np.array_equal(label, bundle.predict(rows[name]))


def test_the_command_writes_a_manifest(bundles, tmp_path, capsys):
    out = str(tmp_path / "models")
    words = [str(bundles[0] / "texts.onnx"), "--out", out, "--name", "Heart_1"]
    assert main(["export-serving", *words, "--storage-uri", "s3://b/m"]) == 0
    assert "--model-repository" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "models" / "Heart_1.kserve.json").read_text(encoding="utf-8"))
    assert manifest["metadata"]["name"] == "heart-1"
    model = manifest["spec"]["predictor"]["model"]
    assert (model["protocolVersion"], model["storageUri"]) == ("v2", "s3://b/m")
    with pytest.raises(ValueError, match=r"name='\.\./x' is not allowed"):
        export_serving(bundles[0] / "texts.onnx", tmp_path, name="../x")
