"""Writing a bundle: convert, assemble, compare with the router, and only then write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx.proto import get_latest_tested_opset_version
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from fairuse_router import frames
from fairuse_router.bundle import metadata
from fairuse_router.bundle.digest import BLANK, KEY, seal
from fairuse_router.bundle.graph import assemble
from fairuse_router.bundle.inputs import Layout, numbers
from fairuse_router.bundle.numeric import decimals
from fairuse_router.bundle.parity import METHODS, Parity, compare
from fairuse_router.bundle.session import open_session
from fairuse_router.bundle.submodels import SubModel, build_submodel
from fairuse_router.candidates import ServedModel, served_models

OPSETS = {"": 18, "ai.onnx.ml": 3}
_OLDEST = 15
_ML_VERSIONS = (3, 4)  # 5 has other tree operators


def export_bundle(
    router: Any,
    path: str | os.PathLike[str],
    X: Any,
    *,
    target_opset: int | Mapping[str, int] | None = None,
    min_cell: int = 5,
    tolerance: float = 1e-5,
    max_checks: int = 200_000,
) -> dict[str, Any]:
    """Write a fitted router to one ONNX file that answers every report as the router does.

    The bundle is compared with the router before it is written: every row of X under its own
    report and under every report of the grid. A model whose float32 version misses the tolerance
    is computed in double precision inside the graph.

    Parameters
    ----------
    router : FairUseRouter
        Fitted on a classification or a regression.
    path : str or path
        File to write; its folder must exist. The file appears whole or not at all.
    X : array or dataframe of shape (n, d)
        Rows to certify parity on: the columns of the training data, group attributes included.
        None of them is written into the file.
    target_opset : int or dict of str to int, default=None
        ONNX operator set; None: 18, and 3 of ``ai.onnx.ml``.
    min_cell : int, default=5
        Numbers that rest on fewer rows are left out of the routing table and the audit.
    tolerance : float, default=1e-5
        Largest allowed difference of a probability; of a score s, relative to 1 + abs(s); of a
        number that a regression predicts, relative to the larger of it and their mean size.
    max_checks : int, default=200000
        If n rows under all reports are more answers than this, evenly spaced rows are asked under
        every report, and all rows under their own. The certificate tells.

    Returns
    -------
    dict
        The certificate, as it stands in the file: ``rows``, ``reports``, ``rows_per_report``,
        ``checks``, ``label_flips`` (0), ``max_difference``, ``tolerance``, ``double_precision``
        (candidates), ``compared`` (``"probabilities"``, ``"scores"``, ``"prediction"`` or
        ``"labels"``) and ``versions``. A regression has no ``label_flips``.

    Raises
    ------
    ValueError
        If the folder is missing, X has other columns, an estimator cannot be converted, or the
        bundle would disagree with the router.
    """
    check_is_fitted(router)
    path = _check_path(path)
    opsets = _check_opsets(target_opset)
    _check_router(router)
    method = _method(router)
    table = frames.as_table(X)
    names = getattr(router, "feature_names_in_", None)
    layout = Layout.of(
        router.feature_columns_, router.n_features_in_, None if names is None else tuple(names)
    )
    layout.check(table)
    if frames.shape(table)[0] == 0:
        raise ValueError("X has no rows; parity is certified on at least one. Pass real rows.")
    draft = _Draft(router, layout, method, opsets)
    model, parity, doubled = draft.settle(table, tolerance, max_checks)
    certificate = _certificate(parity, doubled, method, tolerance)
    _describe(model, router, layout, draft, certificate, min_cell)
    onnx.checker.check_model(model)
    _write(seal(model.SerializeToString(deterministic=True)), path)
    return certificate


class _Draft:
    """A bundle in the making: the models of a router, and the graph around them."""

    def __init__(
        self, router: Any, layout: Layout, method: str | None, opsets: Mapping[str, int]
    ) -> None:
        self.router = router
        self.layout = layout
        self.method = method
        self.opsets = opsets
        self.router_classes = np.asarray(router.classes_) if is_classifier(router) else None
        self.classes: dict[str, Any] | None = None
        self.labels: NDArray[Any] | None = None
        if self.router_classes is not None:
            self.classes = metadata.write_classes(self.router_classes)
            self.labels = metadata.onnx_labels(self.classes)
        self.served, self.model_of_route = served_models(router.candidates_, router.routing_table_)

    def settle(
        self, table: frames.Table, tolerance: float, max_checks: int
    ) -> tuple[onnx.ModelProto, Parity, list[str]]:
        """Assemble the graph, in double precision where float32 misses the tolerance."""
        submodels = [self._convert(s, np.float32) for s in self.served]
        model, parity = self._try(submodels, table, max_checks)
        failing = parity.failing(tolerance)
        for m in failing:
            submodels[m] = self._convert(self.served[m], np.float64)
        if failing:
            model, parity = self._try(submodels, table, max_checks)
        still = parity.failing(tolerance)
        if still:
            raise ValueError(_disagreement(self.served[still[0]], parity, still[0], tolerance))
        doubled = sorted({self.served[m].candidate for m in failing})
        return model, parity, doubled

    def _places(self, table: frames.Table) -> list[int | None]:
        """Decimals of every feature, as the rows show them."""
        return [
            decimals(numbers(frames.column(table, c.position), c.name)) if c.numeric else None
            for c in self.layout.columns
        ]

    def _convert(self, served: ServedModel, kind: Any) -> SubModel:
        return build_submodel(
            served, self.layout.columns, self.router_classes, self.method, self.opsets, kind
        )

    def _try(
        self, submodels: list[SubModel], table: frames.Table, max_checks: int
    ) -> tuple[onnx.ModelProto, Parity]:
        model = assemble(
            submodels,
            self.model_of_route,
            self.router.routing_table_,
            self.layout,
            self._places(table),
            self.labels,
            None if self.method is None else METHODS[self.method],
            self.opsets,
        )
        session = open_session(model.SerializeToString())
        parity = compare(
            session,
            self.router,
            table,
            self.layout,
            self.labels,
            self.model_of_route,
            self.method,
            max_checks,
        )
        return model, parity


def _check_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"path={str(path)!r} is a folder; name a file in it, such as router.onnx.")
    if not path.parent.is_dir():
        raise ValueError(
            f"path={str(path)!r}: the folder {str(path.parent)!r} does not exist. Create it first."
        )
    return path


def _check_opsets(target_opset: int | Mapping[str, int] | None) -> dict[str, int]:
    opsets = dict(OPSETS)
    if isinstance(target_opset, Mapping):
        opsets.update(target_opset)
    elif target_opset is not None:
        opsets[""] = target_opset
    latest = get_latest_tested_opset_version()
    known = set(opsets) == set(OPSETS) and opsets["ai.onnx.ml"] in _ML_VERSIONS
    if not known or isinstance(opsets[""], bool) or opsets[""] not in range(_OLDEST, latest + 1):
        raise ValueError(
            f"target_opset={target_opset!r} is not allowed: pass an integer from {_OLDEST} to "
            f"{latest}, or a dict such as {OPSETS} with ai.onnx.ml in {_ML_VERSIONS}."
        )
    return opsets


def _method(router: Any) -> str | None:
    """The router's method that the bundle answers beside the label; None if only labels exist."""
    if not is_classifier(router):
        return "predict"
    return next((m for m in ("predict_proba", "decision_function") if hasattr(router, m)), None)


def _check_router(router: Any) -> None:
    if any(route.strength != 1 for route in router.routing_table_.routes):
        raise ValueError(
            "router has routes that blend two models (strength below 1), which this version does "
            "not write. Fit with a policy that does not blend."
        )


def _disagreement(served: ServedModel, parity: Parity, m: int, tolerance: float) -> str:
    flips = f"gives another label for {parity.flips[m]} of {parity.checks} answers, and "
    return (
        f"The bundle would disagree with the router: the candidate {served.candidate!r} "
        f"({type(served.estimator).__name__}) {flips if parity.flips[m] else ''}"
        f"gives values that differ by up to {parity.gaps[m]:.1e} "
        f"(tolerance={tolerance:g}). ONNX Runtime is fed float32, so that rows close to a split or "
        "to the boundary can fall on its other side: round X to float32 before fitting, scale "
        "features of large offset, avoid votes that can tie (an odd number of trees, or min_samples"
        "_leaf > 1), or leave the candidate out of the router. No file was written."
    )


def _certificate(
    parity: Parity, doubled: list[str], method: str | None, tolerance: float
) -> dict[str, Any]:
    packages = ("fairuse-router", "numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")
    flips = {} if method == "predict" else {"label_flips": int(parity.flips.sum())}
    return {
        "rows": parity.rows,
        "reports": parity.reports,
        "rows_per_report": parity.rows_per_report,
        "checks": parity.checks,
        **flips,
        "max_difference": parity.largest_gap,
        "compared": "labels" if method is None else METHODS[method],
        "tolerance": tolerance,
        "double_precision": doubled,
        "versions": {name: version(name) for name in packages},
    }


def _describe(
    model: onnx.ModelProto,
    router: Any,
    layout: Layout,
    draft: _Draft,
    certificate: dict[str, Any],
    min_cell: int,
) -> None:
    """Fill in the native fields and the metadata."""
    table = router.routing_table_
    model.producer_name = "fairuse-router"
    model.producer_version = version("fairuse-router")
    model.domain = "fairuse_router"
    model.model_version = metadata.FORMAT_VERSION
    model.doc_string = (
        "Scores every row by the model that serves its report: "
        f"{', '.join(table.schema.attributes)}. Withheld attributes are the empty text."
    )
    audit = getattr(router, "audit_", None)
    hidden = metadata.small_groups(table, min_cell)
    parts = {
        "format_version": metadata.FORMAT_VERSION,
        "schema": table.schema.to_dict(),
        "features": layout.to_dict(),
        "classes": draft.classes,
        "candidates": _candidates(draft.served),
        "routing_table": metadata.write_table(table, hidden, min_cell),
        "audit": None if audit is None else metadata.suppress(audit.to_dict(), hidden, min_cell),
        "certificate": certificate,
    }
    properties = {metadata.PREFIX + k: metadata.to_json(v) for k, v in sorted(parts.items())}
    onnx.helper.set_model_props(model, {**properties, KEY: BLANK})


def _candidates(served: list[ServedModel]) -> list[dict[str, Any]]:
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


def _write(content: bytes, path: Path) -> None:
    """Write a file whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
