"""Reading a bundle: onnxruntime and numpy only, nothing of scikit-learn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.bundle.file import metadata
from fairuse_router.bundle.file.arguments import check_count
from fairuse_router.bundle.file.digest import is_intact
from fairuse_router.bundle.file.foreign import refuse_foreign_parts
from fairuse_router.bundle.file.layout import REPORT, Layout
from fairuse_router.bundle.file.session import PROVIDERS, check_options, open_session, watch
from fairuse_router.bundle.file.shapes import check_shapes
from fairuse_router.bundle.file.single import SingleRow
from fairuse_router.bundle.speaking import Speaking
from fairuse_router.documents import check_path
from fairuse_router.routing.routed import unknown_levels
from fairuse_router.routing.table import RoutedRows, RoutingTable

if TYPE_CHECKING:  # it loads scikit-learn
    from fairuse_router.routing.deployed import Deployed

_VALUES = ("probabilities", "scores", "prediction")
_MOST_BYTES = 2**31 - 1  # of a protobuf
_TYPES = {
    "tensor(string)": "string",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
}


class Bundle(Speaking):
    """A router in one ONNX file, as `export_bundle` wrote it.

    Parameters
    ----------
    model : bytes
        Content of the file.
    source : str, default="model"
        What to call it in errors.
    session_options : dict of str to object, default=None
        Attributes of `onnxruntime.SessionOptions`, such as ``{"intra_op_num_threads": 1}``; a name
        with a dot is a configuration entry.
    providers : sequence of str, default=("CPUExecutionProvider",)
        Execution providers of onnxruntime.

    Attributes
    ----------
    classes_ : ndarray of shape (K,) or None
        Class labels; the columns of `predict_proba`. None for a regression.
    schema : GroupSchema
        Group attributes and their levels.
    routing_table : RoutingTable
        Which model serves which report, and why. Print it.
    certificate : dict
        Parity with the router, as measured at export.
    candidates : list of dict
        The candidates that serve.
    audit_, held_out_ : Audit or None
        The router's own audit, of rows that chose the routes, and the one on held-out rows that was
        exported; small cells left out.
    honest_gains_ : HonestGains or None
    layout : Layout
        How columns of X become inputs.
    inputs, outputs : list of dict
        ``name``, ``type`` and ``shape`` of each tensor, for callers in other languages.
    metadata : dict of str to str
        The file's metadata, as text.

    Raises
    ------
    TypeError
        If the session options or providers are not those of onnxruntime.
    ValueError
        If it is no bundle, of another format version, or contradicts itself.

    Notes
    -----
    A bundle can be pickled, and used after a fork: it opens its session anew. It carries a digest,
    which is no signature: take bundles from people you trust, as any program.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import Bundle, FairUseRouter, export_bundle
    >>> X, y = np.array([[v, v % 2] for v in range(100)]), [0] * 50 + [1] * 50
    >>> router = FairUseRouter(LogisticRegression(), [1], policy="best").fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/router.onnx", X)
    ...     bundle = Bundle.load(f"{folder}/router.onnx")
    >>> bool((bundle.predict(X) == router.predict(X)).all())
    True
    """

    def __init__(
        self,
        model: bytes,
        source: str = "model",
        session_options: Mapping[str, Any] | None = None,
        providers: Sequence[str] = PROVIDERS,
    ) -> None:
        check_options(session_options, providers)
        self._model = model
        self._source = source
        self._options = dict(session_options or {})
        self._providers = tuple(providers)
        try:
            _check_digest(model)
            refuse_foreign_parts(model)
            self._session = self._open()
            watch(self)
            self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
            self._read()
        except ValueError as error:
            raise ValueError(f"{source} cannot be read: {error}.") from None

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        session_options: Mapping[str, Any] | None = None,
        providers: Sequence[str] = PROVIDERS,
    ) -> Bundle:
        """Open a file.

        Parameters
        ----------
        path : str or path
        session_options : dict of str to object, default=None
        providers : sequence of str, default=("CPUExecutionProvider",)
            As for the class.

        Returns
        -------
        Bundle

        Raises
        ------
        TypeError
            If `path` is no path, or the options are not those of onnxruntime.
        ValueError
            If the file is missing, truncated or foreign, of another format version, or
            contradicts itself.
        """
        path = check_path(path)
        if not path.is_file():
            raise ValueError(
                f"path={str(path)!r}: there is no such file. Write it by export_bundle."
            )
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(
                f"path={str(path)!r} cannot be read: it has {path.stat().st_size:,} bytes, more "
                "than an ONNX model can have."
            )
        return cls(path.read_bytes(), f"path={str(path)!r}", session_options, providers)

    def predict(self, X: Any) -> NDArray[Any]:
        """Label or number of every row, by the model that serves its report.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            The columns of the training data, group attributes included; ``"?"`` or a missing value
            withholds an attribute.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            For other columns, or for unseen levels unless the router withholds them.
        """
        if self.classes_ is None:
            return self._run(X, "prediction")
        return self._run(X, "label").astype(self.classes_.dtype)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities of shape (n, K), columns in the order of ``classes_``; as `predict`."""
        return self._run(X, "probabilities")

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Scores where there are no probabilities, (n,) for two classes; as `predict`."""
        scores = self._run(X, "scores")
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def route(self, X: Any) -> RoutedRows:
        """Which route serves each row, and why.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            As for `predict`.
        """
        table = self._table(X)
        unknown = unknown_levels(self.routing_table.schema, table)
        return self.routing_table.explain(self._codes(table), unknown)

    def feed(self, X: Any) -> dict[str, NDArray[Any]]:
        """Tensors of rows by input, as onnxruntime takes them: ``session.run(None, feed)``.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            As for `predict`, and refused as there.

        Returns
        -------
        dict of str to ndarray
            Numbers with NaN, and texts with the empty text, where they are missing; ``report``
            with the empty text, or code 0, where an attribute is withheld.
        """
        return self._tensors(X)[0]

    def verify(
        self, X: Any, router: Deployed | None = None, *, max_checks: int = 200_000
    ) -> dict[str, Any]:
        """Check that the bundle answers here as it did where it was written.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            As for `predict`; at least one row.
        router : FairUseRouter, default=None
            The router that was exported: answers are compared as at export. None: the graph is
            compared with the routing table under every report, and rows that are asked alone
            with the same rows in a batch.
        max_checks : int, default=200000
            Above this many answers, evenly spaced rows are asked under every report.

        Returns
        -------
        dict
            ``rows``, ``reports``, ``checks``, ``label_flips`` and ``max_difference``.

        Raises
        ------
        TypeError
            If `router` is no FairUseRouter.
        ValueError
            If `max_checks` is less than 1, the graph contradicts the routing table, values differ
            by more than the certificate says, or labels do: none may under ``precision="exact"``,
            one in 200 under ``"fast"``, where rows on the boundary may fall on either side.

        Notes
        -----
        The certificate holds for the machine, and the onnxruntime, that wrote it. Verify where
        the bundle is to serve.
        """
        from fairuse_router.bundle.parity import most_flips
        from fairuse_router.bundle.verify import verify_alone, verify_router

        check_count("max_checks", max_checks, 1)
        table = self._table(X)
        if tables.shape(table)[0] == 0:
            raise ValueError("X has no rows; pass at least one.")
        if router is None:
            found = verify_alone(self, table, max_checks)
        else:
            found = verify_router(self, router, X, max_checks)
        certificate = self.certificate
        allowed = max(certificate["tolerance"], certificate["max_difference"])
        most = certificate.get("label_flips", 0)
        if certificate.get("precision") == "fast" and self._has_values:
            most = max(most, most_flips(found["checks"]))
        if found["label_flips"] > most or not found["max_difference"] <= allowed:
            raise ValueError(
                f"{self._source} fails its verification: {found['label_flips']} labels of "
                f"{found['checks']} differ, values differ by up to {found['max_difference']:.1e} "
                f"({allowed:g} is allowed). Export it anew with the versions that are to serve it."
            )
        return found

    def __repr__(self) -> str:
        attributes = ", ".join(self.schema.attributes)
        kind = "regression" if self.classes_ is None else f"{len(self.classes_)} classes"
        return (
            f"Bundle({self._source}: {kind}, {len(self.layout.columns)} "
            f"features, groups {attributes}, {len(self.routing_table.routes)} routes)"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "model": self._model,
            "source": self._source,
            "session_options": self._options,
            "providers": self._providers,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _open(self) -> Any:
        try:
            return open_session(self._model, self._options, self._providers)
        except TypeError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ValueError(
                f"it is no ONNX model that onnxruntime {onnxruntime.__version__} opens "
                f"({str(error).splitlines()[0][:200]})"
            ) from None

    @property
    def session(self) -> Any:
        """The `onnxruntime.InferenceSession`, opened anew in a forked process.

        A fork has the session of its parent, but not its threads.
        """
        if self._session is None:
            self._session = self._open()
        return self._session

    def _read(self) -> None:
        parts = metadata.read(self.metadata)
        classes = parts["classes"]
        self.classes_ = None if classes is None else metadata.read_classes(classes)
        self.routing_table: RoutingTable = metadata.read_table(parts)
        self.schema = self.routing_table.schema
        self.layout = Layout.from_dict(parts["features"])
        self.certificate: dict[str, Any] = parts["certificate"]
        self.candidates: list[dict[str, Any]] = parts["candidates"]
        self._parts = parts
        self._single = SingleRow(self.layout, self.schema)
        self._labels = frozenset(() if self.classes_ is None else self.classes_.tolist())
        self.inputs = [_described(i) for i in self._session.get_inputs()]
        self.outputs = [_described(o) for o in self._session.get_outputs()]
        check_shapes(self.inputs, self.outputs, self.layout, self.schema, self.classes_)

    @property
    def _has_values(self) -> bool:
        """Whether there are numbers beside the label."""
        return any(output["name"] in _VALUES for output in self.outputs)

    def _table(self, X: Any) -> tables.Table:
        table = self.layout.read(X, self.schema)
        self.layout.check(table)
        return table

    def _codes(self, table: tables.Table) -> NDArray[np.int64]:
        return self.schema.encode(table)

    def _run(self, X: Any, output: str) -> NDArray[Any]:
        names = [o["name"] for o in self.outputs]
        if output not in names:
            raise AttributeError(f"This bundle has no {output}; its outputs are {names}.")
        return self._answer(*self._tensors(X))[output]

    def _tensors(self, X: Any) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        """The tensors of rows by input, and the codes of their reports."""
        single = self._single.read(X)
        if single is not None:
            return single
        table = self._table(X)
        codes = self._codes(table)
        return {
            **self.layout.features(table),
            REPORT: self.layout.reports(self.schema, codes),
        }, codes

    def _answer(
        self, feed: dict[str, NDArray[Any]], codes: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, for tensors and the codes of their reports."""
        answer = self.ask(feed)
        if not np.array_equal(answer["route"], self.routing_table.look_up(codes)):
            raise ValueError(f"{self._source} contradicts itself: its graph and its table differ.")
        if self.classes_ is not None and not self._are_classes(answer["label"]):
            raise ValueError(f"{self._source} contradicts itself: its graph has other classes.")
        return answer

    def _are_classes(self, label: NDArray[Any]) -> bool:
        """Whether labels, as the graph gives them, are classes."""
        assert self.classes_ is not None
        if label.dtype == object or len(label) == 1:
            return set(label.tolist()) <= self._labels
        return bool(np.isin(label, self.classes_.astype(np.int64)).all())

    def ask(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the graph on tensors as it takes them, for callers that have made them.

        Parameters
        ----------
        feed : dict of str to ndarray
            One per entry of `inputs`.

        Returns
        -------
        dict of str to ndarray
            One per entry of `outputs`.

        Raises
        ------
        ValueError
            If the graph refuses them, or answers NaN.
        """
        names = [o["name"] for o in self.outputs]
        try:
            answer = dict(zip(names, self.session.run(names, dict(feed)), strict=True))
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ValueError(_why_not(error)) from error
        lost = [n for n in _VALUES if n in answer and np.isnan(answer[n]).any()]
        if lost:
            raise ValueError(
                f"X holds missing or infinite numbers that the model cannot take: some {lost[0]} "
                "are NaN. Fill them in, or train with a step that does."
            )
        return answer


def _why_not(error: Exception) -> str:
    """What a run of the graph that failed means to the caller."""
    text = str(error)
    if "unknown_category" in text:
        return (
            "A text column of X holds a category that training did not, and the encoder was told "
            "to refuse those. Correct the rows, or train with handle_unknown='ignore'."
        )
    return f"The bundle cannot score these rows: {text.splitlines()[0][:300]}"


def _check_digest(model: bytes) -> None:
    intact = is_intact(model)
    if intact is None:
        raise ValueError(
            "it is no ONNX model that export_bundle wrote, or only a part of one: it carries no "
            "digest of itself"
        )
    if not intact:
        raise ValueError("it was changed or damaged after it was written: digests differ")


def _described(entry: Any) -> dict[str, Any]:
    return {
        "name": entry.name,
        "type": _TYPES.get(entry.type, entry.type),
        "shape": [d if isinstance(d, int) else None for d in entry.shape],
    }
