"""``fairuse-router fit``: from a table in a file to an audited bundle."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.audit import Audit
from fairuse_router.bundle import export_bundle
from fairuse_router.bundle.certified import certified
from fairuse_router.bundle.draft import Coarse
from fairuse_router.bundle.file.properties import READING, with_property
from fairuse_router.candidates.names import GENERIC, KNOWN
from fairuse_router.cli.cells import MISSING
from fairuse_router.cli.console import (
    UsageError,
    check_output,
    fold,
    listing,
    note,
    paragraph,
    progress,
    size,
    warnings_as_notes,
)
from fairuse_router.cli.data import Request, TrainingData, hold_out, prepare
from fairuse_router.cli.estimators import make_estimator
from fairuse_router.cli.parser import MEASURES
from fairuse_router.cli.tablefile import STREAM, TableFile
from fairuse_router.documents import write_whole
from fairuse_router.grids import WIDTH, Column, Grid, count
from fairuse_router.groups import GroupSchema
from fairuse_router.router import FairUseRouter
from fairuse_router.routing.policies.rules import POLICIES


def run(args: argparse.Namespace) -> None:
    """Fit, audit, write; and only then print, so that output that fails loses nothing."""
    check_request(args)
    regression = args.metric in MEASURES
    args.estimator = _estimator(args.estimator, args.metric, regression)
    if not args.groups:
        raise UsageError("name the group attributes: --groups sex,age_band")
    check_output(args.out, args.data)
    file = TableFile(args.data, args.sep, args.encoding)
    data = prepare(file.columns(), _request(args, file, regression))
    schema = GroupSchema.from_table(data.X, data.groups, withheld=args.withheld)
    training, held = hold_out(data.strata, schema.encode(data.X), args.test, args.seed)
    progress(f"fitting on {count(len(training), 'row')}")
    router = make_router(args, data).set_params(
        cv=args.cv, withheld=args.withheld, handle_unknown=args.handle_unknown
    )
    train(router, data.X.iloc[training], data.y[training])
    audit, failed = _audit(router, data, held)
    written = write(router, args.out, data, audit)
    if failed is not None:  # the bundle is there all the same
        raise failed
    texts = [_opening(args, file, data, schema, len(training), len(held)), _read_as(data)]
    texts.append(str(router.routing_table_))
    texts += [] if audit is None else [str(audit)]
    texts = [text for text in (*texts, written) if text]
    print("\n\n".join(texts), file=sys.stderr if args.out == STREAM else sys.stdout)


def _audit(
    router: FairUseRouter, data: TrainingData, held: NDArray[np.int64]
) -> tuple[Audit | None, ValueError | None]:
    """The audit of the rows that were held out, or why there is none."""
    if not len(held):
        return None, None
    progress(f"auditing {count(len(held), 'row')}")
    try:
        with warnings_as_notes():
            return router.audit(data.X.iloc[held], data.y[held]), None
    except ValueError as error:
        return None, error


def _request(args: argparse.Namespace, file: TableFile, regression: bool) -> Request:
    """What the arguments ask of the file."""
    usual = () if file.has_types else MISSING
    if "" in file.names:
        note("a column without a name is left out")
    return Request(
        args.target,
        args.groups,
        args.drop,
        args.categories,
        args.withheld,
        regression,
        missing=usual if args.missing is None else tuple(filter(None, args.missing)),
        decimal="." if file.has_types else args.decimal,
        id=args.id,
        typed=file.typed,
    )


def _read_as(data: TrainingData) -> str:
    """What became of columns that are not plainly numbers, as a table."""
    if not data.told:
        return ""
    columns = [Column("column", 21, left=True), Column("read as", 12, left=True)]
    room = WIDTH - sum(column.width for column in columns)
    rows = []
    for name, kind, why in data.told:
        first, *rest = fold(why, room)
        rows += [[name, kind, first], *(["", "", line] for line in rest)]
    return "\n".join(Grid([*columns, Column("why", left=True)], rows).lines())


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
    check_output(args.out)


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


def write(router: FairUseRouter, path: str, data: TrainingData, audit: Audit | None = None) -> str:
    """Write the bundle, and how files are read for it; tell what was certified."""
    progress(f"writing {path} and comparing it with the router")
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "router.onnx"
        with warnings_as_notes():
            certificate = _export(router, draft, data, audit)
        content = draft.read_bytes()
    if data.reading is not None:
        content = with_property(content, READING, data.reading.to_dict())
    if path == STREAM:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        write_whole(content, path, "--out")
    progress(f"wrote {path}")
    where = "standard output" if path == STREAM else path
    return paragraph(f"Wrote {where} ({size(len(content))}). {certified(certificate)}")


def _export(
    router: FairUseRouter, path: Path, data: TrainingData, audit: Audit | None
) -> dict[str, Any]:
    """Write a bundle of the numbers' precision, or of doubles where float32 does not do."""
    if data.precision == "fast":
        try:
            return export_bundle(router, path, data.X, audit=audit)
        except Coarse:
            note("float32 would change too many labels: the bundle takes doubles")
    return export_bundle(router, path, data.X, precision="exact", audit=audit)


def _opening(
    args: argparse.Namespace,
    file: TableFile,
    data: TrainingData,
    schema: GroupSchema,
    training: int,
    held: int,
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
        f"{file.path}: {len(data.y):,} rows, target {args.target} ({shown})",
        f"Groups: {levels}; {schema.n_groups} in all",
        f"Features: {len(data.numbers)} numbers, {len(data.texts)} texts; {args.estimator}",
        split,
    )
    return "\n".join(paragraph(line) for line in lines)
