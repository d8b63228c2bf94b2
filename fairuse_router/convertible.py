"""What skl2onnx asks of an estimator that brings its own converter."""

from __future__ import annotations

import importlib
from typing import Any


class Convertible:
    """Three methods by which skl2onnx finds the converter without anybody registering it.

    The converter lies above the router, and loads skl2onnx: it is looked up when it is asked for.
    """

    def onnx_parser(self) -> Any:
        """Return the function that declares the outputs."""
        return lambda scope, inputs: [
            scope.declare_local_variable(name, kind) for name, kind in _converter().outputs_of(self)
        ]

    def onnx_shape_calculator(self) -> Any:
        """Return the function that gives the outputs their types."""
        return _converter().calculate_shapes

    def onnx_converter(self) -> Any:
        """Return the function that adds the graph to a model."""
        return _converter().convert


def _converter() -> Any:
    return importlib.import_module("fairuse_router.bundle.converter")
