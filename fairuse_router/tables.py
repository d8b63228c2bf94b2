"""Tables as users hold them: numpy arrays and pandas, polars or pyarrow frames, behind one face.

Everything else in the package asks this file for columns and rows and never looks at the kind of
table itself. Frames stay native, so that a user's ColumnTransformer still finds its column names.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

Table = Any  # a 2-D numpy array, or a native eager dataframe


@dataclass(frozen=True)
class Column:
    """One column as plain values, with its category order where the frame knows one."""

    values: NDArray[Any] | list[Any]
    categories: tuple[Any, ...] | None = None
    category_codes: NDArray[np.int64] | None = None  # index into categories, -1 for missing


@dataclass(frozen=True)
class InputColumn:
    """A feature column as it stood in training.

    Parameters
    ----------
    name : str
        Its name; ``x3`` for the fourth column of an array.
    position : int
        Its place in the user's X, group columns counted.
    numeric : bool
        Numbers or booleans; else text.
    """

    name: str
    position: int
    numeric: bool


def input_columns(table: Table, positions: Sequence[int]) -> tuple[InputColumn, ...]:
    """Describe the columns at `positions`."""
    names = column_names(table)
    numbers = _plain_numbers(table)
    return tuple(
        InputColumn(names[j] if names else f"x{j}", j, numbers[j] or is_numeric(table, j))
        for j in positions
    )


def _plain_numbers(table: Table) -> list[bool]:
    """Which columns are of plain numbers, as their types alone tell."""
    width = shape(table)[1]
    if not hasattr(table, "iloc"):
        return [False] * width
    return [isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in table.dtypes.tolist()]


def as_table(X: Any) -> Table:
    """Return `X` as a native dataframe with string column names, or as a 2-D array.

    Raises
    ------
    TypeError
        For sparse matrices and lazy frames.
    ValueError
        If `X` is not two-dimensional or has duplicate column names.
    """
    if _is_frame(X):
        names = list(X.column_names if hasattr(X, "column_names") else X.columns)
        _refuse_duplicates(names)
        if hasattr(X, "dtypes") and hasattr(X, "iloc"):
            X = _plain_kinds(X)
        if any(isinstance(name, str) for name in names):
            return X
        if not all(isinstance(t, np.dtype) and t.kind in "biuf" for t in X.dtypes):
            return X.set_axis([f"x{j}" for j in range(len(names))], axis=1)
        X = X.to_numpy()  # scikit-learn, too, ignores names that are not strings
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise TypeError(
            f"X is a sparse {type(X).__name__}; group attributes need a dense table. "
            "Pass a dataframe or X.toarray()."
        )
    if isinstance(X, Mapping) or are_records(X):
        what = "one object" if isinstance(X, Mapping) else "a list of objects"
        raise ValueError(
            f"X is {what}, where a 2D array or a dataframe belongs. Make a dataframe of it, such "
            "as pandas.DataFrame(rows); a fitted router and a bundle take a list of objects, too."
        )
    if hasattr(X, "collect") and hasattr(X, "lazy"):
        raise TypeError("X is a lazy frame; call .collect() first.")
    if isinstance(X, np.ma.MaskedArray):
        X = np.ma.filled(X.astype(np.float64 if X.dtype.kind in "biuf" else object), np.nan)
    array = np.asarray(X)
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    if array.dtype.kind in "US" and not isinstance(X, np.ndarray):
        array = np.asarray(X, dtype=object)  # a list of mixed rows would turn numbers into text
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array instead for X. Reshape your data: "
            "X.reshape(-1, 1) for one column, X.reshape(1, -1) for one row."
        )
    return array


def _plain_kinds(frame: Any) -> Any:
    """Columns of pandas in kinds that all read: sparse ones dense, odd floats as usual ones."""
    kinds: dict[Any, Any] = {}
    given = frame.dtypes.tolist()
    for j, kind in enumerate(given):
        kind = getattr(kind, "subtype", kind) if type(kind).__name__ == "SparseDtype" else kind
        if isinstance(kind, np.dtype) and kind.kind == "f" and kind.itemsize not in (4, 8):
            kind = np.dtype(np.float32 if kind.itemsize < 4 else np.float64)
        if kind is not given[j]:
            kinds[frame.columns[j]] = kind
    return frame.astype(kinds) if kinds else frame


def are_records(X: Any) -> bool:
    """Whether rows are given as JSON holds them: a list of objects."""
    return isinstance(X, (list, tuple)) and bool(X) and all(isinstance(r, Mapping) for r in X)


def from_records(
    records: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    numeric: Sequence[str],
    optional: Sequence[str],
    as_array: bool = False,
) -> Table:
    """Rows that are objects as a dataframe, or as an array of objects.

    Parameters
    ----------
    records : sequence of dict
    names : sequence of str
        The columns, in their order.
    numeric, optional : sequence of str
        Columns of numbers, and those that may be lacking; a missing value is None.
    as_array : bool, default=False

    Raises
    ------
    ValueError
        For rows with other columns.
    """
    for row, record in enumerate(records):
        lacking = [n for n in names if n not in record and n not in optional]
        foreign = [n for n in record if n not in names]
        if lacking or foreign:
            raise ValueError(
                f"X has other columns than the training data in row {row} (missing: {lacking}; not "
                f"known: {foreign}). Pass the columns {list(names)}."
            )
    cells = {name: [record.get(name) for record in records] for name in names}
    if as_array:
        table = np.empty((len(records), len(names)), dtype=object)
        for j, name in enumerate(names):
            table[:, j] = cells[name]
        return table
    kinds = {
        name: np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        if name in numeric
        else values
        for name, values in cells.items()
    }
    backends = ("pandas", "polars", "pyarrow")
    backend = next((b for b in backends if importlib.util.find_spec(b) is not None), "pandas")
    return from_columns(kinds, backend)


def _is_frame(X: Any) -> bool:
    return bool(nw.dependencies.is_into_dataframe(X))


def _refuse_duplicates(names: Sequence[Any]) -> None:
    twice = sorted(str(name) for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ValueError(
            f"X has duplicate column names: {twice}. Every column needs a name of its own; "
            "rename or drop the copies."
        )


def column_names(table: Table) -> list[str] | None:
    """Column names of a frame; None for an array."""
    return list(nw.from_native(table, eager_only=True).columns) if _is_frame(table) else None


def shape(table: Table) -> tuple[int, int]:
    """Rows and columns."""
    if _is_frame(table):
        return nw.from_native(table, eager_only=True).shape
    return table.shape


def column(table: Table, position: int) -> Column:
    """Read one column by position."""
    if not _is_frame(table):
        return Column(table[:, position])
    frame = nw.from_native(table, eager_only=True)
    return _column(frame[frame.columns[position]])


def columns(table: Table) -> Iterator[Column]:
    """Read all columns in turn, a frame as a whole: its whole numbers may come as floats."""
    if not _is_frame(table):
        return (Column(table[:, position]) for position in range(table.shape[1]))
    frame = nw.from_native(table, eager_only=True)
    if frame.implementation.is_pandas_like() and _all_plain_numbers(table):
        return map(Column, np.asarray(table).T)
    return map(_column, frame.iter_columns())


def _all_plain_numbers(table: Any) -> bool:
    """Whether all columns of a pandas frame are numbers of numpy's."""
    return all(isinstance(kind, np.dtype) and kind.kind in "fiu" for kind in table.dtypes)


def _column(series: Any) -> Column:
    if series.implementation.is_pandas_like() and series.dtype in (nw.Categorical, nw.Enum):
        native = series.to_native()
        if not hasattr(native, "cat"):  # a dictionary of Arrow's
            return Column(native.to_list())
        codes = native.cat.codes.to_numpy().astype(np.int64)
        return Column([], tuple(native.cat.categories.tolist()), codes)
    categories = tuple(series.dtype.categories) if isinstance(series.dtype, nw.Enum) else None
    if series.dtype.is_numeric() and series.null_count() == 0:
        return Column(series.to_numpy(), categories)
    return Column(series.to_list(), categories)


def is_numeric(table: Table, position: int) -> bool:
    """Whether a column holds numbers or booleans only."""
    if _is_frame(table):
        frame = nw.from_native(table, eager_only=True)
        series = frame[frame.columns[position]]
        if series.implementation.is_pandas_like() and series.dtype == nw.Categorical:
            # scikit-learn takes categories that are booleans for numbers
            native = series.to_native()
            return hasattr(native, "cat") and bool(native.cat.categories.dtype == bool)
        if series.dtype == nw.Object:
            return _are_numbers(series.to_list())
        return bool(series.dtype.is_numeric() or series.dtype == nw.Boolean)
    if table.dtype != object:
        return table.dtype.kind in "biuf"
    return _are_numbers(table[:, position].tolist())


def _are_numbers(values: list[Any]) -> bool:
    """Whether objects are numbers and booleans, which scikit-learn converts; some may be None."""
    told = [v for v in values if v is not None]
    return bool(told) and all(isinstance(v, (int, float, np.number, np.bool_)) for v in told)


def take_columns(table: Table, positions: Sequence[int]) -> Table:
    """Keep the columns at `positions`, in that order."""
    if not _is_frame(table):
        return table[:, list(positions)]
    frame = nw.from_native(table, eager_only=True)
    names = frame.columns
    return frame.select([names[j] for j in positions]).to_native()


def take_rows(table: Table, rows: NDArray[Any]) -> Table:
    """Keep the rows given by integer index."""
    if not _is_frame(table):
        return table[rows]
    if hasattr(table, "iloc"):
        return table.iloc[rows]
    return nw.from_native(table, eager_only=True)[rows, :].to_native()


def gather_columns(table: Table, rows: Sequence[NDArray[np.int64]]) -> Table:
    """Take other rows of each column: column j of the result is column j at ``rows[j]``."""
    if not _is_frame(table):
        return np.stack([table[r, j] for j, r in enumerate(rows)], axis=1)
    frame = nw.from_native(table, eager_only=True)
    parts = [frame[:, [j]][r, :] for j, r in enumerate(rows)]
    if frame.implementation.is_pandas_like():
        pandas = frame.implementation.to_native_namespace()
        return pandas.concat([p.to_native().reset_index(drop=True) for p in parts], axis=1)
    return nw.concat(parts, how="horizontal").to_native()


def append_columns(table: Table, values: NDArray[np.float64], names: Sequence[str]) -> Table:
    """Append numeric columns on the right, keeping the kind of table (sparse matrices too)."""
    if values.shape[1] == 0:
        return table
    if hasattr(table, "nnz"):
        from scipy import sparse

        return sparse.hstack([table, sparse.csr_matrix(values)], format="csr")
    if not _is_frame(table):
        if table.dtype.kind == "f":
            values = values.astype(table.dtype, copy=False)
        return np.concatenate([table, values], axis=1)
    frame = nw.from_native(table, eager_only=True)
    if frame.implementation.is_pandas_like():
        pandas = frame.implementation.to_native_namespace()
        if all(dtype == np.float64 for dtype in table.dtypes):  # one block is read ten times faster
            block = np.concatenate([table.to_numpy(), values], axis=1)
            columns = table.columns.append(pandas.Index(names))
            return pandas.DataFrame(block, columns=columns, index=table.index)
        extra = pandas.DataFrame(values, columns=list(names), index=table.index)
        return pandas.concat([table, extra], axis=1)
    extra = nw.from_numpy(values, list(names), backend=frame.implementation)
    return nw.concat([frame, extra], how="horizontal").to_native()


def insert_columns(table: Table, others: Table, positions: Sequence[int]) -> Table:
    """Put the columns of another table of as many rows between those of `table`.

    Parameters
    ----------
    table, others : tables of n rows, of one kind
    positions : sequence of int
        Where the columns of `others` stand in the result.
    """
    width = shape(table)[1] + len(positions)
    others_at = {j: i for i, j in enumerate(positions)}
    rest = iter(range(len(positions), width))
    order = [others_at[j] if j in others_at else next(rest) for j in range(width)]
    if not _is_frame(table):
        kind = np.result_type(table, others) if table.dtype != object else object
        both = np.concatenate([others.astype(kind), table.astype(kind)], axis=1)
        return both[:, order]
    left, right = nw.from_native(others, eager_only=True), nw.from_native(table, eager_only=True)
    if left.implementation.is_pandas_like():
        pandas = left.implementation.to_native_namespace()
        both = pandas.concat([others.set_axis(table.index, axis=0), table], axis=1)
        return both.iloc[:, order]
    return nw.concat([left, right], how="horizontal")[:, order].to_native()


def fill_in(table: Table, names: Sequence[str], optional: Sequence[str]) -> Table:
    """Put columns of missing values where a frame lacks optional ones of the named columns.

    A table that differs otherwise, or is no frame, is returned as it is.
    """
    own = column_names(table)
    if own is None or own == list(names):
        return table
    lacking = [name for name in names if name not in own]
    if not set(lacking) <= set(optional) or own != [name for name in names if name in own]:
        return table
    filled = append_columns(table, np.full((shape(table)[0], len(lacking)), np.nan), lacking)
    together = [*own, *lacking]
    return take_columns(filled, [together.index(name) for name in names])


def number_block(table: Table, positions: Sequence[int], dtype: str) -> NDArray[Any] | None:
    """Read columns of plain numbers as one array, shape (n, k), at once.

    None if some column is not of a plain number type, so that it must be read cell by cell.
    """
    if not _is_frame(table):
        plain = table.dtype.kind in "biuf"
        return table[:, list(positions)].astype(dtype) if plain else None
    frame = nw.from_native(table, eager_only=True)
    if frame.implementation.is_pandas_like():
        part = table.iloc[:, list(positions)]
        plain = all(isinstance(t, np.dtype) and t.kind in "biuf" for t in part.dtypes)
        return part.to_numpy(dtype=dtype) if plain else None
    part = frame.select([frame.columns[j] for j in positions])
    plain = all(t.is_numeric() for t in part.schema.values())
    return part.to_numpy().astype(dtype) if plain else None


def fill_columns(table: Table, positions: Sequence[int], value: float) -> Table:
    """Put one number into all cells of the columns at `positions`."""
    if not _is_frame(table):
        filled = table.astype(np.float64 if table.dtype.kind in "biuf" else object)
        filled[:, list(positions)] = value
        return filled
    frame = nw.from_native(table, eager_only=True)
    names = [frame.columns[j] for j in positions]
    return frame.with_columns(nw.lit(value).alias(name) for name in names).to_native()


def in_doubles(table: Table) -> Table:
    """Turn numbers of lower precision into doubles, column by column; leave everything else."""
    if not _is_frame(table):
        low = table.dtype.kind == "f" and table.dtype.itemsize < 8
        return table.astype(np.float64) if low else table
    frame = nw.from_native(table, eager_only=True)
    low = [name for name, kind in frame.schema.items() if kind == nw.Float32]
    return frame.with_columns(nw.col(low).cast(nw.Float64)).to_native() if low else table


def plain_features(table: Table) -> Table:
    """Turn an object array that holds only numbers into float64; leave everything else alone.

    Dropping the string group columns of a mixed array often leaves numbers typed as objects,
    which scikit-learn would convert anew in every call.
    """
    if _is_frame(table) or table.dtype != object:
        return table
    if all(is_numeric(table, j) for j in range(table.shape[1])):
        return table.astype(np.float64)
    return table


def from_columns(data: Mapping[str, Any], backend: str = "pandas") -> Any:
    """Build a dataframe of the named backend.

    Raises
    ------
    ModuleNotFoundError
        If the backend is not installed.
    ValueError
        For a backend that is not one of pandas, polars, pyarrow.
    """
    if backend not in ("pandas", "polars", "pyarrow"):
        raise ValueError(f"backend={backend!r} is not one of 'pandas', 'polars', 'pyarrow'.")
    if importlib.util.find_spec(backend) is None:
        raise ModuleNotFoundError(
            f"to_frame(backend={backend!r}) needs {backend}, which is not installed. Install it, "
            "or name another backend: pandas, polars or pyarrow."
        )
    return nw.from_dict(dict(data), backend=backend).to_native()  # type: ignore[arg-type]
