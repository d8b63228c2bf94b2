"""Counts of what was served, as Prometheus reads them; none tells of fewer people than allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle import Bundle


class Counts:
    """Rows by route and by withheld attribute, and requests by answer.

    Whoever reads counters twice sees how they grew; so those of rows grow in steps of `min_cell`
    only, and no difference of two readings tells of fewer people.

    Parameters
    ----------
    min_cell : int, default=5
    """

    def __init__(self, min_cell: int = 5) -> None:
        self._step = max(min_cell, 1)
        self._rows: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._requests: Counter[tuple[str, int]] = Counter()

    def served(self, model: str, bundle: Bundle, report: NDArray[Any], route: Any) -> None:
        """Count the rows of one answer.

        Parameters
        ----------
        model : str
        bundle : Bundle
        report : ndarray of shape (n, k)
            Texts, or codes.
        route : ndarray of int64, shape (n,)
        """
        names, table = ("fairuse_router_rows", "fairuse_router_withheld_rows"), bundle.routing_table
        places, counts = np.unique(route, return_counts=True)
        for place, n in zip(places.tolist(), counts.tolist(), strict=True):
            labels = (
                ("model", model),
                ("route", str(place)),
                ("candidate", table.routes[place].candidate),
            )
            self._rows[names[0], labels] += n
        silent = report == 0
        if bundle.layout.report != "codes":
            silent = (report == "") | (report == bundle.schema.withheld)
        for name, n in zip(bundle.schema.attributes, silent.sum(axis=0).tolist(), strict=True):
            self._rows[names[1], (("model", model), ("attribute", name))] += int(n)

    def answered(self, what: str, status: int) -> None:
        """Count a request by what was asked and how it ended."""
        self._requests[what, status] += 1

    def to_text(self) -> str:
        """All counts in the exposition format 0.0.4."""
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        helps = {
            "fairuse_router_rows": "Rows answered, by route",
            "fairuse_router_withheld_rows": "Rows whose report withholds an attribute",
        }
        for name, text in helps.items():
            yield f"# HELP {name}_total {text}, in steps of {self._step}."
            yield f"# TYPE {name}_total counter"
            for (own, labels), n in sorted(self._rows.items()):
                if own == name and n >= self._step:
                    yield f"{name}_total{_labelled(labels)} {n - n % self._step}"
        yield "# HELP fairuse_router_requests_total Requests, by what was asked and status."
        yield "# TYPE fairuse_router_requests_total counter"
        for (what, status), n in sorted(self._requests.items()):
            labels = (("request", what), ("status", str(status)))
            yield f"fairuse_router_requests_total{_labelled(labels)} {n}"


def _labelled(labels: tuple[tuple[str, str], ...]) -> str:
    """Labels in braces, escaped."""
    escaped = (
        (name, text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"'))
        for name, text in labels
    )
    return "{" + ",".join(f'{name}="{text}"' for name, text in escaped) + "}"
