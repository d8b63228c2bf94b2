"""``fairuse-router fit``: from a CSV file to an audited bundle."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from fairuse_router.bundle import export_bundle
from fairuse_router.candidates.names import GENERIC, KNOWN
from fairuse_router.cli.console import (
    UsageError,
    certified,
    listing,
    note,
    paragraph,
    progress,
    size,
    warnings_as_notes,
)
from fairuse_router.cli.csvfile import CsvFile
from fairuse_router.cli.data import TrainingData, hold_out, prepare
from fairuse_router.cli.estimators import make_estimator
from fairuse_router.cli.parser import MEASURES
from fairuse_router.documents import check_target
from fairuse_router.grids import count
from fairuse_router.groups import GroupSchema
from fairuse_router.router import FairUseRouter
from fairuse_router.routing.policies.rules import POLICIES


def run(args: argparse.Namespace) -> None:
    """Fit, audit and write."""
    check_request(args)
    regression = args.metric in MEASURES
    args.estimator = _estimator(args.estimator, args.metric, regression)
    if not args.groups:
        raise UsageError("name the group attributes: --groups sex,age_band")
    file = CsvFile(args.data, args.sep)
    if "" in file.names:
        note("a column without a name is left out")
    data = prepare(file.columns(), args.target, args.groups, args.drop, args.withheld, regression)
    schema = GroupSchema.from_table(data.X, data.groups, withheld=args.withheld)
    training, held = hold_out(data.strata, schema.encode(data.X), args.test, args.seed)
    print(_opening(args, data, schema, len(training), len(held)), end="\n\n", flush=True)
    router = make_router(args, data).set_params(
        cv=args.cv, withheld=args.withheld, handle_unknown=args.handle_unknown
    )
    train(router, data.X.iloc[training], data.y[training])
    print(router.routing_table_, flush=True)
    if len(held):
        progress(f"auditing {count(len(held), 'row')}")
        with warnings_as_notes():
            print(f"\n{router.audit(data.X.iloc[held], data.y[held])}", flush=True)
    print(f"\n{write(router, args.out, data.X)}")


def check_request(args: argparse.Namespace) -> None:
    """Refuse what would fail only after the models are trained."""
    if args.policy not in POLICIES:
        raise UsageError(f"--policy {args.policy} is not known; choose from {', '.join(POLICIES)}")
    _check_candidates(args.candidates)
    if args.price is not None and args.policy in ("best", "assign_generic"):
        raise UsageError(
            f"--price {args.price:g} does nothing under --policy {args.policy}; it goes with "
            "--policy priced, tested or certified"
        )
    check_target(args.out, "--out")


def _estimator(kind: str | None, metric: str, regression: bool) -> str:
    """Return the kind of model; refuse one that cannot predict what the metric judges."""
    other = "logistic" if regression else "ridge"
    if kind == other:
        target = "measurements" if regression else "classes"
        raise UsageError(
            f"--estimator {kind} cannot predict {target}, which --metric {metric} judges; choose "
            f"{'ridge' if regression else 'logistic'}, forest, boosting or mlp"
        )
    return kind or ("ridge" if regression else "logistic")


def _check_candidates(names: list[str]) -> None:
    """Refuse names that the router would refuse, in the words of the command line."""
    got = f"--candidates {','.join(names)}"
    for name in names:
        if name not in KNOWN:
            raise UsageError(f"{got}: {name!r} is not known; choose from {', '.join(KNOWN)}")
    if len(set(names)) < len(names):
        raise UsageError(f"{got}: name each candidate once")
    if GENERIC not in names:
        raise UsageError(f"{got} lacks generic, which is always among them; add it")


def make_router(args: argparse.Namespace, data: TrainingData) -> FairUseRouter:
    """Return the unfitted router that the arguments ask for."""
    router = FairUseRouter(
        make_estimator(args.estimator, data.numbers, data.texts, args.seed, data.regression),
        data.groups,
        candidates=tuple(args.candidates),
        metric=args.metric,
        policy=args.policy,
        n_jobs=args.jobs,
        random_state=args.seed,
        verbose=1,
    )
    return router if args.price is None else router.set_params(price=args.price)


def train(router: FairUseRouter, X: Any, y: Any) -> None:
    """Fit, with warnings as notes."""
    with warnings_as_notes():
        try:
            router.fit(X, y)
        except BaseException:
            progress("")  # ends the router's own line of progress
            raise


def write(router: FairUseRouter, path: str, X: Any) -> str:
    """Write the bundle; tell what was certified."""
    progress(f"writing {path} and comparing it with the router")
    with warnings_as_notes():
        certificate = export_bundle(router, path, X)
    return paragraph(f"Wrote {path} ({size(path)}). {certified(certificate)}")


def _opening(
    args: argparse.Namespace, data: TrainingData, schema: GroupSchema, training: int, held: int
) -> str:
    if data.regression:
        shown = f"from {data.y.min():g} to {data.y.max():g}, mean {data.y.mean():.4g}"
    else:
        counts = Counter(data.y.tolist())
        shown = ", ".join(f"{label}: {n:,}" for label, n in sorted(counts.items())[:10])
    within = "group" if data.regression else "group and class"
    levels = "; ".join(
        f"{name} ({listing(of, 6)})"
        for name, of in zip(schema.attributes, schema.levels, strict=True)
    )
    split = (
        f"Training on {training:,} rows; {held:,} are held out for the audit, drawn at random "
        f"within every {within} (seed {args.seed})."
        if held
        else f"Training on all {training:,} rows; none are held out, so there is no audit."
    )
    lines = (
        f"{args.data}: {len(data.y):,} rows, target {args.target} ({shown})",
        f"Groups: {levels}; {schema.n_groups} in all",
        f"Features: {len(data.numbers)} numbers, {len(data.texts)} texts; {args.estimator}",
        split,
    )
    return "\n".join(paragraph(line) for line in lines)
