"""Known truth by net benefit, and routes certified by time where the world changes.

Run ``python -m benchmarks.known_benefit``. *Chosen by*: logistic populations of `make_population`
whose groups differ (intercept, interaction, slopes, mixed) or not (none), n = 500 and 2,000, six
groups; routes are chosen by the net benefit at a threshold of 0.2, and by the error; all are
judged by the true net benefit at 0.2 over 20,000 fresh people, label noise integrated out. Harm:
any group that loses more than 0.2 points of the metric's unit (what right decisions on everybody
are worth over wrong ones). *By time*: 2,000 people in order of time; the
advantage of knowing the group fades linearly, before the rows that are opened or among them;
``policy="certified"`` with ``TimeSeriesSplit`` opens the last 40% and deploys what they show.
Wrong: any deployed group that is truly worse than generic in the error over the time that was
opened, and over the year that follows, as the world was at its last day, or when it turned round
after it. The promise is of the time that was opened; a gain that fades so that a straight line
leaves nothing of it on the last day is not deployed. Nothing is promised of what changes later.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population

METRIC = "net_benefit@0.2"
WAYS = {
    "net benefit": {"metric": METRIC},
    "net benefit, at price 1": {"metric": METRIC, "price": 1.0},
    "net benefit, at price .5": {"metric": METRIC, "price": 0.5},
    "error": {"metric": "error"},
    "error, at price 1": {"metric": "error", "price": 1.0},
}
EFFECTS = ("intercept", "interaction", "slopes", "mixed")
# group b's first coefficient: -1.5 at first, what it ends at, when it gets there, and afterwards
WORLDS = (
    ("nothing changes", -1.5, 1.0, -1.5),
    ("fades to a draw before, then stays", -0.3, 0.6, -0.3),
    ("fades halfway before, then stays", 0.0, 0.6, 0.0),
    ("is gone before, then stays", 1.5, 0.6, 1.5),
    ("fades halfway until the last day", 0.0, 1.0, 0.0),
    ("is gone on the last day", 1.5, 1.0, 1.5),
    ("turns round after the last day", -1.5, 1.0, 1.5),
)


def fitted(
    X: object, y: np.ndarray, groups: list, order: np.ndarray | None = None, **settings: object
) -> FairUseRouter:
    """A router around a logistic regression."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        estimator = LogisticRegression(max_iter=1000)
        return FairUseRouter(estimator, groups, random_state=0, **settings).fit(X, y, order=order)


def true_gains(router: FairUseRouter, fresh: object, unit: float) -> tuple[float, float, bool]:
    """True gain in net benefit of everybody, the worst group's, and whether any is harmed."""
    X = fresh.to_frame()
    generic = X.copy()
    generic[list(fresh.group_attributes)] = "?"
    risks = [
        (fresh.true_risk(p, METRIC), fresh.true_group_risks(p, METRIC))
        for p in (router.predict_proba(generic)[:, 1], router.predict_proba(X)[:, 1])
    ]
    own = risks[0][1] - risks[1][1]
    return risks[0][0] - risks[1][0], float(np.nanmin(own)), bool(np.nanmin(own) < -0.002 * unit)


def chosen_by(populations: int) -> None:
    """Print what each way to choose gains; where nothing is to be gained, in a third as many."""
    for n in (500, 2000):
        for effects, told in ((EFFECTS, "groups differ"), (("none",), "no effect    ")):
            found: dict[str, list[tuple[float, float, bool]]] = {name: [] for name in WAYS}
            for seed in range(populations if effects == EFFECTS else populations // 3):
                effect = effects[seed % len(effects)]
                law = make_population(n, n_groups=6, effect=effect, random_state=4000 + seed)
                fresh = law.sample(20_000, random_state=9000 + seed)
                share = float(fresh.y.mean())
                unit = share + 0.25 * (1 - share)
                for name, settings in WAYS.items():
                    router = fitted(law.to_frame(), law.y, list(law.group_attributes), **settings)
                    found[name].append(true_gains(router, fresh, unit))
            by_error = np.array([r[0] for r in found["error"]])
            for name, rows in found.items():
                gain, less = (
                    f"{100 * g.mean():+.2f} ({100 * g.std(ddof=1) / np.sqrt(len(g)):.2f})"
                    for g in (np.array([r[0] for r in rows]), [r[0] for r in rows] - by_error)
                )
                paired = "" if name == "error" else f", less that by the error {less}"
                print(
                    f"n = {n:>5}  {told}  by {name:<24} net benefit {gain} points{paired}; any "
                    f"group harmed in {np.mean([r[2] for r in rows]):.0%} of {len(rows)}",
                    flush=True,
                )


def slope_at(when: np.ndarray, end: float, until: float) -> np.ndarray:
    """Group b's first coefficient: from -1.5 at time 0 to `end` at time `until`, and on."""
    return -1.5 + (end + 1.5) * np.minimum(when / until, 1.0)


def law_of(slope: np.ndarray | float, x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """True probabilities: group a's first coefficient is 1.5 at all times."""
    return expit(np.where(g == 1, slope, 1.5) * x[:, 0] + x[:, 1])


def by_time(repetitions: int) -> None:
    """Print how often certified routes are worse than generic when opened, and later."""
    for told, end, until, later in WORLDS:
        wrong = {"opened": 0, "later": 0}
        deployed = 0
        for seed in range(repetitions):
            rng = np.random.default_rng([seed, 8])
            when = np.arange(2000) / 1999
            x, g = rng.normal(size=(2000, 2)), rng.integers(0, 2, 2000)
            y = (rng.random(2000) < law_of(slope_at(when, end, until), x, g)).astype(int)
            X = np.column_stack([x, g])
            router = fitted(X, y, [2], policy="certified", cv=TimeSeriesSplit(5), order=when)
            deployed += router.routing_table_.groups[1].candidate != "generic"
            x, g = rng.normal(size=(20_000, 2)), rng.integers(0, 2, 20_000)
            X = np.column_stack([x, g.astype(float)])
            hidden = X.copy()
            hidden[:, 2] = np.nan
            labels = router.predict(hidden), router.predict(X)
            opened = slope_at(0.6 + 0.4 * rng.random(20_000), end, until)
            for name, slope in (("opened", opened), ("later", later)):
                p = law_of(slope, x, g)
                risk = [np.where(label == 1, 1 - p, p) for label in labels]
                gains = [(risk[0] - risk[1])[g == k].mean() for k in (0, 1)]
                wrong[name] += min(gains) < -0.002
        print(
            f"{told:<34} the group that changes deployed in {deployed / repetitions:.3f}; any "
            f"worse when opened {wrong['opened'] / repetitions:.3f}, later "
            f"{wrong['later'] / repetitions:.3f}",
            flush=True,
        )
    error = np.sqrt(0.1 * 0.9 / repetitions)
    print(f"{repetitions} repetitions each, alpha 0.1, Monte-Carlo error at 0.1: {error:.3f}")


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=48, help="0: leave them out")
    parser.add_argument("--repetitions", type=int, default=500, help="0: leave them out")
    options = parser.parse_args()
    start = time.process_time()
    if options.repetitions:
        by_time(options.repetitions)
    if options.populations:
        chosen_by(options.populations)
    print(f"seeds from 0, {time.process_time() - start:.0f} s of one core")


if __name__ == "__main__":
    main()
