"""Files that the benchmarks write beside what they print."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any


def write_csv(lines: Sequence[Any], path: str | None) -> None:
    """Write records (mappings or dataclasses) to a CSV file, whole or not at all.

    Columns are those of all records, in the order in which they appear; a file is written only if
    there is a path.
    """
    if not path:
        return
    rows: list[Mapping[str, Any]] = [asdict(x) if is_dataclass(x) else x for x in lines]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, fieldnames=columns)
    writer.writeheader()
    writer.writerows(rows)
    _write_whole(file.getvalue().encode(), path)


def write_figure(figure: Any, path: str, dpi: int) -> None:
    """Write a figure of matplotlib as PNG, whole or not at all."""
    file = io.BytesIO()
    figure.savefig(file, dpi=dpi, format="png")
    _write_whole(file.getvalue(), path)


def _write_whole(content: bytes, path: str) -> None:
    part = Path(f"{path}.part")
    part.write_bytes(content)
    part.replace(path)
