"""Files that the benchmarks write beside what they print."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
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
    part = f"{path}.part"
    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, path)
