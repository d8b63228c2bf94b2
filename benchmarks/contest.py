"""Bundles and plain exports that are timed in turn on the same rows."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
import pandas as pd
from onnx import helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import BaseEstimator

from fairuse_router import FairUseRouter, export_bundle

GROUPS = ["sex", "age"]
LEVELS = {7: (2, 3), 25: (4, 6)}  # routes, generic among them, and the levels that make them
ROWS = 400  # a group
WIDTH = 30


def make_rows(n: int, routes: int, seed: int, texts: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers of two decimals, two group columns, and labels by slopes of each group's own."""
    rng = np.random.default_rng(seed)
    sexes, ages = LEVELS[routes]
    numbers = rng.normal(size=(n, WIDTH)).round(2)
    X = pd.DataFrame(numbers, columns=[f"x{j}" for j in range(WIDTH)])
    for j in range(texts):
        X[f"t{j}"] = rng.choice(["low", "middle", "high"], n)
    sex, age = rng.integers(sexes, size=n), rng.integers(ages, size=n)
    X["sex"], X["age"] = np.char.add("s", sex.astype(str)), np.char.add("a", age.astype(str))
    slopes = np.random.default_rng(1).normal(size=(sexes * ages, WIDTH))
    margin = (numbers * slopes[sex * ages + age]).sum(axis=1)
    return X, (margin + rng.logistic(size=n) > 0).astype(int)


def fit(
    estimator: BaseEstimator, routes: int, texts: int = 0, rival: str | None = "decoupled"
) -> FairUseRouter:
    """Fit a router that serves every group by a route of its own, and other reports by generic.

    Without a rival everybody is served by generic, whatever the report.
    """
    X, y = make_rows(ROWS * (routes - 1), routes, 0, texts)
    candidates = ("generic",) if rival is None else ("generic", rival)
    router = FairUseRouter(
        estimator, GROUPS, candidates=candidates, policy="best", cv=0.3, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nets stop early: time is what counts here
        router.fit(X, y)
    found, meant = len(router.routing_table_.routes), 1 if rival is None else routes
    if found != meant:
        raise RuntimeError(f"the router has {found} routes, {meant} were meant")
    return router


def plain(model: Any, features: pd.DataFrame, grouped: bool = False) -> bytes:
    """Plain skl2onnx export of one model; with the groups as one string tensor if it has them."""
    if grouped:
        types = [("X", FloatTensorType([None, WIDTH])), ("report", StringTensorType([None, 2]))]
    elif all(kind == "float64" for kind in features.dtypes):
        types = [("X", FloatTensorType([None, WIDTH]))]
    else:
        types = [
            (name, (FloatTensorType if kind == "float64" else StringTensorType)([None, 1]))
            for name, kind in features.dtypes.items()
        ]
    opsets = {"": 18, "ai.onnx.ml": 3}
    with (
        warnings.catch_warnings(),
        mock.patch.object(helper, "make_attribute", _whole(helper.make_attribute)),
    ):
        warnings.simplefilter("ignore")  # skl2onnx reads attributes that scikit-learn deprecates
        options = {"zipmap": False} | ({"raw_scores": True} if "SVC" in str(model) else {})
        return convert_sklearn(
            model, "plain", types, target_opset=opsets, options={_last(model): options}
        ).SerializeToString()


def _last(model: Any) -> Any:
    return id(model.steps[-1][1] if hasattr(model, "steps") else model)


def _whole(make: Callable[..., Any]) -> Callable[..., Any]:
    """skl2onnx passes booleans where onnx takes integers only (histogram boosting)."""

    def make_whole(key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, (list, np.ndarray)) and any(
            isinstance(v, (bool, np.bool_)) for v in value
        ):
            value = [int(v) for v in value]
        return make(key, value, *args, **kwargs)

    return make_whole


class Contest:
    """Sessions that are timed in turn on the same rows."""

    def __init__(self, router: FairUseRouter, threads: int, texts: int = 0) -> None:
        self.router = router
        self.threads = threads
        self.texts = texts
        self.sessions: dict[str, tuple[Any, ...]] = {}
        self.folder = tempfile.TemporaryDirectory()

    def open(self, model: bytes) -> Any:
        """Open a session with the number of threads asked for."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        # threads that spin after a call would take the processors from the next contender
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def add(self, name: str, *models: bytes) -> None:
        """Add a contender: one model, or one per route."""
        self.sessions[name] = tuple(self.open(model) for model in models)

    def add_bundle(self, name: str, other: FairUseRouter | None = None, **settings: Any) -> float:
        """Export the router, or another, and add it; return the seconds that the export took."""
        X, _ = make_rows(500, len(self.router.routing_table_.routes), 2, self.texts)
        path, start = Path(self.folder.name) / f"{name}.onnx", time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fast bundle warns of rounding
            export_bundle(other or self.router, path, X, **settings)
        seconds = time.perf_counter() - start
        self.add(name, path.read_bytes())
        return seconds

    def time(self, n: int, budget: float) -> dict[str, float]:
        """Seconds per call of every contender, of its fastest block.

        Of a contender with a model per route each row asks its own: in batches of one, and of a
        thousand or more, whose rows are split by route before the clock runs.
        """
        routes = len(self.router.routing_table_.routes)
        calls = {1: 64, 32: 16}.get(n, 1)
        X, _ = make_rows(n * calls, routes, 3, self.texts)
        X.loc[X.index % 10 == 0, "sex"] = "?"
        served = self.router.route(X).route
        blocks = {}
        for name, sessions in self.sessions.items():
            if len(sessions) > 1 and calls == 1:
                parts = [(session, X[served == r]) for r, session in enumerate(sessions)]
                blocks[name] = [(session, self._feed(session, part)) for session, part in parts]
                continue
            feeds = [self._feed(sessions[0], X.iloc[i : i + n]) for i in range(0, n * calls, n)]
            if len(sessions) == 1:
                blocks[name] = [(sessions[0], feed) for feed in feeds]
            elif n == 1:
                blocks[name] = [(sessions[served[i]], feed) for i, feed in enumerate(feeds)]
        best = dict.fromkeys(blocks, float("inf"))
        end = time.perf_counter() + budget
        turns = 0
        while turns < 3 or time.perf_counter() < end:
            turns += 1
            for name, block in blocks.items():
                start = time.perf_counter()
                for session, feed in block:
                    session.run(None, feed)
                best[name] = min(best[name], (time.perf_counter() - start) / calls)
        return best

    def _feed(self, session: Any, X: pd.DataFrame) -> dict[str, Any]:
        numbers = X[[f"x{j}" for j in range(WIDTH)]]
        kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64}
        feed = {}
        for i in session.get_inputs():
            if i.name == "report" and i.type == "tensor(int64)":
                feed[i.name] = self.router.schema_.encode(X)
            elif i.name == "report":
                feed[i.name] = X[GROUPS].to_numpy(dtype=object)
            elif i.name == "X":
                feed[i.name] = numbers.to_numpy(kinds[i.type])
            else:
                feed[i.name] = X[[i.name]].to_numpy(kinds.get(i.type, object))
        return feed


def models_of(router: FairUseRouter) -> list[Any]:
    """The model of every route, generic first."""
    candidates = router.candidates_
    return [
        candidates[r.candidate].models[
            0 if r.group is None else candidates[r.candidate].model_of_group[r.group]
        ]
        for r in router.routing_table_.routes
    ]
