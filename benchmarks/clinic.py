"""The clinical report: what a clinic asks before it deploys, on two public cohorts.

Run ``python -m benchmarks.clinic``: texts to the terminal, pictures to ``docs/``. Framingham: a
statin from a ten-year risk of 10% on; WHAS: closer follow-up from a one-year mortality of 20% on.
Routers are trained on 60% of the rows, chosen by net benefit at that threshold, and everything
shown is of the other 40%.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.data import Data, load_framingham, load_whas500
from fairuse_router import FairUseRouter
from fairuse_router.displays import CalibrationDisplay, DecisionCurveDisplay

COHORTS = {"framingham": (load_framingham, 0.1), "whas500": (load_whas500, 0.2)}
DOCS = Path(__file__).parents[1] / "docs"


def estimator() -> Any:
    """A logistic regression of all features, as the cohorts have them."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore")
    encode = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (texts, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(encode, LogisticRegression(max_iter=2000))


def report(name: str, data: Data, threshold: float, folder: Path) -> None:
    """Print one cohort's report, and draw its pictures."""
    import matplotlib

    matplotlib.use("Agg")
    groups = data.X[data.group_attributes].astype(str).agg(", ".join, axis=1)
    strata = groups + data.y.astype(str)
    X, X_new, y, y_new = train_test_split(
        data.X, data.y, test_size=0.4, random_state=0, stratify=strata
    )
    metric = f"net_benefit@{threshold:g}"
    router = FairUseRouter(
        estimator(), data.group_attributes, metric=metric, threshold=threshold, random_state=0
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        router.fit(X, y)
    print(f"\n{'=' * 80}\n{name}: {len(X):,} rows train, {len(X_new):,} show; {metric}\n")
    print(router.routing_table_, "\n")
    for warning in told:
        print(f"Warning: {warning.message}\n")
    curve = router.decision_curve(X_new, y_new, thresholds=np.arange(1, 51) / 100)
    metrics = ["fnr", "fpr", "selection_rate", metric]
    for part in (
        curve,
        router.calibration(X_new, y_new),
        router.between_groups(X_new, y_new, metrics=metrics),
        router.ranking(X_new, y_new),
        router.leakage(X_new),
        router.monitor(X_new),
    ):
        print(part, "\n")
    for kind, display in (
        ("decision", DecisionCurveDisplay(curve).plot()),
        ("calibration", CalibrationDisplay.from_estimator(router, X_new, y_new)),
    ):
        path = folder / f"clinic_{name}_{kind}.png"
        display.figure_.savefig(path, dpi=90, metadata={"Software": None})
        print(f"wrote {path.name}")


def main() -> None:
    """Print both reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the pictures")
    options = parser.parse_args()
    for name, (load, threshold) in COHORTS.items():
        report(name, load(), threshold, options.out)


if __name__ == "__main__":
    main()
