"""Verification: whether a bundle answers here and now as it did where it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.file.layout import REPORT
from fairuse_router.bundle.file.metadata import onnx_labels
from fairuse_router.bundle.parity import (
    METHODS,
    Answering,
    gap_of_rows,
    measure_parity,
    spaced_rows,
)

if TYPE_CHECKING:
    from fairuse_router.routing.deployed import Deployed

_ALONE = 100
_METHOD_OF = {output: method for method, output in METHODS.items()}


def verify_alone(bundle: Any, table: Any, max_checks: int) -> dict[str, Any]:
    """Ask a bundle for rows under every report, and for some of them one by one.

    Returns
    -------
    dict
        ``rows``, ``reports``, ``checks``, ``label_flips`` and ``max_difference``, between answers
        to batches and to single rows.
    """
    tensors, grid = bundle.layout.features(table), bundle.schema.report_codes
    n = len(next(iter(tensors.values())))
    sample = spaced_rows(n, len(grid), max_checks)
    single = sample[:: max(1, len(sample) * len(grid) // _ALONE)]
    flips, gap, checks = 0, 0.0, 0
    for code in grid:
        batch = _ask(bundle, tensors, sample, code)
        checks += len(sample)
        alone = [_ask(bundle, tensors, np.array([row]), code) for row in single]
        places = np.searchsorted(sample, single)
        for name, expected in batch.items():
            found = np.concatenate([answer[name] for answer in alone])
            if name in ("label", "route"):
                flips += int((found != expected[places]).sum())
            else:
                rows = gap_of_rows(found, expected[places], _METHOD_OF[name])
                gap = max(gap, float(rows.max()))
    return {
        "rows": n,
        "reports": len(grid),
        "checks": checks + len(single) * len(grid),
        "label_flips": flips,
        "max_difference": gap,
    }


def _ask(
    bundle: Any,
    tensors: dict[str, NDArray[Any]],
    rows: NDArray[np.int64],
    code: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    codes = np.repeat(code[None, :], len(rows), axis=0)
    feed = {name: tensor[rows] for name, tensor in tensors.items()}
    return bundle._answer({**feed, REPORT: bundle.layout.reports(bundle.schema, codes)}, codes)


def verify_router(bundle: Any, router: Deployed, X: Any, max_checks: int) -> dict[str, Any]:
    """Compare a bundle with a router as export does, for `Bundle.verify`."""
    from fairuse_router.routing.deployed import check_router

    check_router(router)
    outputs = [output["name"] for output in bundle.outputs]
    method = next((m for m, output in METHODS.items() if output in outputs), None)
    classes = bundle.classes_
    labels = None if classes is None else onnx_labels({"labels": classes.tolist()})
    one_model = np.zeros(len(bundle.routing_table.routes), dtype=np.int64)
    answering = Answering(bundle.session, bundle.layout, labels, method)
    found = measure_parity(answering, router, X, one_model, max_checks)
    return {
        "rows": found.rows,
        "reports": found.reports,
        "checks": found.checks,
        "label_flips": int(found.flips.sum()),
        "max_difference": found.largest_gap,
    }
