"""The walk: from a nest of Pipelines and searches to the model inside, and what reaches it.

It is walked over any kind of table: over columns that are followed one by one (`columns.Columns`)
as long as no step mixes them, else over tensors of a graph (`compose.Cells`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier

from fairuse_router.bundle.families.natives import Coding, coding_of
from fairuse_router.bundle.file.layout import runs_of
from fairuse_router.candidates.injection import KeepLast

T = TypeVar("T", bound="Table")


class Table(Protocol):
    """What a walk takes along."""

    @property
    def are_texts(self) -> list[bool]:
        """Whether each column is one of texts."""

    def select(self, columns: Sequence[int]) -> Self:
        """Return some columns, in the order given."""

    def cut(self, n_last: int) -> tuple[Self, Self]:
        """Return all but the last columns, and the last."""

    def join(self, parts: Iterable[Self]) -> Self:
        """Return tables side by side."""

    def weigh(self, weight: float) -> Self:
        """Return all columns times a number."""

    def through(self, step: Any) -> Self:
        """Return what a transformer with nothing inside makes of the columns."""


@dataclass(frozen=True)
class _Kept:
    """A step that selects columns."""

    columns: Sequence[int]


def nest_of(estimator: Any, shallow: bool = False) -> tuple[list[Any], Any]:
    """Return the steps in front of the model inside a nest, and the model.

    Parameters
    ----------
    estimator : fitted classifier or regressor
    shallow : bool, default=False
        Open Pipelines and searches only, as `candidates.corrected.final_step` does.
    """
    steps: list[Any] = []
    while True:
        if isinstance(estimator, Pipeline):
            steps += [step for _, step in estimator.steps[:-1]]
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):  # a search
            estimator = estimator.best_estimator_
        elif shallow:
            return steps, estimator
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif isinstance(estimator, SelfTrainingClassifier):
            estimator = estimator.estimator_
        elif isinstance(estimator, RFE):
            steps.append(_Kept(estimator.get_support(indices=True).tolist()))
            estimator = estimator.estimator_
        else:
            coding = coding_of(estimator)
            return steps if coding is None else [*steps, coding], estimator


def walk(estimator: Any, table: T, shallow: bool = False) -> tuple[Any, T]:
    """Return the model inside a nest, and the table as it reaches it; see `nest_of`."""
    steps, model = nest_of(estimator, shallow)
    for step in steps:
        table = transform(step, table)
    return model, table


def transform(step: Any, table: T) -> T:
    """Take a table through a fitted transformer, or a nest of those."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return table
    if isinstance(step, Pipeline):
        for _, inner in step.steps:
            table = transform(inner, table)
        return table
    if isinstance(step, FrozenEstimator):
        return transform(step.estimator, table)
    if isinstance(step, KeepLast):
        head, last = table.cut(step.n_last)
        return table.join([transform(step.transformer_, head), last])
    if isinstance(step, (ColumnTransformer, FeatureUnion)):
        return table.join(_parts(step, table))
    if isinstance(step, FunctionTransformer) and step.func is None:
        return table
    if isinstance(step, Coding):
        return table.join(_coded(step, table))
    if isinstance(step, _Kept):
        return table.select(step.columns)
    return table.through(step)


def _coded(step: Coding, table: T) -> Iterator[T]:
    """The columns in their places, those of texts coded."""
    texts = table.are_texts
    encoders = step.of([j for j, is_text in enumerate(texts) if is_text])
    for run in runs_of([not is_text for is_text in texts]):
        part = table.select(run)
        yield part.through(encoders[run[0]]) if run[0] in encoders else part


def _parts(step: ColumnTransformer | FeatureUnion, table: T) -> Iterator[T]:
    """What each transformer makes of its columns."""
    weights = step.transformer_weights or {}
    members: list[tuple[str, Any, list[int] | None]]
    if isinstance(step, FeatureUnion):
        members = [(name, inner, None) for name, inner in step.transformer_list]
    else:
        places = step._transformer_to_input_indices
        members = [(name, inner, list(places[name])) for name, inner, _ in step.transformers_]
    for name, inner, columns in members:
        if columns == [] or (isinstance(inner, str) and inner == "drop"):
            continue
        part = transform(inner, table if columns is None else table.select(columns))
        yield part.weigh(weights[name]) if name in weights else part
