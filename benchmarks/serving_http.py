"""The server under load: latency, errors and memory, beside onnxruntime alone.

Run ``python -m benchmarks.serving_http``; ``--seconds 5`` for a look. It starts ``fairuse-router
serve`` on the reference bundle ``heart_logistic`` and asks it for 1 and for 100 rows over 8
connections that are kept open, from a process of its own; then the same bundle in a loop of one
thread, by onnxruntime alone. Callers and server share the cores.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime

from fairuse_router import Bundle
from fairuse_router.datasets import load_heart

MODEL = Path(__file__).parents[1] / "models" / "heart_logistic" / "heart_logistic.onnx"
DATATYPES = {"float32": "FP32", "object": "BYTES"}
CONNECTIONS = 8


def call(host: str, body: bytes, until: float, times: list[float], errors: list[str]) -> None:
    """Ask over one connection until it is time."""
    connection = http.client.HTTPConnection(host, timeout=30)
    while time.perf_counter() < until:
        start = time.perf_counter()
        connection.request("POST", "/v2/models/heart_logistic/infer", body)
        response = connection.getresponse()
        content = response.read()
        times.append(time.perf_counter() - start)
        if response.status != 200:
            errors.append(content.decode())
    connection.close()


def under_load(host: str, body: bytes, seconds: float) -> tuple[list[float], list[str]]:
    """Latencies and errors of all connections."""
    times: list[float] = []
    errors: list[str] = []
    until = time.perf_counter() + seconds
    asked = (host, body, until, times, errors)
    threads = [threading.Thread(target=call, args=asked) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, errors


def memory(pid: int) -> str:
    """Resident and peak memory of a process."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return "unknown"
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    now, peak = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return f"{now:.0f} MB, at most {peak:.0f} MB"


def line(name: str, times: list[float], more: str = "") -> str:
    """One line of the table."""
    middle, late = 1000 * np.percentile(times, [50, 99])
    rate = len(times) / sum(times) * (CONNECTIONS if more else 1)
    return f"{name:<34}{len(times):>8,}{rate:>10,.0f}{middle:>10.2f}{late:>10.2f}  {more}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    seconds = parser.parse_args().seconds
    X = load_heart(return_X_y=True, as_frame=True)[0]
    bundle = Bundle.load(MODEL)
    command = [sys.executable, "-m", "fairuse_router", "serve", "--port", "0", "--quiet"]
    with subprocess.Popen([*command, str(MODEL)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        host = server.stdout.readline().removeprefix("Serving http://").split("/")[0]
        print(f"{'':<34}{'answers':>8}{'a second':>10}{'p50 ms':>10}{'p99 ms':>10}")
        before = memory(server.pid)
        for n in (1, 100):
            feed = bundle.feed(X[:n])
            inputs = [
                {
                    "name": name,
                    "datatype": DATATYPES[tensor.dtype.name],
                    "shape": list(tensor.shape),
                    "data": [None if v != v else v for v in tensor.ravel().tolist()],
                }
                for name, tensor in feed.items()
            ]
            body = json.dumps({"inputs": inputs}).encode()
            times, errors = under_load(host, body, seconds)
            print(line(f"server, {n} rows, 8 connections", times, f"{len(errors)} errors"))
            session = onnxruntime.InferenceSession(MODEL)
            alone, until = [], time.perf_counter() + min(seconds, 5)
            while time.perf_counter() < until:
                start = time.perf_counter()
                session.run(None, feed)
                alone.append(time.perf_counter() - start)
            print(line(f"onnxruntime alone, {n} rows", alone))
        print(f"memory of the server: {before} before, {memory(server.pid)} after")
        server.terminate()


if __name__ == "__main__":
    main()
