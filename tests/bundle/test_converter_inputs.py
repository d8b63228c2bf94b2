"""skl2onnx's initial types for a router: by name in any order, or an error of ours."""

import itertools

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(100, 3)), columns=["sex", "x", "z"])
X["sex"] = np.tile(["F", "M"], 50)
Y = (X["x"] * np.tile([1, -1], 50) > 0).astype(int)
TYPES = {"sex": StringTensorType, "x": FloatTensorType, "z": FloatTensorType}
OPSET = {"": 18, "ai.onnx.ml": 3}


@pytest.fixture(scope="module")
def router():
    return FairUseRouter(LogisticRegression(), ["sex"], policy="best", cv=2).fit(X, Y)


@pytest.mark.parametrize("order", itertools.permutations(TYPES))
def test_inputs_that_are_called_as_the_columns_may_come_in_any_order(order, router):
    types = [(name, TYPES[name]([None, 1])) for name in order]
    model = skl2onnx.convert_sklearn(router, initial_types=types, target_opset=OPSET)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    kinds = {"sex": object, "x": np.float32, "z": np.float32}
    feed = {name: X[[name]].to_numpy(kinds[name]) for name in order}
    assert (session.run(None, feed)[0].ravel() == router.predict(X)).all()


@pytest.mark.parametrize(
    "types",
    [
        [("X", FloatTensorType([None, 3]))],
        [(name, FloatTensorType([None, 1])) for name in TYPES],
        [(name, FloatTensorType([None, 1])) for name in "abc"],
    ],
)
def test_group_attributes_that_come_as_numbers_are_refused_by_name(types, router):
    with pytest.raises(ValueError, match="'sex' reaches the router as numbers; in training"):
        skl2onnx.convert_sklearn(router, initial_types=types, target_opset=OPSET)
