"""Frames of any engine: one narwhals expression turns their columns into numbers, in batches.

Rows stay where they are: DuckDB and polars hand them over batch by batch, Dask and Spark add up on
their workers and send sums.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from fairuse_router.audit.parts import Adder, Parts, Plan, cluster_numbers, merge_parts
from fairuse_router.groups import GroupSchema
from fairuse_router.levels import level_text

__all__ = ["Wanted", "learn", "read_parts"]

_BATCH = 1_000_000
_FETCHED = 8  # times that the driver asks for parts
_NUMBERS = ("int8", "int16", "int32", "int64", "double")
_THREADS = 2  # more wait for one another, as counting holds Python's lock
_COUNT = "fairuse_router rows"

Names = str | Sequence[str]


@dataclass(frozen=True)
class Wanted:
    """Which columns of a frame are what.

    Parameters
    ----------
    y : str
    models : dict of str to str or sequence of str
        Columns of predictions; several are probabilities of all classes.
    groups : tuple of str
    weight, clusters : str or None
    """

    y: str
    models: Mapping[str, Names]
    groups: tuple[str, ...]
    weight: str | None = None
    clusters: str | None = None

    def columns(self) -> list[tuple[str, str]]:
        """Every column, and the argument that names it."""
        found = [("y", self.y), *(("groups", name) for name in self.groups)]
        for name, given in self.models.items():
            found += [(f"predictions[{name!r}]", column) for column in _several(given)]
        beside = (("sample_weight", self.weight), ("clusters", self.clusters))
        return found + [(what, name) for what, name in beside if name is not None]


def _several(given: Names) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def as_lazy(frame: Any) -> nw.LazyFrame[Any]:
    """Any frame that narwhals knows, lazily.

    Raises
    ------
    TypeError
        For anything else.
    """
    try:
        with warnings.catch_warnings():  # narwhals' plans for Dask are no news of the frame
            warnings.filterwarnings("ignore", "Dask support is moving", FutureWarning)
            read = nw.from_native(frame)
    except TypeError as error:
        raise TypeError(
            f"frame is a {type(frame).__name__}; pass a lazy frame (polars, DuckDB, Dask, PySpark) "
            "or a dataframe (pandas, polars, pyarrow)."
        ) from error
    return read.lazy() if isinstance(read, nw.DataFrame) else read


def learn(
    lazy: nw.LazyFrame[Any], wanted: Wanted, classes: Sequence[Any] | None, regression: bool
) -> tuple[GroupSchema, list[Any] | None, dict[str, list[Any]], int]:
    """Learn the levels of the groups, and the labels, in one pass over these columns.

    Returns
    -------
    schema : GroupSchema
    classes : list or None
        Labels in order; None for a regression.
    values : dict of str to list
        The distinct values of every group column.
    n : int
        Rows.

    Raises
    ------
    ValueError
        If columns are missing; for what `GroupSchema.from_table` refuses; if labels have no order.
    """
    known = lazy.collect_schema().names()
    for argument, name in wanted.columns():
        if name not in known:
            raise ValueError(
                f"{argument}: {name!r} is not a column of the frame, which has {known}."
            )
    asked = list(wanted.groups)
    if not regression and classes is None and wanted.y not in asked:
        asked.append(wanted.y)
    # `unique` would number the rows first, which takes engines ten times as long
    counted = lazy.with_columns(nw.lit(1).alias(_COUNT)).group_by(*asked).agg(nw.col(_COUNT).sum())
    distinct = _collect(counted)
    if len(distinct) == 0:
        raise ValueError("The frame has no rows; an audit needs some.")
    schema = GroupSchema.from_table(distinct.to_native(), list(wanted.groups), argument="groups")
    schema.warn_of_alike_levels()
    values = {name: distinct[name].unique().to_list() for name in wanted.groups}
    n = int(distinct[_COUNT].sum())
    if regression:
        return schema, None, values, n
    if classes is None:
        labels = [v for v in distinct[wanted.y].unique().to_list() if level_text(v) is not None]
        try:
            classes = sorted(labels)
        except TypeError as error:
            raise ValueError(
                "y mixes labels that have no order. Make them all of one type."
            ) from error
    if len(classes) < 2:
        raise ValueError(f"y holds {list(classes)} only; pass classes=[...] with all labels.")
    return schema, list(classes), values, n


def _collect(lazy: nw.LazyFrame[Any]) -> nw.DataFrame[Any]:
    """A small result; in Arrow where the engine has no frames of its own in memory."""
    implementation = lazy.implementation
    if implementation.is_polars() or implementation.is_pandas_like() or implementation.is_pyarrow():
        return lazy.collect()
    return lazy.collect(backend="pyarrow")


def read_parts(
    lazy: nw.LazyFrame[Any],
    wanted: Wanted,
    schema: GroupSchema,
    classes: Sequence[Any] | None,
    values: Mapping[str, Sequence[Any]],
    plan: Plan,
) -> Parts:
    """Add up all rows of a frame, where they are.

    Parameters
    ----------
    lazy : LazyFrame
    wanted : Wanted
    schema, classes, values
        As `learn` returns them.
    plan : Plan

    Returns
    -------
    dict
        As `Adder.parts`.
    """
    kinds = lazy.collect_schema()
    numbers: dict[str, Any] = {"group": _group(schema, wanted.groups, values)}
    numbers["y"] = (
        nw.col(wanted.y).cast(nw.Float64) if classes is None else _code(wanted.y, classes)
    )
    if wanted.weight is not None:
        numbers["weight"] = nw.col(wanted.weight).cast(nw.Float64)
    if wanted.clusters is not None:
        numbers["cluster"] = nw.col(wanted.clusters)
    shape: dict[str, list[str]] = {}
    for i, (name, given) in enumerate(wanted.models.items()):
        columns = _several(given)
        shape[name] = [f"model{i}_{j}" for j in range(len(columns))]
        for column, short in zip(columns, shape[name], strict=True):
            kind = kinds[column]
            fraction = kind.is_float() or kind.is_decimal()
            if classes is None or fraction or len(columns) > 1:
                numbers[short] = nw.col(column).cast(nw.Float64)
            else:
                numbers[short] = _code(column, classes)
    ready = lazy.select(*(value.alias(name) for name, value in numbers.items()))
    return _add_up(ready, plan, _Shape(shape, classes is not None))


def _group(schema: GroupSchema, names: Sequence[str], values: Mapping[str, Sequence[Any]]) -> Any:
    """Number of the group; negative where an attribute is missing or withheld."""
    sizes = [len(levels) for levels in schema.levels]
    nowhere = -schema.n_groups  # the other attributes do not bring such a row to zero
    total = None
    for j, name in enumerate(names):
        place = {text: i for i, text in enumerate(schema.levels[j])}
        stride = int(np.prod(sizes[j + 1 :], dtype=int))
        codes = {
            v: place.get(level_text(v) or "") for v in values[name] if level_text(v) is not None
        }
        terms = [
            nw.when(nw.col(name) == v).then(nw.lit(code * stride - nowhere)).otherwise(nw.lit(0))
            for v, code in codes.items()
            if code is not None
        ]
        own = _total(terms) + nowhere
        total = own if total is None else total + own
    return _short(total, len(names) * schema.n_groups)


def _short(number: Any, most: int) -> Any:
    """Whole numbers up to `most` as narrow as they can be: they are copied often."""
    kinds = ((1 << 7, nw.Int8), (1 << 15, nw.Int16), (1 << 31, nw.Int32))
    return number.cast(next((kind for end, kind in kinds if most < end), nw.Int64))


def _code(name: str, classes: Sequence[Any]) -> Any:
    """Index into the classes; -1 for anything else."""
    terms = [
        nw.when(nw.col(name) == label).then(nw.lit(k + 1)).otherwise(nw.lit(0))
        for k, label in enumerate(classes)
    ]
    return _short(_total(terms) - 1, len(classes))


def _total(terms: Sequence[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@dataclass(frozen=True)
class _Shape:
    """Which columns of numbers make up the predictions of each model."""

    models: Mapping[str, Sequence[str]]
    classes: bool

    def columns(self, get: Callable[[str], np.ndarray], names: Sequence[str]) -> dict[str, Any]:
        """Columns of a batch, as `Adder.add` takes them."""
        found: dict[str, Any] = {"group": get("group"), "y": get("y")}
        if not self.classes:
            found["y"] = found["y"].astype(float, copy=False)
        if "weight" in names:
            found["weight"] = get("weight").astype(float)
        if "cluster" in names:
            found["cluster"] = cluster_numbers(get("cluster"))
        for model, own in self.models.items():
            arrays = [get(name) for name in own]
            found[model] = arrays[0] if len(arrays) == 1 else np.column_stack(arrays)
        return found


def _add_up(ready: nw.LazyFrame[Any], plan: Plan, shape: _Shape) -> Parts:
    """Hand batches to one adder, or let the engine's workers add up their own."""
    implementation = ready.implementation
    names = ready.collect_schema().names()
    if implementation.is_dask():
        return _on_dask(ready.to_native(), plan, shape, names)
    if implementation.is_spark_like() and hasattr(ready.to_native(), "mapInArrow"):
        return _on_spark(ready.to_native(), plan, shape, names)
    adders = [Adder(plan) for _ in range(_THREADS)]
    with ThreadPoolExecutor(_THREADS) as pool:
        busy: list[Any] = []
        for get, adder in zip(_batches(ready), cycle(adders)):
            if len(busy) == _THREADS:
                busy.pop(0).result()
            busy.append(pool.submit(adder.add, shape.columns(get, names)))
        for work in busy:
            work.result()
    return merge_parts(found for adder in adders if (found := adder.parts()))


def _batches(ready: nw.LazyFrame[Any]) -> Iterator[Callable[[str], np.ndarray]]:
    """Columns by name, some rows at a time."""
    native = ready.to_native()
    if ready.implementation.is_polars() and hasattr(native, "collect_batches"):
        for frame in native.collect_batches(chunk_size=_BATCH, maintain_order=False):
            yield _columns(frame)
    elif ready.implementation.is_duckdb():
        # before DuckDB 1.4 readers had another name
        reader = getattr(native, "to_arrow_reader", None) or native.fetch_record_batch
        yield from map(_arrow, reader(_BATCH))
    else:
        frame = _collect(ready)
        for start in range(0, max(len(frame), 1), _BATCH):
            part = frame[start : start + _BATCH]
            yield _columns(part)


def _columns(frame: Any) -> Callable[[str], np.ndarray]:
    """Columns of a frame."""
    return lambda name: np.asarray(frame[name].to_numpy())


def _arrow(batch: Any) -> Callable[[str], np.ndarray]:
    """Columns of an Arrow batch."""

    def get(name: str) -> np.ndarray:
        column = batch.column(name)
        if column.null_count == 0 and str(column.type) in _NUMBERS:
            return np.from_dlpack(column)  # to_numpy would import pandas
        return np.asarray(column.to_numpy(zero_copy_only=False))

    return get


def _on_dask(native: Any, plan: Plan, shape: _Shape, names: Sequence[str]) -> Parts:
    """Add up each partition where it is, and the sums eight by eight."""
    import dask

    def add(partition: Any) -> Parts:
        adder = Adder(plan)
        adder.add(shape.columns(lambda name: partition[name].to_numpy(), names))
        return adder.parts()

    parts = [dask.delayed(add)(partition) for partition in native.to_delayed()]
    while len(parts) > 1:
        parts = [dask.delayed(merge_parts)(parts[i : i + 8]) for i in range(0, len(parts), 8)]
    return dict(dask.compute(parts[0])[0])


def _on_spark(native: Any, plan: Plan, shape: _Shape, names: Sequence[str]) -> Parts:
    """Add up each partition where it is; arrays travel as bytes."""

    def add(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow

        adder, error = Adder(plan), ""
        try:
            for batch in batches:
                adder.add(shape.columns(_arrow(batch), names))
        except ValueError as refused:
            error = str(refused)
        columns = {"error": [error], "part": [b"" if error else _pack(adder.parts())]}
        yield pyarrow.RecordBatch.from_pydict(columns)

    merged: Parts = {}
    parts = native.mapInArrow(add, "error string, part binary")
    # after a shuffle all workers have added up at once, and the driver holds few parts at a time
    for row in parts.repartition(_FETCHED).toLocalIterator():
        if row["error"]:
            raise ValueError(row["error"])
        merged = merge_parts([merged, _unpack(bytes(row["part"]))])
    return merged


def _pack(parts: Parts) -> bytes:
    buffer = io.BytesIO()
    names = np.array(list(parts), dtype=str)
    np.savez(buffer, names, *map(_narrow, parts.values()))
    return buffer.getvalue()


def _narrow(values: np.ndarray) -> np.ndarray:
    """Counts in as few bytes as hold them: those of a worker are small, and many."""
    if values.dtype.kind != "u":
        return values
    return values.astype(np.min_scalar_type(values.max(initial=0)))


def _unpack(content: bytes) -> Parts:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        names, *values = (arrays[key] for key in arrays.files)
        wide = (v.astype(np.uint32) if v.dtype.kind == "u" else v for v in values)
        return dict(zip(names.tolist(), wide, strict=True))
