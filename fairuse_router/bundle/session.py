"""Opening a model in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import onnxruntime


def open_session(model: bytes) -> Any:
    """Return an `onnxruntime.InferenceSession` on the CPU.

    What is wrong with a model is told by the exception, and not by a log.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
