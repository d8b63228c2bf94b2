"""Ways to break a file: each is a clear error of Bundle.load, at once and without eating memory.

The digest finds damage; the files that lie are sealed again, so that what lies behind is tested.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from fairuse_router.bundle import Bundle
from fairuse_router.bundle.file.digest import BLANK, KEY, is_intact, seal

WRITTEN = Path(__file__).parents[1] / "data" / "bundle_v1.onnx"
SECONDS, MEGABYTES = 3.0, 400


def sealed(model):
    """Bytes of a model with a digest that is right."""
    properties = {p.key: p.value for p in model.metadata_props}
    onnx.helper.set_model_props(model, {**properties, KEY: BLANK})
    return seal(model.SerializeToString(deterministic=True))


def with_metadata(change):
    """The bundle with other metadata: `change` edits a dictionary of parsed JSON."""
    model = onnx.load(WRITTEN)
    parts = {p.key.removeprefix("fairuse_router."): p.value for p in model.metadata_props}
    raw = ("sha256", "format_version")
    data = {k: v if k in raw else json.loads(v) for k, v in parts.items()}
    change(data)
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in data.items()}
    onnx.helper.set_model_props(model, {f"fairuse_router.{k}": v for k, v in texts.items()})
    return sealed(model)


def with_graph(change):
    """The bundle with another graph."""
    model = onnx.load(WRITTEN)
    change(model)
    return sealed(model)


def put(*path_and_value):
    """An edit that puts a value at a path of keys and places."""
    *path, last, value = path_and_value

    def change(data):
        for step in path:
            data = data[step]
        data[last] = value

    return change


def drop(key):
    """An edit that takes a key away."""
    return lambda data: data.pop(key)


def other_model():
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    return to_onnx(LogisticRegression().fit(X, X[:, 0] > 0), X)


def other_model_with_our_digest():
    return sealed(other_model())


# damage that the digest finds, or that leaves no digest
def flipped(place):
    content = bytearray(WRITTEN.read_bytes())
    content[int(place * len(content))] ^= 1
    return bytes(content)


DAMAGED = {
    "empty": lambda: b"",
    "text": lambda: b"sex,age\nF,3\n",
    "random": lambda: np.random.default_rng(0).bytes(50_000),
    "half of it": lambda: WRITTEN.read_bytes()[:17_000],
    "all but the last byte": lambda: WRITTEN.read_bytes()[:-1],
    "all but the first byte": lambda: WRITTEN.read_bytes()[1:],
    "more bytes": lambda: WRITTEN.read_bytes() + b"\0",
    "twice": lambda: WRITTEN.read_bytes() * 2,
    "flipped early": lambda: flipped(0.001),
    "flipped in the middle": lambda: flipped(0.5),
    "flipped late": lambda: flipped(0.999),
    "another producer's": lambda: other_model().SerializeToString(),
    "another producer's, sealed": other_model_with_our_digest,
}

SMALLEST = np.iinfo(np.int64).min
LYING = {
    # versions and keys
    "no version": (drop("format_version"), "no fairuse_router metadata"),
    "version 999": (put("format_version", "999"), "format_version is '999'.*reads up to"),
    "version 1.0": (put("format_version", "1.0"), "format_version is '1.0'"),
    "no table": (drop("routing_table"), "lacks .*routing_table"),
    "no JSON": (put("schema", "{'a': 1}"), "schema is no JSON"),
    "deep JSON": (put("audit", "[" * 200_000), "audit is no JSON"),
    "NaN": (put("certificate", '{"rows": NaN}'), "NaN is no number"),
    "a list": (put("features", []), "list as features, where a dictionary"),
    "a million digits": (put("audit", "1" * 1_000_000), "audit is no JSON"),
    # group attributes
    "no attributes": (put("schema", "attributes", []), "no group attributes"),
    "one attribute less": (put("schema", "attributes", ["sex"]), "1 group attributes, not all"),
    "no levels": (put("schema", "levels", 0, []), "'sex' has no levels"),
    "one level twice": (put("schema", "levels", 0, ["male", "male"]), "share a text"),
    "withheld as a level": (put("schema", "levels", 0, ["?", "male"]), "which withholds"),
    "absurd levels": (
        put("schema", "levels", [[str(i) for i in range(30_000)]] * 2),
        "span 9e.08 reports",
    ),
    "levels are numbers": (put("schema", "levels", 0, [1, 2]), r"1 as schema.levels\[0\]\[0\]"),
    "odd handling": (put("schema", "handle_unknown", "ignore"), "handle_unknown"),
    "positions overlap": (put("schema", "positions", [0, 0]), "do not add up"),
    "position is true": (put("schema", "positions", [True, 1]), "True as schema.positions"),
    # features
    "absurd width": (put("features", "width", 10**12), "1000000000000 columns"),
    "absurd position": (put("features", "columns", 0, "position", 10**30), "do not add up"),
    "no features": (put("features", "columns", []), "no features"),
    "no identifier": (put("features", "columns", 0, "input", "a b"), "no identifiers"),
    "another input": (put("features", "columns", 0, "input", "cp2"), "its metadata speaks of"),
    "number as text": (put("features", "columns", 1, "numeric", False), "speaks of"),
    "all are numbers": (put("features", "columns", 0, "numeric", True), "3 inputs, not 1"),
    "one name less": (put("features", "names", ["sex"]), "names for 1"),
    "odd numbers": (put("features", "number", "float16"), "numbers are odd"),
    # classes
    "one class": (put("classes", "labels", [0]), "fewer than two"),
    "three classes": (put("classes", "labels", [0, 1, 2]), "for 3 classes"),
    "classes twice": (put("classes", "labels", [1, 1]), "two classes are one"),
    "classes of nothing": (put("classes", "dtype", "|V8"), "V8"),
    "classes as text": (put("classes", "dtype", "<U9999"), "U9999"),
    "classes too large": (put("classes", "labels", [0, 2**70]), "not of the type"),
    "classes cut": (put("classes", {"dtype": "<U1", "labels": ["no", "yes"]}), "not of the type"),
    "no regression": (put("classes", None), "its output prediction is missing"),
    "text classes": (
        put("classes", {"dtype": "<U3", "labels": ["no", "yes"]}),
        "its output label is int64",
    ),
    # routing table
    "past the routes": (put("routing_table", "grid", 3, 99), r"points at route \[99\]"),
    "before the routes": (put("routing_table", "grid", 3, SMALLEST), "points at route"),
    "absurd route": (put("routing_table", "grid", 3, 10**400), "points at route"),
    "half a route": (put("routing_table", "grid", 3, 0.5), "0.5 as routing_table.grid"),
    "short grid": (put("routing_table", "grid", [0]), "1 of 9 reports"),
    "no routes": (put("routing_table", "routes", []), "no routes"),
    "unknown candidate": (
        put("routing_table", "routes", 1, "candidate", "best"),
        "no candidate 'best'",
    ),
    "absurd group": (put("routing_table", "routes", 1, "group", 10**9), "group 1000000000 of 4"),
    "no strength": (put("routing_table", "routes", 1, "strength", 0), "strength 0"),
    "absurd alpha": (put("routing_table", "alpha", 7), "alpha is 7"),
    "one record less": (lambda d: d["routing_table"]["groups"].pop(), "3 of 4 groups"),
    "records of others": (
        lambda d: d["routing_table"]["groups"].reverse(),
        "not those of its groups",
    ),
    "a gain in words": (put("routing_table", "groups", 0, "gain", "much"), "'much'"),
    "no risks": (put("routing_table", "groups", 0, "risks", [1]), "list as .*risks"),
    # other parts
    "candidates without names": (put("candidates", [{}]), r"no candidates\[0\].name"),
    "certificate without rows": (put("certificate", {}), "no certificate.rows"),
    "flips in words": (put("certificate", "label_flips", "none"), "'none' as certificate.label"),
    "versions are numbers": (put("certificate", "versions", {"numpy": 2}), "2 as certificate.ver"),
    "audit in words": (put("audit", "fine"), "audit is no JSON"),
}


def absurd_constant(model):
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend([2**40, 2**20])


def external_constant(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../../../../../etc/hostname"


def circle(model):
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def drop_node(model):
    del model.graph.node[3]


def unknown_operator(model):
    model.graph.node[0].op_type = "Unheard"


def unknown_domain(model):
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def rename_input(model):
    model.graph.input[0].name = "other"


def drop_output(model):
    model.graph.output.remove(next(o for o in model.graph.output if o.name == "route"))


def wide_report(model):
    report = next(i for i in model.graph.input if i.name == "report")
    report.type.tensor_type.shape.dim[1].dim_value = 3


def flat_report(model):
    report = next(i for i in model.graph.input if i.name == "report")
    del report.type.tensor_type.shape.dim[:]


def sequence_input(model):
    text = helper.make_tensor_type_proto(TensorProto.STRING, ["N", 2])
    report = next(i for i in model.graph.input if i.name == "report")
    report.type.CopyFrom(helper.make_sequence_type_proto(text))


def no_graph(model):
    model.ClearField("graph")


def far_opset(model):
    model.opset_import[0].version = 9999


GRAPHS = {
    f.__name__: f
    for f in (
        *(absurd_constant, external_constant, circle, drop_node, unknown_operator),
        *(unknown_domain, rename_input, drop_output, wide_report, flat_report, sequence_input),
        *(no_graph, far_opset),
    )
}


def files():
    """Every broken file, by name."""
    for name, make in DAMAGED.items():
        yield f"damaged: {name}", make
    for name, (change, _) in LYING.items():
        yield f"lying: {name}", lambda change=change: with_metadata(change)
    for name, change in GRAPHS.items():
        yield f"graph: {name}", lambda change=change: with_graph(change)


def refusal(content, tmp_path):
    """The message that a file is refused with."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.onnx' cannot be read: .*\.$") as caught:
        Bundle.load(path)
    return str(caught.value)


def test_the_file_that_is_broken_here_is_whole(tmp_path):
    (tmp_path / "same.onnx").write_bytes(with_metadata(lambda data: None))
    (tmp_path / "same_graph.onnx").write_bytes(with_graph(lambda model: None))
    for path in (WRITTEN, *tmp_path.iterdir()):
        assert is_intact(path.read_bytes())
        assert len(Bundle.load(path).classes_) == 2


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_found(name, tmp_path):
    message = refusal(DAMAGED[name](), tmp_path)
    assert "digest" in message or "no fairuse_router metadata" in message


def test_every_flipped_bit_is_found():
    content = WRITTEN.read_bytes()
    rng = np.random.default_rng(0)
    for place, bit in zip(rng.integers(0, len(content), 300), rng.integers(0, 8, 300), strict=True):
        broken = bytearray(content)
        broken[place] ^= 1 << bit
        with pytest.raises(ValueError, match="cannot be read"):
            Bundle(bytes(broken))


@pytest.mark.parametrize("name", LYING)
def test_lies_of_the_metadata_are_found(name, tmp_path):
    change, words = LYING[name]
    message = refusal(with_metadata(change), tmp_path)
    assert len(message) < 700
    with pytest.raises(ValueError, match=words):
        raise ValueError(message)


@pytest.mark.parametrize("name", GRAPHS)
def test_broken_graphs_are_refused(name, tmp_path):
    refusal(with_graph(GRAPHS[name]), tmp_path)


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(ValueError, match="there is no such file"):
            Bundle.load(path)


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "absurd.onnx"
    path.touch()
    os.truncate(path, 5 * 2**30)  # sparse: it takes no room on the disk
    start = time.monotonic()
    with pytest.raises(ValueError, match="5,368,709,120 bytes"):
        Bundle.load(path)
    assert time.monotonic() - start < 1


def test_new_keys_are_passed_over(tmp_path):
    def newer(data):
        data["routing_table"]["groups"][0]["later"] = data["schema"]["later"] = 1
        data["certificate"]["later"] = data["features"]["columns"][0]["later"] = []

    (tmp_path / "newer.onnx").write_bytes(with_metadata(newer))
    bundle = Bundle.load(tmp_path / "newer.onnx")
    assert str(bundle.routing_table) == str(Bundle.load(WRITTEN).routing_table)


@pytest.mark.skipif(os.name != "posix", reason="what a process took is told by POSIX")
@pytest.mark.slow
def test_no_broken_file_takes_long_or_much_memory(tmp_path):
    for i, (_, make) in enumerate(files()):
        (tmp_path / f"{i}.onnx").write_bytes(make())
    Bundle.load(WRITTEN)
    run = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    slowest, grown = map(float, run.stdout.split())
    assert slowest < SECONDS
    assert grown < MEGABYTES


def load_all(folder):
    """Load every file of a folder; print the longest time and what memory grew by."""
    import resource

    def megabytes():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 2**10)

    Bundle.load(WRITTEN)
    before, slowest = megabytes(), 0.0
    for path in Path(folder).iterdir():
        start = time.monotonic()
        try:
            Bundle.load(path)
        except ValueError:
            slowest = max(slowest, time.monotonic() - start)
        else:
            sys.exit(f"{path} was loaded")
    print(slowest, megabytes() - before)


if __name__ == "__main__":
    load_all(sys.argv[1])
