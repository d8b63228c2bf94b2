"""The server: the protocol as others' clients speak it, limits, and that it outlives callers."""

import http.client
import json
import socket
import struct
import threading
import time
import urllib.request

import numpy as np
import pytest
from engines_needed import need
from serving_process import running

from fairuse_router import Bundle
from fairuse_router.serving.counts import Counts
from fairuse_router.serving.models import load_models

DATATYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "object": "BYTES"}


def ask(server, method, path, body=None, headers=None):
    """One request; the status and what was answered."""
    connection = http.client.HTTPConnection(server.host, timeout=20)
    text = json.dumps(body) if isinstance(body, dict | list) else body
    connection.request(method, path, text, headers or {})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content)


def request_of(bundle, X):
    """A request of the protocol in JSON."""
    return {
        "inputs": [
            {
                "name": name,
                "datatype": DATATYPES[tensor.dtype.name],
                "shape": list(tensor.shape),
                "data": tensor.tolist(),
            }
            for name, tensor in bundle.feed(X).items()
        ]
    }


# the protocol
@pytest.mark.parametrize("name", ["numbers", "texts"])
@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_gets_what_the_bundle_answers(server, name, binary):
    need("tritonclient")
    from tritonclient import http as triton
    from tritonclient import utils

    client = triton.InferenceServerClient(server.host)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name)
    bundle, X = server.bundles[name], server.rows[name]
    told = client.get_model_metadata(name, "1")
    assert [entry["name"] for entry in told["inputs"]] == [e["name"] for e in bundle.inputs]
    for n in (1, 1000 if name == "numbers" else 40):
        rows = X.iloc[np.arange(n) % len(X)]
        if n == 40:
            rows = rows.assign(sex=["?", "F", None, "never seen"] * 10)
        inputs = []
        for key, tensor in bundle.feed(rows).items():
            entry = triton.InferInput(key, list(tensor.shape), DATATYPES[tensor.dtype.name])
            entry.set_data_from_numpy(tensor, binary_data=binary)
            inputs.append(entry)
        wanted = ["label", "probabilities", "route"]
        outputs = [triton.InferRequestedOutput(o, binary_data=binary) for o in wanted]
        answer = client.infer(name, inputs, outputs=outputs, request_id="r1")
        label = answer.as_numpy("label")
        label = [v.decode() if isinstance(v, bytes) else v for v in label.tolist()]
        assert label == bundle.predict(rows).tolist()
        assert np.array_equal(answer.as_numpy("probabilities"), bundle.predict_proba(rows))
        assert np.array_equal(answer.as_numpy("route"), bundle.route(rows).route)
        assert answer.get_response()["id"] == "r1"
    with pytest.raises(utils.InferenceServerException, match="there is no such model"):
        client.get_model_metadata("no")
    client.close()


def test_addresses_and_what_they_answer(server):
    assert ask(server, "GET", "/v2/health/live") == (200, {"live": True})
    assert ask(server, "GET", "/v2/health/ready") == (200, {"ready": True})
    assert ask(server, "GET", "/v2")[1]["extensions"] == ["binary_tensor_data"]
    assert ask(server, "GET", "/v2/models/texts/versions/1/ready")[1]["ready"] is True
    inputs = ask(server, "GET", "/v2/models/texts")[1]["inputs"]
    assert {"name": "report", "datatype": "BYTES", "shape": [-1, 1]} in inputs
    bundle = server.bundles["texts"]
    plan = ask(server, "GET", "/v2/models/texts/plan")[1]
    assert plan == json.loads(json.dumps(bundle.routing_table.disclosure_plan().to_dict()))
    step = ask(server, "POST", "/v2/models/texts/plan", {"answers": {}})[1]
    expected = bundle.routing_table.disclosure_plan().next({})
    assert step == json.loads(json.dumps(vars(expected)))
    rows = [{"pain": "sévère", "sex": "F"}, {"pain": "none"}]
    told = ask(server, "POST", "/v2/models/texts/explain", {"rows": rows})[1]
    assert told["text"] == str(bundle.explain(rows))
    assert told["people"][0]["given"]["prediction"] == bundle.predict(rows)[0]


def test_null_is_a_missing_text_and_outputs_may_be_chosen(server):
    body = request_of(server.bundles["texts"], server.rows["texts"][:2])
    body["inputs"][1]["data"] = [[None], ["F"]]
    body["outputs"] = [{"name": "route"}]
    status, answer = ask(server, "POST", "/v2/models/texts/infer", body)
    assert status == 200
    assert [o["name"] for o in answer["outputs"]] == ["route"]
    assert answer["outputs"][0]["data"][0] == 0


# what is refused
def changed(body, **entry):
    """A request whose first input is another."""
    inputs = [{**body["inputs"][0], **entry}, *body["inputs"][1:]]
    return {**body, "inputs": inputs}


WRONG = {
    "another type": (lambda b: changed(b, datatype="INT64"), "the model takes FP32"),
    "another shape": (lambda b: changed(b, shape=[2, 3]), r"the model takes [N, 2]"),
    "negative": (lambda b: changed(b, shape=[-1, 2]), "the model takes [N, 2]"),
    "no rows": (lambda b: changed(b, shape=[0, 2], data=[]), "from 1 to 2,000"),
    "too many rows": (lambda b: changed(b, shape=[2001, 2]), "from 1 to 2,000"),
    "fewer values": (lambda b: changed(b, data=[1.0]), "holds 1 values"),
    "ragged": (lambda b: changed(b, data=[[1.0], [2.0, 3.0]]), "rows of 2"),
    "a text": (lambda b: changed(b, data=["a", 1, 1, 1]), "no FP32"),
    "a truth": (lambda b: changed(b, data=[True, 1, 1, 1]), "no FP32"),
    "too large": (lambda b: changed(b, data=[10**400, 1, 1, 1]), "too large"),
    "no data": (lambda b: changed(b, data=None), "neither data nor"),
    "missing": (lambda b: changed(b, data=[None, 1, 1, 1]), "is missing in row 0"),
    "another name": (lambda b: changed(b, name="Y"), "the model takes"),
    "one row fewer": (lambda b: changed(b, shape=[1, 2], data=[1, 1]), "the same number"),
    "no inputs": (lambda b: {}, "inputs is no list"),
    "no object": (lambda b: [], "no JSON object"),
    "another output": (lambda b: {**b, "outputs": [{"name": "no"}]}, "no output 'no'"),
    "outputs no list": (lambda b: {**b, "outputs": 1}, "outputs is no list"),
    "id no text": (lambda b: {**b, "id": 1}, "id is no text"),
    "bytes that lack": (
        lambda b: changed(b, data=None, parameters={"binary_data_size": 8}),
        "0 bytes are left",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_requests(server, wrong):
    change, message = WRONG[wrong]
    body = request_of(server.bundles["numbers"], server.rows["numbers"][:2])
    status, answer = ask(server, "POST", "/v2/models/numbers/infer", change(body))
    assert status == 400
    assert set(answer) == {"error"}
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        ('{"inputs": NaN}', "NaN is no number"),
        ("", "is no JSON"),
    ],
)
def test_bodies_that_are_no_json(server, body, message):
    status, answer = ask(server, "POST", "/v2/models/numbers/infer", body)
    assert status == 400
    assert message in answer["error"]


def test_levels_that_training_did_not_know(server):
    body = request_of(server.bundles["numbers"], server.rows["numbers"][:1])
    body["inputs"][1]["data"] = [["never", "seen"]]
    status, answer = ask(server, "POST", "/v2/models/numbers/infer", body)
    assert status == 400
    assert "cannot score these rows" in answer["error"]


@pytest.mark.parametrize("header", ["-1", "x", "1e9", "99999999"])
def test_headers_of_lengths_that_are_none(server, header):
    told = {"Inference-Header-Content-Length": header}
    status, answer = ask(server, "POST", "/v2/models/numbers/infer", "{}", told)
    assert status == 400
    assert "inference-header-content-length" in answer["error"]


def test_texts_behind_wrong_lengths(server):
    for blob in (b"\x05\x00\x00\x00ab", struct.pack("<I", 2**31) + b"a", b"\x01\x00\x00\x00\xff"):
        head = json.dumps(
            {
                "inputs": [
                    {"name": "pain", "datatype": "BYTES", "shape": [1, 1], "data": ["none"]},
                    {
                        "name": "report",
                        "datatype": "BYTES",
                        "shape": [1, 1],
                        "parameters": {"binary_data_size": len(blob)},
                    },
                ]
            }
        ).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        status, answer = ask(server, "POST", "/v2/models/texts/infer", head + blob, headers)
        assert status == 400
        assert "report holds" in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/no", 404),
        ("GET", "/v2/models/no", 404),
        ("GET", "/v2/models/texts/versions/2", 404),
        ("GET", "/plan", 404),  # of which of the two?
        ("DELETE", "/v2/models/texts", 405),
        ("POST", "/v2/models/no/infer", 404),
    ],
)
def test_addresses_that_are_none(server, method, path, status):
    found, answer = ask(server, method, path)
    assert found == status
    assert set(answer) == {"error"}


def test_explanations_and_plans_refuse_in_words(server):
    for path, body, message in (
        ("explain", {}, "rows is no list"),
        ("explain", {"rows": [1]}, "rows holds other than objects"),
        ("explain", {"rows": [{"sex": "F"}]}, "pain"),
        ("plan", {"answers": 1}, "answers is no object"),
        ("plan", {"answers": {"no": 1}}, "answers names 'no'"),
    ):
        status, answer = ask(server, "POST", f"/v2/models/texts/{path}", body)
        assert status == 400
        assert message in answer["error"]


# malformed, huge and slow: an error of the protocol's form, and the server lives
def raw(server, *parts, pause=0.0):
    """Send bytes, slowly if asked; return all that comes back."""
    host, port = server.host.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        connection.settimeout(10)
        found = b""
        while chunk := connection.recv(65536):
            found += chunk
    return found


def test_malformed_huge_and_slow_requests(server):
    post = b"POST /v2/models/numbers/infer HTTP/1.1\r\nhost: x\r\n"
    chunk = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"
    for parts, status, message in (
        ([b"NONSENSE\r\n\r\n"], 400, "Invalid HTTP"),
        ([post + b"content-length: 999999999999\r\n\r\n"], 413, "more than 1,048,576 bytes"),
        ([post + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 5], 413, "more than"),
        ([post + b"content-length: 100\r\n\r\n", b"{"], 408, "more than 2 seconds"),
        ([b"GET /v2 HTTP/1.1\r\nho"], 408, "more than 2 seconds"),
    ):
        found = raw(server, *parts)
        head, body = found.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 %d " % status), found
        assert message in json.loads(body)["error"]
        assert ask(server, "GET", "/v2/health/live")[0] == 200
    assert raw(server) == b""  # a connection on which nothing is ever said is closed


def test_many_at_once_are_all_answered(server):
    bundle, X = server.bundles["numbers"], server.rows["numbers"]
    expected, failed = bundle.predict(X).tolist(), []

    def caller(k):
        for i in range(k, 160, 8):
            body = request_of(bundle, X[i : i + 3])
            status, answer = ask(server, "POST", "/v2/models/numbers/infer", body)
            if status != 200 or answer["outputs"][0]["data"] != expected[i : i + 3]:
                failed.append((i, status, answer))

    callers = [threading.Thread(target=caller, args=(k,)) for k in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert not failed


# what is kept of callers
def test_the_log_knows_no_features_no_reports_and_no_addresses(server):
    secret = "s3cret-level"
    body = request_of(server.bundles["texts"], server.rows["texts"][:1])
    body["inputs"][1]["data"] = [[secret]]
    assert ask(server, "POST", "/v2/models/texts/infer", body)[0] == 200
    ask(server, "GET", f"/{secret}?{secret}")
    ask(server, "POST", "/v2/models/texts/explain", {"rows": [{"sex": secret}]})
    log = server.logged()
    assert "POST /v2/models/{model}/infer 200" in log
    assert "(no such address) 404" in log
    assert not [word for word in (secret, "127.0.0.1", "sévère") if word in log]


def test_counters_grow_in_steps(server):
    bundle, X = server.bundles["numbers"], server.rows["numbers"]
    route = bundle.route(X[:1]).route[0]
    silent = X[:1].assign(age="?")

    def counted():
        with urllib.request.urlopen(f"http://{server.host}/metrics") as response:
            return response.read().decode()

    for _ in range(7):
        for rows in (X[:1], silent):
            assert (
                ask(server, "POST", "/v2/models/numbers/infer", request_of(bundle, rows))[0] == 200
            )
    text = counted()
    (line,) = (
        line
        for line in text.splitlines()
        if line.startswith(f'fairuse_router_rows_total{{model="numbers",route="{route}"')
    )
    assert int(line.split()[-1]) % 5 == 0
    withheld = [
        line
        for line in text.splitlines()
        if line.startswith('fairuse_router_withheld_rows_total{model="numbers",attribute="age"')
    ]
    assert int(withheld[0].split()[-1]) == 5


def test_no_difference_of_two_readings_tells_of_fewer(server):
    bundle = server.bundles["numbers"]
    counts, seen = Counts(5), set()
    for _ in range(23):
        counts.served("m", bundle, np.array([["F", ""]], dtype=object), np.array([0]))
        rows = [
            x for x in counts.to_text().splitlines() if x.startswith("fairuse_router_rows_total")
        ]
        seen.add(int(rows[0].split()[-1]) if rows else 0)
    assert seen == {0, 5, 10, 15, 20}


# starting and stopping
def test_a_graceful_stop_answers_what_has_begun(bundles, tmp_path):
    need("starlette", "uvicorn")
    path, rows = bundles[0] / "numbers.onnx", bundles[1]["numbers"]
    body = json.dumps(request_of(Bundle.load(path), rows[:1])).encode()
    with running([path], tmp_path) as server:
        name, port = server.host.split(":")
        with socket.create_connection((name, int(port)), timeout=20) as connection:
            head = "POST /v2/models/numbers/infer HTTP/1.1\r\nhost: x\r\ncontent-length: "
            connection.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body[:20])
            time.sleep(0.3)
            server.process.terminate()
            time.sleep(0.3)
            connection.sendall(body[20:])
            found = connection.recv(65536)
        assert found.startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(timeout=20) == 0
    assert "Traceback" not in server.logged()


def test_one_bundle_alone_need_not_be_named(bundles, tmp_path):
    need("starlette", "uvicorn")
    with running([bundles[0] / "texts.onnx"], tmp_path, "--quiet") as server:
        assert ask(server, "GET", "/plan")[1]["attributes"] == ["sex"]
    assert server.logged() == ""


def test_what_cannot_be_served(bundles, tmp_path):
    need("starlette", "uvicorn")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no bundle to serve"):
        load_models([tmp_path / "empty"])
    with pytest.raises(ValueError, match="two bundles would be called 'texts'"):
        load_models([bundles[0] / "texts.onnx", bundles[0]])
    (tmp_path / "bad.onnx").write_bytes(b"no")
    with (
        pytest.raises(AssertionError, match="cannot be read: it is no ONNX model"),
        running([tmp_path / "bad.onnx"], tmp_path),
    ):
        pass
