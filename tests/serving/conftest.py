"""A real server on loopback, and the bundles that it serves."""

import numpy as np
import pandas as pd
import pytest
from engines_needed import need
from serving_process import running
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import Bundle, FairUseRouter, export_bundle


@pytest.fixture(scope="session")
def bundles(many_rows, tmp_path_factory):
    """Two files: all numbers, and texts with labels that are texts."""
    folder = tmp_path_factory.mktemp("served")
    X, y = many_rows.frame, many_rows.y
    router = FairUseRouter(LogisticRegression(), many_rows.groups, cv=2).fit(X, y)
    export_bundle(router, folder / "numbers.onnx", X)
    texts = pd.DataFrame({"pain": np.where(X["x"] > 0, "sévère", "none"), "sex": X["sex"]})
    other = FairUseRouter(
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
        ["sex"],
        cv=2,
        policy="best",
        handle_unknown="withhold",
    ).fit(texts, np.where(y == 1, "krank", "gesund"))
    export_bundle(other, folder / "texts.onnx", texts, precision="exact")
    return folder, {"numbers": X, "texts": texts}


@pytest.fixture(scope="session")
def server(bundles, tmp_path_factory):
    need("starlette", "uvicorn")
    folder, rows = bundles
    options = ("--timeout", "2", "--max-mb", "1", "--max-rows", "2000")
    opened = {name: Bundle.load(folder / f"{name}.onnx") for name in rows}
    where = tmp_path_factory.mktemp("log")
    with running([folder], where, *options, bundles=opened, rows=rows) as found:
        yield found
