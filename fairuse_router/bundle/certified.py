"""A certificate in words."""

from __future__ import annotations

from typing import Any


def certified(certificate: dict[str, Any]) -> str:
    """A bundle's certificate as sentences."""
    rows, every = certificate["rows"], certificate["rows_per_report"]
    some = "" if every == rows else f", {every:,} of them"
    checks, most = f"{certificate['checks']:,}", f"by at most {certificate['max_difference']:.0e}"
    if "label_flips" not in certificate:  # a regression
        found = f"{checks} predictions differ {most}"
    else:
        found = f"{certificate['label_flips']} of {checks} labels differ"
        if certificate["compared"] != "labels":
            found += f", {certificate['compared']} {most}"
    return (
        f"It was compared with the router on {rows:,} rows{some} under each of "
        f"{certificate['reports']} reports: {found}."
    )
