"""A bundle on a worker: sent as bytes, opened once a process, asked for one column."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from fairuse_router import tables
from fairuse_router.bundle import Bundle

__all__ = ["Scorer", "columns_of"]

_KINDS = {"i": "int64", "u": "int64", "b": "bool", "f": "float64"}


def columns_of(bundle: Bundle) -> tuple[str, ...]:
    """Names of the columns of X, group attributes included, in order.

    Raises
    ------
    ValueError
        If the router was trained on an array, whose columns have no names.
    """
    if bundle.layout.names is None:
        raise ValueError(
            "This bundle was trained on an array, so that its columns have no names to be found "
            "by. Train the router on a dataframe."
        )
    return bundle.layout.names


@lru_cache(maxsize=8)
def _opened(content: bytes) -> Bundle:
    """One session per process and bundle; workers bring their own parallelism."""
    return Bundle(content, session_options={"intra_op_num_threads": 1})


@dataclass(frozen=True)
class Scorer:
    """Scores frames by one output of a bundle, on whatever process it is sent to.

    Parameters
    ----------
    bundle : Bundle, str or path
        A file is read where this is made, not on the workers.
    output : {"label", "probability", "probabilities", "prediction", "route"}
        ``"probability"`` is that of the second of two classes.

    Raises
    ------
    ValueError
        If the bundle has no such output.
    """

    bundle: Bundle | str | os.PathLike[str]
    output: str = "label"
    columns: tuple[str, ...] = field(init=False)
    kind: str = field(init=False)
    content: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        bundle = self.bundle if isinstance(self.bundle, Bundle) else Bundle.load(self.bundle)
        classes = bundle.classes_
        has = {output["name"] for output in bundle.outputs}
        allowed = [
            name for name in ("label", "probabilities", "prediction", "route") if name in has
        ]
        if "probabilities" in has and classes is not None and len(classes) == 2:
            allowed.append("probability")
        if self.output not in allowed:
            raise ValueError(
                f"output={self.output!r} is not allowed: this bundle has {', '.join(allowed)}."
            )
        kinds = {"route": "int64", "label": "str"}
        if self.output == "label" and classes is not None:
            kinds["label"] = _KINDS.get(classes.dtype.kind, "str")
        object.__setattr__(self, "columns", columns_of(bundle))
        object.__setattr__(self, "kind", kinds.get(self.output, "float64"))
        object.__setattr__(self, "content", bundle.__getstate__()["model"])
        object.__setattr__(self, "bundle", repr(bundle))  # the bytes travel alone

    def __call__(self, frame: Any) -> np.ndarray:
        """Score a frame: shape (n,), or (n, K) for probabilities."""
        bundle = _opened(self.content)
        names = tables.column_names(frame) or []
        order = [names.index(name) for name in self.columns if name in names]
        table = tables.take_columns(frame, order)
        if self.output == "route":
            return bundle.ask(bundle.feed(table))["route"]
        if self.output in ("label", "prediction"):
            return bundle.predict(table)
        proba = bundle.predict_proba(table).astype(float)
        return proba[:, 1] if self.output == "probability" else proba

    def __reduce__(self) -> Any:
        return _rebuilt, (self._state(),)

    def _state(self) -> Mapping[str, Any]:
        names = ("bundle", "output", "columns", "kind", "content")
        return {name: getattr(self, name) for name in names}


def _rebuilt(state: Mapping[str, Any]) -> Scorer:
    """A scorer as it was sent, without opening the bundle anew."""
    scorer = object.__new__(Scorer)
    for name, value in state.items():
        object.__setattr__(scorer, name, value)
    return scorer
