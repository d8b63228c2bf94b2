"""Every classifier and regressor that skl2onnx converts, through fit, export and serving.

The list is skl2onnx's own registry. Each estimator trains a router on rows whose groups differ, so
that several models serve; is exported under both precisions; and the bundle is asked for other
rows under every report, and for none. What is refused is tried by plain skl2onnx, too:

    python -m benchmarks.converters [--only NAME ...]
"""

from __future__ import annotations

import argparse
import inspect
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx._supported_operators import sklearn_operator_name_map
from sklearn.base import ClassifierMixin, RegressorMixin, clone
from sklearn.linear_model import LogisticRegression, Ridge

from fairuse_router import Bundle, FairUseRouter, export_bundle

ROWS, SEED = 320, 0
GROUPS = ["sex", "age"]
FEATURES = ["a", "b", "c", "d"]
_SMALL = {"n_estimators": 10, "max_iter": 300, "cv": 2, "radius": 3.0, "random_state": 0}


@dataclass(frozen=True)
class Outcome:
    """What became of one estimator under one precision."""

    name: str
    kind: str
    precision: str
    works: bool
    note: str
    differ: int = 0
    asked: int = 0

    @property
    def excused(self) -> bool:
        """Whether it works, or plain skl2onnx fails, too, or the runtime's limit is named."""
        return self.works or self.note.startswith(("plain skl2onnx", "no router", "runtime"))


def registered() -> list[type]:
    """Classifiers and regressors of skl2onnx's registry, by name."""
    kinds = (ClassifierMixin, RegressorMixin)
    found = [c for c in sklearn_operator_name_map if isinstance(c, type) and issubclass(c, kinds)]
    own = [c for c in found if c.__module__.startswith("sklearn.")]
    return sorted(own, key=lambda c: c.__name__)


def instance_of(kind: type) -> Any:
    """Return an estimator of a class, small and seeded; what it wraps is linear."""
    inner = LogisticRegression() if issubclass(kind, ClassifierMixin) else Ridge()
    given = {"estimator": inner, "estimators": [("one", inner), ("two", clone(inner))]}
    given |= {"param_grid": {"fit_intercept": [True, False]}}
    names = inspect.signature(kind.__init__).parameters
    needed = {n: v for n, v in given.items() if n in names and names[n].default is inspect._empty}
    small = {n: v for n, v in _SMALL.items() if n in names}
    if "max_iter" in names and names["max_iter"].default is None:
        del small["max_iter"]
    if issubclass(kind, (ClassifierMixin, RegressorMixin)) and "min_samples" in names:
        needed["estimator"] = None  # RANSAC wants its own default
    return kind(**needed, **small)


def make_rows(regression: bool, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of four groups; in one of them the first feature speaks the other way round."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(0.1, 3.0, size=(ROWS, 4)), columns=FEATURES)
    X["sex"] = np.tile(["F", "M"], ROWS // 2)
    X["age"] = np.repeat(["old", "young"], ROWS // 2)
    flip = (X["sex"] == "M") & (X["age"] == "old")
    margin = np.where(flip, -2.0, 2.0) * (X["a"] - 1.5) + (X["b"] - 1.5)
    noisy = margin.to_numpy() + rng.normal(0, 0.5, ROWS)
    return X, np.exp(0.3 * noisy) if regression else (noisy > 0).astype(int)


def try_one(kind: type) -> list[Outcome]:
    """Fit, export and serve one estimator under both precisions."""
    regression = not issubclass(kind, ClassifierMixin)
    word = "regressor" if regression else "classifier"
    X, y = make_rows(regression, SEED)
    try:
        estimator = instance_of(kind)
        metric = "squared_error" if regression else "error"
        router = FairUseRouter(estimator, GROUPS, policy="best", metric=metric, cv=2)
        router.fit(X, y)
    except Exception as error:  # whatever an estimator raises is its own reason
        note = f"no router: {_line(error)}"
        return [Outcome(kind.__name__, word, p, False, note) for p in ("fast", "exact")]
    return [_export(kind, word, router, estimator, X, y, p) for p in ("fast", "exact")]


def _export(
    kind: type, word: str, router: Any, estimator: Any, X: Any, y: Any, precision: str
) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "router.onnx"
        try:
            certificate = export_bundle(router, path, X, precision=precision)
        except ValueError as error:
            note = _why(error, estimator, X, y, precision)
            return Outcome(kind.__name__, word, precision, False, note)
        differ, asked = _serve(Bundle.load(path), router, certificate["tolerance"])
    routes = len(np.unique(router.routing_table_.grid))
    note = f"{routes} routes, {differ} of {asked} answers differ"
    return Outcome(kind.__name__, word, precision, True, note, differ, asked)


def _serve(bundle: Bundle, router: Any, tolerance: float) -> tuple[int, int]:
    """Ask for rows that export has not seen, under every report, and for none.

    Returns how many labels differ (numbers: by more than ten times the tolerance), of how many.
    """
    X, _ = make_rows(bundle.classes_ is None, SEED + 1)
    differ = asked = 0
    for code in bundle.schema.report_codes:
        given = X.assign(**dict(zip(GROUPS, bundle.schema.report_texts(code), strict=True)))
        found, expected = bundle.predict(given), router.predict(given)
        asked += len(given)
        if bundle.classes_ is None:
            size = np.maximum(np.abs(expected), np.abs(expected).mean())
            differ += int((np.abs(found - expected) > 10 * tolerance * size).sum())
        else:
            differ += int((found != expected).sum())
    assert len(bundle.predict(X[:0])) == 0, "an empty batch has answers"
    return differ, asked


def _why(error: ValueError, estimator: Any, X: Any, y: Any, precision: str) -> str:
    """A refusal in one line, and whether plain skl2onnx converts the estimator."""
    if "most often in single precision" in str(error):
        return "runtime has no doubles for it: " + _line(error).partition(": ")[2]
    rows = X[FEATURES].to_numpy(np.float64 if precision == "exact" else np.float32)
    fitted = clone(estimator).fit(rows, y)
    try:
        opsets = {"": 18, "ai.onnx.ml": 3}
        options = {"zipmap": False} if isinstance(fitted, ClassifierMixin) else None
        model = to_onnx(fitted, rows[:1], target_opset=opsets, options=options)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        label = np.asarray(session.run(None, {"X": rows})[0]).ravel()
    except Exception as failure:  # skl2onnx and onnxruntime have no common exception
        return f"plain skl2onnx fails, too: {_line(failure)}"
    expected = fitted.predict(rows)
    gap = np.abs(label.astype(float) - expected.astype(float)) / (1 + np.abs(expected))
    if gap.max() > (1e-9 if precision == "exact" else 1e-5):
        return f"plain skl2onnx differs, too, by {gap.max():.0e}: {_line(error)}"
    return _line(error)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    start = text.find("was refused (")
    return text[start + 13 if start >= 0 else 0 :][:110]


def main(arguments: list[str] | None = None) -> int:
    """Print the table; fail where something is refused without excuse, or is exact and differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.converters")
    parser.add_argument("--only", nargs="*", default=None, help="names of estimators")
    only = parser.parse_args(arguments).only
    kinds = [k for k in registered() if only is None or k.__name__ in only]
    start, outcomes = time.perf_counter(), []
    for kind in kinds:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = try_one(kind)
        outcomes += found
        for o in found:
            print(f"{o.name:30} {o.precision:5} {'works' if o.works else 'refused':7} {o.note}")
        sys.stdout.flush()
    print()
    for precision in ("fast", "exact"):
        for word in ("classifier", "regressor"):
            some = [o for o in outcomes if o.precision == precision and o.kind == word]
            counts = Counter("works" if o.works else "excused" if o.excused else "?" for o in some)
            print(
                f"{word + 's, ' + precision:20} {counts['works']:3} of {len(some)} work; refused: "
                f"{counts['excused']} by fit, skl2onnx or the runtime, {counts['?']} by us alone; "
                f"{sum(o.differ for o in some)} of {sum(o.asked for o in some):,} answers differ"
            )
    print(f"{ROWS} rows, seed {SEED}, {time.perf_counter() - start:.0f} s")
    wrong = [o for o in outcomes if not o.excused or (o.precision == "exact" and o.differ)]
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
