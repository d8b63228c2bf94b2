"""Functions and tensors in other files are refused before a runtime follows them."""

import contextlib
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_bundle_damage import WRITTEN, sealed

from fairuse_router.bundle import Bundle, export_bundle
from fairuse_router.bundle.file.digest import is_intact


def external(name="x", where="secret.bin"):
    """A tensor of one number that lies in another file."""
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": where, "offset": "0", "length": "4"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def as_initializer(model):
    model.graph.initializer.append(external())


def as_constant(model):
    model.graph.node.insert(0, helper.make_node("Constant", [], ["x"], value=external()))


def as_sparse(model):
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    sparse = helper.make_sparse_tensor(external(), indices, [1])
    model.graph.sparse_initializer.append(sparse)


def in_a_branch(model):
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["b"], value=external())], "g", [], [out]
    )
    condition = numpy_helper.from_array(np.array(True), "c")
    model.graph.initializer.append(condition)
    node = helper.make_node("If", ["c"], ["x"], then_branch=inner, else_branch=inner)
    model.graph.node.insert(0, node)


def in_the_own_weights(model):
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            moved = external(tensor.name)
            moved.dims[:] = tensor.dims
            tensor.CopyFrom(moved)


def in_memory(model):
    model.graph.initializer.append(external(where="*/_ORT_MEM_ADDR_/*"))


@pytest.mark.parametrize(
    "change",
    [as_initializer, as_constant, as_sparse, in_a_branch, in_the_own_weights, in_memory],
    ids=lambda change: change.__name__,
)
def test_tensors_in_other_files_are_refused(change, tmp_path):
    model = onnx.load(WRITTEN)
    change(model)
    content = sealed(model)
    assert is_intact(content)
    (tmp_path / "secret.bin").write_bytes(np.ones(1000, np.float32).tobytes())
    (tmp_path / "r.onnx").write_bytes(content)
    with contextlib.chdir(tmp_path), pytest.raises(ValueError, match="tensors from other files"):
        Bundle.load("r.onnx")


@pytest.mark.parametrize("depth", [1, 40])
def test_functions_are_refused_at_once(depth):
    """Each calls the next four times: 4**40 nodes if they were put in line."""
    model = onnx.load(WRITTEN)
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("bomb", 1)]
    for i in range(depth):
        domain, op = ("bomb", f"f{i + 1}") if i + 1 < depth else ("", "Identity")
        nodes = [helper.make_node(op, [f"t{j}"], [f"t{j + 1}"], domain=domain) for j in range(4)]
        function = helper.make_function("bomb", f"f{i}", ["t0"], ["t4"], nodes, opset)
        model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("bomb", 1))
    model.graph.node.insert(0, helper.make_node("f0", ["report"], ["bombed"], domain="bomb"))
    content, start = sealed(model), time.monotonic()
    with pytest.raises(ValueError, match="holds functions"):
        Bundle(content)
    assert time.monotonic() - start < 1


def test_a_feature_called_location_is_no_foreign_part(tmp_path):
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    from fairuse_router import FairUseRouter

    rng = np.random.default_rng(0)
    names = ["location", "external_data", "sex"]
    X = pd.DataFrame(rng.normal(size=(80, 3)), columns=names).assign(sex=["F", "M"] * 40)
    router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X["location"] > 0)
    export_bundle(router, tmp_path / "r.onnx", X)
    assert (Bundle.load(tmp_path / "r.onnx").predict(X) == router.predict(X)).all()


def test_two_places_for_a_digest_are_one_too_many():
    content = WRITTEN.read_bytes()
    place = content.index(b"fairuse_router.sha256\x12\x40")
    copy = content[place : place + 23 + 64]
    assert is_intact(content)
    assert is_intact(copy + content) is None
    with pytest.raises(ValueError, match="no digest"):
        Bundle(content + copy)


@pytest.mark.parametrize("content", [b"\xff" * 40, b"\x07", b"\x0a\xff\xff\xff\xff\x0f", b""])
def test_what_is_no_message_is_no_model(content):
    from fairuse_router.bundle.file.foreign import refuse_foreign_parts

    if content in (b"", b"\x0a\xff\xff\xff\xff\x0f"):
        refuse_foreign_parts(content)  # the runtime says the rest
    else:
        with pytest.raises(ValueError, match="no ONNX model"):
            refuse_foreign_parts(content)
