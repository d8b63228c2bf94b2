"""Audits of predictions in tables, those of Parquet of any size, or at several sites."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from fairuse_router.audit import AuditSums, audit_sums, federate
from fairuse_router.audit.arguments import read_metrics
from fairuse_router.card import AuditCard
from fairuse_router.cli.card import check_page
from fairuse_router.cli.console import (
    UsageError,
    check_output,
    listing,
    note,
    warnings_as_notes,
)
from fairuse_router.cli.scoretable import read_scores
from fairuse_router.cli.tablefile import STREAM
from fairuse_router.documents import write_whole


def audit_scores(args: argparse.Namespace) -> None:
    """Print the audit; write its sums, or itself as JSON, where asked."""
    files, alpha = [args.bundle, *args.data], args.alpha or 0.1
    for path in (args.sums, args.out):
        if path is not None:
            check_output(path, *files)
    if args.card is not None:
        check_page("--card", args.card, *files)
    if not args.predictions:
        if args.sums is not None:
            raise UsageError("--sums writes what a table adds up to; these files are sums already")
        found = {_site(name): _read(name) for name in files}
        if len(found) < len(files):
            raise UsageError("two files of sums have one name; a file is named after its site")
        with warnings_as_notes():
            federation = federate(found, alpha=alpha)
        audit = federation.overall
        print(f"{audit}\n\n{federation}" if len(found) > 1 else audit)
    else:
        with warnings_as_notes():
            sums = _add_up(args, files)
        audit = sums.audit(alpha=alpha)
        print(audit)
        if args.sums is not None:
            write_whole(sums.to_json(args.min_cell).encode(), args.sums, "--sums")
    if args.out is not None:
        write_whole(audit.to_json(indent=1).encode(), args.out, "--out")
    if args.card is not None:
        told = {"title": "Audit" if args.title is None else args.title, "min_cell": args.min_cell}
        AuditCard.of(audit, description=args.description, **told).save(args.card)


def _site(name: str) -> str:
    return Path(name).stem


def _read(name: str) -> AuditSums:
    try:
        return AuditSums.from_json(Path(name).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _add_up(args: argparse.Namespace, files: list[str]) -> AuditSums:
    """Sums over the rows of tables."""
    for name, value in (("--target", args.target), ("--groups", args.groups)):
        if not value:
            raise UsageError(f"{name} is needed to audit a table")
    predictions = dict(_pair(text) for text in args.predictions)
    if args.baseline not in predictions:
        raise UsageError(
            f"{args.baseline!r}, which gains are over, is not among the models {list(predictions)} "
            "of --predictions; name one of them by --baseline"
        )
    metrics = args.metric or ["error"]
    if any(map(_is_text, files)):
        regression = all(metric.regression for metric in read_metrics(metrics))
        frame = read_scores(args, files, predictions, regression)
    else:
        frame = _frame(files)
    return audit_sums(
        frame,
        y=args.target,
        predictions=predictions,
        groups=args.groups,
        sample_weight=args.weight,
        clusters=args.clusters,
        metrics=metrics,
        baseline=args.baseline,
    )


def _pair(text: str) -> tuple[str, str]:
    name, sign, column = text.partition("=")
    if not (name and sign and column):
        raise UsageError(f"--predictions: {text!r} is not of the form model=column")
    return name, column


def _is_text(path: str) -> bool:
    """Whether a path is no Parquet file, nor a pattern of some."""
    place = Path(path)
    if path == STREAM or not (place.exists() or "*" in path):
        return True
    if not place.is_file():
        return place.exists() and not place.is_dir()  # a pipe
    with place.open("rb") as file:
        return file.read(4) != b"PAR1"


def _frame(paths: list[str]) -> Any:
    """Parquet files as a lazy frame of the engine that is installed.

    Raises
    ------
    ModuleNotFoundError
        If neither DuckDB nor polars is.
    ValueError
        For what is no whole Parquet file.
    """
    if importlib.util.find_spec("duckdb") is not None and importlib.util.find_spec("pyarrow"):
        import duckdb

        try:
            return duckdb.read_parquet(paths)
        except duckdb.Error as error:
            raise ValueError(f"{listing(paths, 3)}: {error}") from None
    if importlib.util.find_spec("polars") is None:
        raise ModuleNotFoundError(
            "fairuse-router audit reads Parquet by DuckDB or polars, and neither is installed: "
            "pip install duckdb pyarrow"
        )
    import polars

    note("DuckDB is not installed; polars reads the table")
    return polars.scan_parquet(paths)
