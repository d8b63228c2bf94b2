"""Known truth of recalibrated routes: what they gain over the same routes as they are.

Run ``python -m benchmarks.recalibration``. Populations of `make_population` whose groups differ
(intercept, interaction, slopes, mixed), six groups, ten covariates of three factors (naive Bayes
counts them several times), candidates generic, one-hot, intersectional and
decoupled, chosen by ``policy="best"`` in the Brier score, with and without ``recalibrate=True``.
Gains are of true risks over 20,000 fresh people, label noise integrated out, in points (hundredths)
of the Brier score and of the log loss. Harm: any group that the recalibration makes worse by more
than 0.2 points of the Brier score than it was as routed.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population

EFFECTS = ("intercept", "interaction", "slopes", "mixed")
ESTIMATORS = {
    "naive Bayes": GaussianNB(),
    "forest": RandomForestClassifier(30, random_state=0),
    "logistic": LogisticRegression(max_iter=1000),
}


def routers(estimator: Any, law: Any) -> list[FairUseRouter]:
    """A router as it is, and one whose routes may be recalibrated."""
    X, groups = law.to_frame(), list(law.group_attributes)
    settings = {"policy": "best", "metric": "brier", "partial": "generic", "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return [
            FairUseRouter(estimator, groups, recalibrate=r, **settings).fit(X, law.y)
            for r in (False, True)
        ]


def factors(seed: int) -> np.ndarray:
    """Covariates to draw from, shape (2000, 10)."""
    rng = np.random.default_rng([seed, 3])
    return rng.normal(size=(2000, 3)) @ rng.normal(size=(3, 10)) + rng.normal(size=(2000, 10))


def judge(name: str, n: int, populations: int) -> str:
    """What recalibration brings to one kind of model."""
    gains, harm, taken, routed = [], 0, 0, 0
    for seed in range(populations):
        law = make_population(
            n,
            n_groups=6,
            effect=EFFECTS[seed % 4],
            covariates=factors(seed),
            random_state=5000 + seed,
        )
        fresh = law.sample(20_000, random_state=8000 + seed)
        pair = routers(ESTIMATORS[name], law)
        p, q = (np.clip(r.predict_proba(fresh.to_frame())[:, 1], 1e-3, 1 - 1e-3) for r in pair)
        gains.append([fresh.true_risk(p, m) - fresh.true_risk(q, m) for m in ("brier", "log_loss")])
        own = fresh.true_group_risks(p, "brier") - fresh.true_group_risks(q, "brier")
        harm += bool(np.nanmin(own) < -0.002)
        served = [record.candidate for record in pair[1].routing_table_.groups]
        taken += sum(candidate.startswith("recalibrated") for candidate in served)
        routed += sum(candidate != "generic" for candidate in served)
    told = [
        f"{100 * g.mean():+.2f} ({100 * g.std(ddof=1) / np.sqrt(len(g)):.2f})"
        for g in np.array(gains).T
    ]
    return (
        f"{name:<13} n = {n:>5}  taken by {taken:>3} of {routed:>3} routes; Brier {told[0]}, log "
        f"loss {told[1]}; any group harmed in {harm} of {populations}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=16)
    options = parser.parse_args()
    start = time.process_time()
    for name in ESTIMATORS:
        for n in (500, 2000):
            print(judge(name, n, options.populations), flush=True)
    print(f"seeds from 0, {time.process_time() - start:.0f} s of one core")


if __name__ == "__main__":
    main()
