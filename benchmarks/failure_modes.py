"""How personalization harms a group, example by example, and what the router does about it.

Run ``python -m benchmarks.failure_modes``, with ``--figure FILE.png`` for a picture of the examples
in two dimensions. The examples are those of `fairuse_router.datasets.load_example`; each is fitted
with the model class that it speaks of. Errors are counted on deployment rows, in the numbers of the
paper: the router is trained on `Example.copies` copies of the training rows, and certified routes
on 60% of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.linear_erm import LinearERM
from benchmarks.outputs import write_csv, write_figure
from fairuse_router import FairUseRouter, GroupSchema
from fairuse_router.candidates.injection import inject
from fairuse_router.datasets import EXAMPLES, Example, ExampleRows, load_example

POLICIES = ("priced", "certified")
SURROGATES: dict[str, Any] = {
    "fewest errors": LinearERM(),
    "logistic": LogisticRegression(max_iter=2000),
    "LinearSVC": LinearSVC(max_iter=100_000, random_state=0),
}
SHORT = {"intersectional": "intersec."}


def one_feature() -> GridSearchCV:
    """Return a tree on one of two features, whichever errs less in 5-fold cross-validation."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    columns = [{"indices": [j], "axis": 1} for j in (0, 1)]
    tree = Pipeline(
        [("pick", FunctionTransformer(np.take)), ("tree", DecisionTreeClassifier(random_state=0))]
    )
    return GridSearchCV(
        tree.set_params(pick__kw_args=columns[0]), {"pick__kw_args": columns}, cv=folds
    )


def model_of(name: str) -> Any:
    """Return the unfitted model class that an example speaks of."""
    models = {
        "selection": one_feature(),
        "surrogate": SVC(kernel="linear"),
        "apnea": LogisticRegression(max_iter=1000),
    }
    return models.get(name, LinearERM())


Predict = Callable[[ExampleRows], np.ndarray]


def fit_both(
    estimator: Any, example: Example, *, technique: str | None = None
) -> tuple[Predict, Predict]:
    """Fit the generic and the personalized model without any router, to the same rows."""
    rows = example.training.repeat(example.copies)
    schema = GroupSchema.from_table(rows.to_array(), rows.group_columns)
    dummies, _ = getattr(schema, technique or example.technique)()

    def design(rows: ExampleRows) -> np.ndarray:
        ids = schema.report_ids(schema.encode(rows.to_array()))
        return np.hstack([rows.features, dummies[ids]])

    generic = clone(estimator).fit(rows.features, rows.y)
    personalized = inject(estimator, dummies.shape[1]).fit(design(rows), rows.y)
    return (
        lambda rows: generic.predict(rows.features),
        lambda rows: personalized.predict(design(rows)),
    )


def fit_router(example: Example, policy: str) -> FairUseRouter:
    """Train a router on the copies that the example asks for."""
    rows = example.training.repeat(example.copies)
    router = FairUseRouter(
        model_of(example.name), rows.group_columns, policy=policy, random_state=0
    )
    return router.fit(rows.to_array(), rows.y)


def routes(router: FairUseRouter) -> dict[str, str]:
    """Candidate that serves each group."""
    return {", ".join(record.report): record.candidate for record in router.routing_table_.groups}


def tell(example: Example) -> list[dict[str, Any]]:
    """Print who is harmed in an example, and where the router sends them; return all errors."""
    rows = example.deployment
    found = [rows.errors(h(rows)) for h in fit_both(model_of(example.name), example)]
    served = []
    for policy in POLICIES:
        router = fit_router(example, policy)
        found.append(rows.errors(router.predict(rows.to_array())))
        served.append(routes(router))
    ways = ("generic", "personalized", *POLICIES)
    lines = [
        {"example": example.name, "group": group, "way": way, "errors": errors[group]}
        for way, errors in zip(ways, found, strict=True)
        for group in errors
    ]
    sizes = {group: int((rows.group_names == group).sum()) for group in found[0]}

    def cell(errors: dict[str, int], groups: list[str]) -> str:
        wrong, n = sum(errors[g] for g in groups), sum(sizes[g] for g in groups)
        return f"{wrong / n:.1%}" if example.unit == "percent" else str(wrong)

    for i, group in enumerate([*example.harmed, "all"]):
        groups = list(sizes) if group == "all" else [group]
        source = example.source.split(",")[0]
        head = example.name if i == 0 else source if group == "all" else ""
        n = sum(sizes[g] for g in groups)
        line = f"{head:<13}{group:<14}{n:>6}"
        line += "".join(f"{cell(errors, groups):>7}" for errors in found[:2])
        for errors, route in zip(found[2:], served, strict=True):
            to = route.get(group, "")
            line += f"{cell(errors, groups):>6} {SHORT.get(to, to):<9}"
        print(line.rstrip(), flush=True)
    return lines


def tell_surrogates(example: Example) -> None:
    """Print what the fewest errors, and scikit-learn's linear models, do to those harmed."""
    line = f"{example.name:<13}"
    for estimator in SURROGATES.values():
        rows = example.deployment
        h0, h = (rows.errors(h(rows)) for h in fit_both(estimator, example))
        here = f"{h0[example.harmed[0]]} > {h[example.harmed[0]]}"
        everywhere = f"{sum(h0.values())} > {sum(h.values())}"
        line += f"{here:>10} ({everywhere + ')':<10}"
    print(line.rstrip(), flush=True)


def tell_label_shift() -> None:
    """Print what audits of the routed errors say, on training and on deployment rows."""
    example = load_example("label_shift")
    router = fit_router(example, "priced")
    for which in ("training", "deployment"):
        rows = getattr(example, which).repeat(example.copies)
        audit = router.audit(rows.to_array(), rows.y)
        (record,) = (
            r for r in audit.rationality if r.candidate == "routed" and r.group == example.harmed[0]
        )
        print(
            f"  {which + ' rows':<16} gain {record.gain:+.1%} over generic, {record.n} rows, "
            f"Holm p = {record.p_corrected:.0e}: {record.verdict}"
        )


def redraw_small_sample(draws: int, seed: int) -> dict[str, float]:
    """Share of training samples after which a group is harmed in deployment."""
    example = load_example("small_sample")
    true = example.deployment
    harmed = dict.fromkeys(("intersectional", "priced", "certified"), 0)
    for i in range(draws):
        index = np.random.default_rng([seed, i]).integers(len(true), size=len(example.training))
        rows = ExampleRows(true.features[index], true.groups[index], true.y[index])
        for policy in POLICIES:
            router = FairUseRouter(
                LogisticRegression(),
                rows.group_columns,
                candidates=("generic", "intersectional"),
                policy=policy,
                random_state=0,
            ).fit(rows.to_array(), rows.y)
            audit = router.audit(true.to_array(), true.y)
            worst = {
                name: min(r.gain for r in audit.rationality if r.candidate == name)
                for name in ("intersectional", "routed")
            }
            harmed[policy] += worst["routed"] < 0
            if policy == "priced":
                harmed["intersectional"] += worst["intersectional"] < 0
    return {name: count / draws for name, count in harmed.items()}


def draw_figure(path: str) -> None:
    """Draw data and boundaries of the examples with two features, a panel per group."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = ("slopes", "selection", "surrogate")
    figure, axes = plt.subplots(3, 3, figsize=(9, 8.4), layout="constrained")
    for line, name in zip(axes, names, strict=True):
        example = load_example(name)
        models = {
            "generic": (fit_both(model_of(name), example)[0], "0.6", "-"),
            "one-hot": (fit_both(model_of(name), example)[1], "black", "-"),
        }
        if name == "surrogate":
            models["one-hot, fewest errors"] = (fit_both(LinearERM(), example)[1], "black", ":")
        router = fit_router(example, "priced")
        groups = list(dict.fromkeys(example.training.group_names))
        for ax, group in zip(line, groups, strict=False):
            draw_group(ax, example, group, models, router)
        for ax in line[len(groups) :]:
            ax.axis("off")
        line[0].set_ylabel(f"{name}\n{example.source}\n\nx2")
    draw_legend(axes[2, 2])
    write_figure(figure, path, dpi=130)


def draw_group(
    ax: Any,
    example: Example,
    group: str,
    models: dict[str, tuple[Predict, str, str]],
    router: FairUseRouter,
) -> None:
    """Draw one group: its points, where each model changes its mind, and what is routed."""
    everyone = example.training
    low, high = everyone.features.min(axis=0), everyone.features.max(axis=0)
    pad = 0.2 * (high - low)
    x1, x2 = (np.linspace(a, b, 401) for a, b in zip(low - pad, high + pad, strict=True))
    grid = np.stack([axis.ravel() for axis in np.meshgrid(x1, x2)], axis=1)
    rows = ExampleRows(grid, np.full((len(grid), 1), group), np.zeros(len(grid), dtype=np.int64))
    routed = router.predict(rows.to_array()).reshape(401, 401)
    ax.contourf(x1, x2, routed, levels=[-0.5, 0.5, 1.5], colors=["#f6d5c8", "#cfe2f3"])
    for h, color, style in models.values():
        side = h(rows).reshape(401, 401)
        if np.ptp(side):
            ax.contour(x1, x2, side, levels=[0.5], colors=color, linestyles=style, linewidths=2)
    mine = everyone.group_names == group
    wrong = models["one-hot"][0](everyone) != everyone.y
    for label, marker, color in ((1, "P", "#1f5fa8"), (0, "o", "#c0492b")):
        points, counts = np.unique(
            everyone.features[mine & (everyone.y == label)], axis=0, return_counts=True
        )
        ax.scatter(*points.T, marker=marker, color=color, s=70, zorder=3)
        if counts.max() > 1:
            for point, count in zip(points, counts, strict=True):
                ax.annotate(str(count), point, xytext=(7, 6), textcoords="offset points")
    ax.scatter(*everyone.features[mine & wrong].T, s=220, facecolors="none", edgecolors="black")
    before, after = (everyone.errors(models[m][0](everyone))[group] for m in ("generic", "one-hot"))
    ax.set_title(
        f"{group}: errors generic {before}, one-hot {after},\nrouted "
        f"{everyone.errors(router.predict(everyone.to_array()))[group]} "
        f"(to {routes(router)[group]})",
        fontsize=10,
        color="#a00000" if group in example.harmed else "black",
    )
    ax.set_xlabel("x1")


def draw_legend(ax: Any) -> None:
    """Explain the marks, once, in an empty panel."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ring = {"marker": "o", "markerfacecolor": "none", "markeredgecolor": "black"}
    handles = [
        Line2D([], [], ls="", marker="P", color="#1f5fa8", label="positive (with count)"),
        Line2D([], [], ls="", marker="o", color="#c0492b", label="negative (with count)"),
        Line2D([], [], ls="", ms=13, **ring, label="wrong under one-hot"),
        Line2D([], [], color="0.6", lw=2, label="generic"),
        Line2D([], [], color="black", lw=2, label="one-hot, in this group"),
        Line2D([], [], color="black", lw=2, ls=":", label="one-hot, fewest errors"),
        Patch(color="#cfe2f3", label="routed: positive"),
        Patch(color="#f6d5c8", label="routed: negative"),
    ]
    ax.legend(handles=handles, loc="center", frameon=False)


def main() -> None:
    """Print the tables; draw the figure if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100, help="small samples to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", help="file for the errors of every group")
    parser.add_argument("--figure", metavar="FILE.png")
    options = parser.parse_args()
    start = time.perf_counter()
    print("Errors in deployment: generic, personalized, and routed (with the route)\n")
    policies = "".join(f"{policy:>12}    " for policy in POLICIES).rstrip()
    print(f"{'example':<13}{'group':<14}{'rows':>6}{'generic':>8}{'pers.':>6}{policies}")
    lines = [line for name in EXAMPLES for line in tell(load_example(name))]
    print("\nErrors of generic > personalized in the group harmed (and in all), by what a")
    print("linear model minimizes: the error itself, or a loss of scikit-learn's\n")
    print(f"{'example':<13}" + "".join(f"{name:>17}     " for name in SURROGATES).rstrip())
    for name in EXAMPLES:
        if name not in ("apnea", "selection"):  # too many points to enumerate; no linear model
            tell_surrogates(load_example(name))
    print("\nLabel shift, the audit of the routes ('priced') in group (0, 1)")
    tell_label_shift()
    shares = redraw_small_sample(options.draws, options.seed)
    print(
        f"\nSmall samples: {options.draws} times 500 rows from the deployment rows of Figure 5, "
        "seed "
        f"{options.seed}.\nA group is worse off than under generic (in percent, Monte-Carlo error):"
    )
    for name, share in shares.items():
        error = 100 * np.sqrt(share * (1 - share) / options.draws)
        print(f"  {name:<16}{100 * share:>4.0f} ({error:.1f})")
    rows = sum(len(load_example(n).training) * load_example(n).copies for n in EXAMPLES)
    print(f"\n{rows:,} training rows in all, {time.perf_counter() - start:.0f} s")
    write_csv(lines, options.csv)
    if options.figure:
        draw_figure(options.figure)


if __name__ == "__main__":
    main()
