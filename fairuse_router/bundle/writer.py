"""Writing a bundle: convert, assemble, compare with the router, and only then write."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import onnx

from fairuse_router import tables
from fairuse_router.audit import Audit
from fairuse_router.audit.claim import check_claim
from fairuse_router.bundle.beside import with_all_candidates
from fairuse_router.bundle.draft import Draft
from fairuse_router.bundle.file import metadata
from fairuse_router.bundle.file.arguments import (
    NUMBERS,
    SINGLE,
    check_choices,
    check_count,
    read_opsets,
    read_tolerance,
)
from fairuse_router.bundle.file.digest import BLANK, KEY, seal
from fairuse_router.bundle.file.hidden import (
    small_groups,
    write_audit,
    write_counts,
    write_honest,
    write_table,
)
from fairuse_router.bundle.file.layout import Layout
from fairuse_router.bundle.parity import METHODS, Parity, most_flips
from fairuse_router.bundle.refused import note_refused
from fairuse_router.candidates.candidate import ServedModel
from fairuse_router.documents import check_target, write_whole
from fairuse_router.routing.deployed import Deployed, check_router


def export_bundle(
    router: Deployed,
    path: str | os.PathLike[str],
    X: Any,
    *,
    precision: str = "fast",
    report: str = "texts",
    target_opset: int | Mapping[str, int] | None = None,
    min_cell: int = 5,
    tolerance: float | None = None,
    max_checks: int = 200_000,
    audit: Audit | None = None,
    candidates: str = "routed",
) -> dict[str, Any]:
    """Write a fitted router to one ONNX file that answers every report as the router does.

    The bundle is compared with the router before it is written: every row of X under its own
    report and under every report of the grid.

    Parameters
    ----------
    router : FairUseRouter
        Fitted on a classification or a regression.
    path : str or path
        File to write; its folder must exist. The file appears whole or not at all.
    X : array or dataframe of shape (n, d)
        Rows to certify parity on: the columns of the training data, group attributes included.
        None of them is written into the file.
    precision : {"fast", "exact"}, default="fast"
        ``"exact"``: numbers are doubles from input to output, and labels are those of the router,
        ties included; what ONNX Runtime cannot compute so is refused. ``"fast"``: numbers are
        float32, and the certificate names what rounding changes: at most one label in 200,
        else nothing is written. Numbers that X has in single
        precision are compared as doubles under ``"exact"``; scikit-learn rounds on such.
    report : {"texts", "codes"}, default="texts"
        Whether callers pass the texts of levels (the empty text withholds) or their int64 codes
        (0 withholds, 1, 2, ... are levels in the order of the file's schema).
    target_opset : int or dict of str to int, default=None
        ONNX operator set; None: 18, and of ``ai.onnx.ml`` 3 if fast, 5 if exact.
    min_cell : int, default=5
        Numbers that rest on fewer rows are left out of the routing table and the audit.
    tolerance : float, default=None
        Largest allowed difference of a probability; of a score s, relative to 1 + abs(s); of a
        number that a regression predicts, relative to the larger of it and their mean size.
        None: 1e-5 if fast, 1e-9 if exact, 1e-6 if a model computes in single precision itself, as
        XGBoost does.
    max_checks : int, default=200000
        If n rows under all reports are more answers than this, evenly spaced rows are asked under
        every report, and all rows under their own. The certificate tells.
    audit : Audit, default=None
        ``router.audit(X_test, y_test)`` on rows that `fit` never saw: the claim, kept in the file
        for whoever holds only that.
    candidates : {"routed", "all"}, default="routed"
        ``"all"`` keeps the candidates that serve nobody as well, for every group, so that
        `Bundle.audit` compares them from the file alone, envy-freeness included; the file grows
        with candidates times groups, and answers more slowly.

    Returns
    -------
    dict
        The certificate, as it stands in the file: ``rows``, ``reports``, ``rows_per_report``,
        ``checks``, ``label_flips``, ``most_flips`` (how many of those are allowed, 0 if exact),
        ``max_difference``, ``precision``, ``tolerance``, ``rounded`` (the models that rounding
        takes beyond the tolerance, none if exact), ``compared`` (``"probabilities"``,
        ``"scores"``, ``"prediction"`` or ``"labels"``) and ``versions``. A regression has no
        ``label_flips``; its numbers that differ by more than 1% are counted so.

    Warns
    -----
    UserWarning
        If fast, and rounding changes a label or takes a value beyond the tolerance.

    Raises
    ------
    TypeError
        If `router` is no FairUseRouter, `path` no path, or `audit` no Audit.
    ValueError
        If the folder is missing, the audit is of other groups or of the rows that chose, X has
        other columns, an estimator cannot be converted, the bundle would disagree with the router
        by more than rounding, or for other arguments than those above.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
    >>> y = (X[:, 0] > 0).astype(int)
    >>> router = FairUseRouter(LogisticRegression(), [1], policy="best").fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/router.onnx", X)
    >>> certificate["rows"], certificate["label_flips"]
    (200, 0)
    """
    check_router(router)
    path = check_target(path)
    check_choices(precision, report, candidates)
    check_count("min_cell", min_cell, 0)
    check_count("max_checks", max_checks, 1)
    if audit is not None:
        check_claim(audit, router.routing_table_, router.audit_)
    opsets = read_opsets(target_opset, precision)
    given, tolerance = tolerance, read_tolerance(tolerance, precision)
    table = tables.as_table(X)
    names = getattr(router, "feature_names_in_", None)
    layout = Layout.of(
        router.feature_columns_,
        router.n_features_in_,
        None if names is None else tuple(names),
        NUMBERS[precision],
        report,
    )
    table = layout.fill_in(table, router.schema_)
    layout.check(table)
    if tables.shape(table)[0] == 0:
        raise ValueError("X has no rows; parity is certified on at least one. Pass real rows.")
    layout = note_refused(router, table, layout)
    draft = Draft(router, layout, opsets, with_all_candidates(router, candidates == "all"))
    if given is None and draft.computes_in_single:
        tolerance = max(tolerance, SINGLE)
    try:
        model, parity = draft.settle(table, tolerance, max_checks)
        certificate = _certificate(draft, parity, precision, tolerance)
        _describe(model, draft, certificate, audit, min_cell)
    except UnicodeEncodeError as error:
        raise ValueError(
            "A name, level, category or class holds half a sign (a surrogate), which no bundle can "
            f"hold: {error.object[:100]!r}. Correct it in X or y, and fit again."
        ) from None
    onnx.checker.check_model(model)
    write_whole(seal(model.SerializeToString(deterministic=True)), path)
    return certificate


def _certificate(draft: Draft, parity: Parity, precision: str, tolerance: float) -> dict[str, Any]:
    packages = ("fairuse-router", "numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")
    flips = {} if draft.method == "predict" else {"label_flips": int(parity.flips.sum())}
    return {
        "rows": parity.rows,
        "reports": parity.reports,
        "rows_per_report": parity.rows_per_report,
        "checks": parity.checks,
        **flips,
        "most_flips": most_flips(parity.checks) if precision == "fast" else 0,
        "max_difference": parity.largest_gap,
        "compared": "labels" if draft.method is None else METHODS[draft.method],
        "precision": precision,
        "tolerance": tolerance,
        "rounded": draft.rounded(parity, tolerance),
        "versions": {name: version(name) for name in packages},
    }


def _describe(
    model: onnx.ModelProto,
    draft: Draft,
    certificate: dict[str, Any],
    claim: Audit | None,
    min_cell: int,
) -> None:
    """Fill in the native fields and the metadata."""
    table, layout, router = draft.table, draft.layout, draft.router
    model.producer_name = "fairuse-router"
    model.producer_version = version("fairuse-router")
    model.domain = "fairuse_router"
    model.model_version = metadata.FORMAT_VERSION
    model.doc_string = (
        "Scores every row by the model that serves its report: "
        f"{', '.join(table.schema.attributes)}."
    )
    hidden = small_groups(table, min_cell)
    counts = write_counts(getattr(router, "class_counts_", None), min_cell)
    parts = {
        "format_version": metadata.FORMAT_VERSION,
        "schema": table.schema.to_dict(),
        "features": layout.to_dict(),
        "classes": draft.classes,
        "candidates": _candidates(draft.routed.served),
        "routing_table": write_table(table, hidden, min_cell),
        "audit": write_audit(getattr(router, "audit_", None), hidden, min_cell),
        "certificate": certificate,
    }
    more = {
        "held_out": write_audit(claim, hidden, min_cell),
        "honest_gains": write_honest(getattr(router, "honest_gains_", None), hidden),
        "class_counts": counts,
        "compared": None if table is router.routing_table_ else list(router.candidates_),
    }
    parts |= {key: value for key, value in more.items() if value is not None}
    properties = {metadata.PREFIX + k: metadata.to_json(v) for k, v in sorted(parts.items())}
    onnx.helper.set_model_props(model, {**properties, KEY: BLANK})


def _candidates(served: Sequence[ServedModel]) -> list[dict[str, Any]]:
    """The candidates that serve, and the kind of their models."""
    found: dict[str, dict[str, Any]] = {}
    for model in served:
        entry = found.setdefault(
            model.candidate,
            {
                "name": model.candidate,
                "estimator": type(model.estimator).__name__,
                "models": 0,
                "told": list(model.added_names),
            },
        )
        entry["models"] += 1
    return list(found.values())
