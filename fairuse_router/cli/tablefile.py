"""Files with a header and rows: CSV, TSV and Parquet, packed or not, from disk or standard input.

Every cell is its text, to the letter; nothing is guessed here but the separator.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from fairuse_router.levels import level_text

Cells = list[str | None]

STREAM = "-"  # standard input, or output
_SEPARATORS = ",;\t|"
_SAMPLE = 100_000  # signs that tell the separator
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_PARQUET = b"PAR1"
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class TableFile:
    """A table in a file, read row by row.

    Parameters
    ----------
    path : str
        CSV or TSV, also packed by gzip, bzip2 or xz, or Parquet; ``-`` is standard input.
    separator : str, default=None
        None: found where only one of comma, semicolon, tab and bar parts all lines alike.
    encoding : str, default=None
        None: UTF-8, or what the file's byte order mark says.

    Attributes
    ----------
    names : list of str
        The header. A column without a name is called ``""``.
    typed : frozenset of str
        Columns that a Parquet file holds as texts, also where they look like numbers.
    has_types : bool
        Whether the file tells texts from missing cells by itself.

    Raises
    ------
    ValueError
        If there is no such file, it is no text in the encoding, or it has no header or a name
        twice.
    """

    def __init__(
        self, path: str, separator: str | None = None, encoding: str | None = None
    ) -> None:
        self.path = "standard input" if path == STREAM else path
        self._lines = _lines_of(path, self.path, separator, encoding)
        header = next(self._lines, None)
        if header is None:
            raise ValueError(f"{self.path} is empty; a header line with column names is needed.")
        self.names = [name or "" for name in header]
        texts = next(self._lines, None)
        self.has_types = texts is not None
        self.typed = frozenset(name for name in texts or () if name)
        twice = sorted(name for name, n in Counter(self.names).items() if n > 1 and name)
        if twice:
            raise ValueError(
                f"{self.path}: the header names {twice} twice. Rename or drop the copies."
            )

    def batches(self, size: int) -> Iterator[list[Cells]]:
        """Yield the rows in lists of at most `size`; None is a cell that the file knows as missing.

        Raises
        ------
        ValueError
            For a row with more or fewer cells than the header, or a file without rows.
        """
        batch: list[Cells] = []
        number = 0
        for number, row in enumerate(self._lines, start=1):
            if len(row) != len(self.names):
                raise ValueError(
                    f"{self.path}: row {number} after the header has {len(row)} cells, the header "
                    f"{len(self.names)}. Check its quotes and separators."
                )
            batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
        if number == 0:
            raise ValueError(f"{self.path} has a header and no rows.")

    def columns(self) -> dict[str, Cells]:
        """Read all rows; return the columns by name, unnamed ones left out."""
        rows = [row for batch in self.batches(10_000) for row in batch]
        return {
            name: list(cells)
            for name, cells in zip(self.names, zip(*rows, strict=True), strict=True)
            if name
        }


def _lines_of(path: str, shown: str, separator: str | None, encoding: str | None) -> Iterator[Any]:
    """Yield the header, then the columns of texts if the file has types, else None, then rows."""
    with ExitStack() as stack:  # a generator that is dropped closes its files
        file = _open(path, stack)
        start = file.read(6)
        file.seek(0)
        if start.startswith(_PARQUET):
            yield from _parquet(file, shown)
        else:
            yield from _records(file, start, shown, separator, encoding)


def _records(
    file: BinaryIO, start: bytes, path: str, separator: str | None, encoding: str | None
) -> Iterator[Any]:
    """Records of delimited text; empty lines are none."""
    known = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")
    encoding = _read_encoding(encoding, known)
    first = True
    try:
        with io.TextIOWrapper(file, encoding, newline="") as lines:
            sample = lines.read(_SAMPLE)
            if separator is None:
                separator = _find_separator(sample, path)
            if not sample.endswith("\n"):
                sample += lines.readline()
            whole = chain(_lines(sample), lines)
            for record in csv.reader(whole, delimiter=separator, strict=True):
                if record:
                    yield record
                    if first:
                        yield None
                        first = False
    except UnicodeError:
        raise ValueError(
            f"{path} is no text in {encoding.upper()}. Name its encoding, such as "
            "--encoding cp1252, or save it as CSV UTF-8."
        ) from None
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV file: {error}.") from None


def _lines(text: str) -> Iterator[str]:
    """Lines as a file yields them that keeps their ends."""
    return iter(io.StringIO(text, newline=""))


def _open(path: str, stack: ExitStack) -> BinaryIO:
    """Open a file that can be read twice, unpacked."""
    if path == STREAM:
        file: Any = _spooled(sys.stdin.buffer, stack)
    else:
        place = Path(path)
        if place.is_dir() or not place.exists():
            kind = "it is a folder" if place.is_dir() else "there is no such file"
            raise ValueError(f"{path}: {kind}.")
        file = stack.enter_context(open(path, "rb"))  # noqa: SIM115
        if not place.is_file():  # a pipe
            file = _spooled(file, stack)
    start = file.read(6)
    file.seek(0)
    for mark, unpack in _PACKED.items():
        if start.startswith(mark):
            return cast(BinaryIO, stack.enter_context(unpack(file, "rb")))
    if start.startswith(b"PK\x03\x04"):
        raise ValueError(f"{path} is a zip archive or a workbook. Save the table as CSV.")
    return cast(BinaryIO, file)


def _spooled(stream: BinaryIO, stack: ExitStack) -> Any:
    """A stream as a file that can be read twice; large ones lie on the disk."""
    file = tempfile.SpooledTemporaryFile(max_size=50_000_000)  # noqa: SIM115
    stack.enter_context(file)
    while block := stream.read(1 << 20):
        file.write(block)
    file.seek(0)
    return file


def _read_encoding(encoding: str | None, known: str) -> str:
    """The encoding to read by: as told, else as the file's mark says."""
    if encoding is None:
        return known
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(
            f"--encoding {encoding} is not known; common ones are utf-8, cp1252, latin-1 and utf-16"
        ) from None
    return "utf-8-sig" if name == "utf-8" else name


def _find_separator(sample: str, path: str) -> str:
    """The one sign that parts all lines of a sample alike.

    Raises
    ------
    ValueError
        If two do.
    """
    heads: list[str] = []
    fits: list[str] = []
    for separator in _SEPARATORS:
        try:
            reader = csv.reader(_lines(sample), delimiter=separator, strict=True)
            widths = [len(record) for record in islice(reader, 100) if record]
        except csv.Error:  # a quote that the sample cuts, or another separator's
            continue
        if len(sample) >= _SAMPLE and len(widths) < 100:
            widths = widths[:-1] or widths  # the sample may end within the last line
        if widths and widths[0] > 1:
            heads.append(separator)
            if len(set(widths)) == 1:
                fits.append(separator)
    if len(fits) > 1:
        raise ValueError(
            f"{path} may be separated by {' or '.join(map(repr, fits))}: say which by --sep."
        )
    return (fits or (heads if len(heads) == 1 else []) or [","])[0]


def _parquet(file: BinaryIO, path: str) -> Iterator[Any]:
    """Names, columns of texts, and rows of a Parquet file."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            f'{path} is a Parquet file, which pyarrow reads: pip install "pyarrow".'
        ) from None
    try:
        table = pyarrow.parquet.ParquetFile(file)
        schema = table.schema_arrow
        names = ["" if name.startswith("__index_level_") else name for name in schema.names]
        kinds = zip(names, schema.types, strict=True)
        yield names
        yield [n for n, k in kinds if _is_text(getattr(k, "value_type", k), pyarrow.types)]
        for batch in table.iter_batches():
            columns = [[level_text(v) for v in column.to_pylist()] for column in batch.columns]
            yield from map(list, zip(*columns, strict=True))
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ValueError(f"{path} is no whole Parquet file: {error}.") from None


def _is_text(kind: Any, types: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
