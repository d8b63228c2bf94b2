"""The wrapper that lets added columns pass by a Pipeline's steps, registered with skl2onnx."""

from __future__ import annotations

from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx._parse import _parse_sklearn
from sklearn.pipeline import Pipeline

from fairuse_router.bundle.families.encoders import ENCODERS
from fairuse_router.candidates.injection import KeepLast


def _parse_keep_last(
    scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None
) -> list[Any]:
    """Split the columns, transform the first, and put the last on the right again."""
    widths = [variable.type.shape[1] for variable in inputs]
    split = sum(widths) - model.n_last
    head, last, start = [], [], 0
    for variable, width in zip(inputs, widths, strict=True):
        before = min(max(split - start, 0), width)
        head += _cut(scope, variable, range(before))
        last += _cut(scope, variable, range(before, width))
        start += width
    first = model.transformer_
    while isinstance(first, Pipeline):
        first = first.steps[0][1]
    if not isinstance(first, (*ENCODERS, KeepLast)) and not hasattr(first, "transformers_"):
        head = _join(scope, head)
    out = _parse_sklearn(scope, model.transformer_, head, custom_parsers=custom_parsers)
    return _join(scope, [*out, *last])


def _cut(scope: Any, variable: Any, columns: range) -> list[Any]:
    """Some columns of a variable, as a list of none or one."""
    if not columns:
        return []
    if len(columns) == variable.type.shape[1]:
        return [variable]
    operator = scope.declare_local_operator("SklearnArrayFeatureExtractor")
    operator.inputs = [variable]
    operator.column_indices = list(columns)
    operator.outputs.append(scope.declare_local_variable("columns", variable.type))
    return list(operator.outputs)


def _join(scope: Any, variables: list[Any]) -> list[Any]:
    if len(variables) == 1:
        return variables
    operator = scope.declare_local_operator("SklearnConcat")
    operator.inputs = variables
    kind = type(variables[0].type)
    operator.outputs.append(scope.declare_local_variable("joined", kind([None, None])))
    return list(operator.outputs)


def _never(*_: Any) -> None:
    raise NotImplementedError("KeepLast is taken apart when the model is parsed")


def _shape(operator: Any) -> None:
    _never(operator)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    _never(scope, operator, container)


def register_keep_last() -> None:
    """Register the wrapper, so that skl2onnx converts estimators that hold it."""
    update_registered_converter(
        KeepLast, "FairUseRouterKeepLast", _shape, _convert, parser=_parse_keep_last
    )
