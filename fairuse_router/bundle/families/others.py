"""Converters of other packages: onnxmltools' for LightGBM, registered where both are installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

_OF_CLASSIFIERS = {"nocl": [True, False], "zipmap": [True, False, "columns"]}


def register_others(estimators: Iterable[Any]) -> None:
    """Register converters of models that skl2onnx does not know and onnxmltools does.

    Parameters
    ----------
    estimators : iterable of estimator
        Those that the user has registered a converter for keep it.
    """
    for kind in {type(estimator) for estimator in estimators}:
        known = kind in sklearn_operator_name_map
        if known or kind.__name__ not in ("LGBMClassifier", "LGBMRegressor"):
            continue
        try:
            from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
        except ImportError:
            return
        classifies = kind.__name__ == "LGBMClassifier"
        update_registered_converter(
            kind,
            f"LightGbm{kind.__name__}",
            calculate_linear_classifier_output_shapes
            if classifies
            else calculate_linear_regressor_output_shapes,
            convert_lightgbm,
            options=_OF_CLASSIFIERS if classifies else {"split": None},
        )
