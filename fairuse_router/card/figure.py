"""Pictures: the gains of every group, and how much of its correction is real and used."""

from __future__ import annotations

import math
from typing import Any

from fairuse_router.audit import Audit
from fairuse_router.card.forest import (
    COLOURS,
    Forest,
    Line,
    corrections_picture,
    folded,
    gains_picture,
)
from fairuse_router.grids import fold_name, shown
from fairuse_router.routing.table import RoutingTable

_MARKS = {"gain": "^", "violation": "v", "undetermined": "o", "same": "|"}


def plot_gains(
    audit: Audit, candidate: str = "routed", *, metric: str | None = None, ax: Any = None
) -> Any:
    """Plot the gain of every group over the baseline, with its interval.

    Colour and mark tell the verdict, which is corrected for the number of tests; the intervals are
    not.

    Parameters
    ----------
    audit : Audit
    candidate : str, default="routed"
    metric : str, default=None
        None: the first of the audit.
    ax : matplotlib Axes, default=None
        None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install "fairuse-router[plot]"``.
    TypeError
        If `audit` is no Audit.
    ValueError
        If the audit does not have the candidate or the metric.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fairuse_router import audit_predictions
    >>> y, sex = [0, 1, 1, 0] * 10, ["F", "M"] * 20
    >>> audit = audit_predictions(y, {"generic": [0, 1] * 20, "own": y}, sex)
    >>> ax = plot_gains(audit, "own", ax=Figure().add_subplot())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['M (20)', 'F (20)']
    """
    if not isinstance(audit, Audit):
        raise TypeError(
            f"audit is a {type(audit).__name__}; pass an Audit, such as router.audit(X, y)."
        )
    name = audit.metrics[0] if metric is None else metric
    records = [r for r in audit.rationality if (r.metric, r.candidate) == (name, candidate)]
    if not records:
        others = [c for c in audit.candidates if c != audit.baseline]
        raise ValueError(
            f"candidate={candidate!r} with metric={name!r} is not in the audit. Allowed: "
            f"{', '.join(others)} with {', '.join(audit.metrics)}."
        )
    ax = _draw(gains_picture(audit, candidate, name), ax, "plot_gains")
    for verdict, colour in COLOURS.items():
        ax.plot([], [], _MARKS[verdict], color=colour, label=verdict)
    _legend(ax)
    return ax


def plot_corrections(table: RoutingTable, *, ax: Any = None) -> Any:
    """Plot how much of the multilevel correction is real in every group, and how much is used.

    The point is the posterior mean of the correction's calibration slope with its interval: 0 is
    nothing, 1 all of it, and below one half its full use would harm. The bar is the part that the
    route uses.

    Parameters
    ----------
    table : RoutingTable
        Of a policy that weighs the correction, such as ``"priced"``.
    ax : matplotlib Axes, default=None
        None makes a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install "fairuse-router[plot]"``.
    TypeError
        If `table` is no RoutingTable.
    ValueError
        If no correction was weighed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fairuse_router.groups import GroupSchema
    >>> from fairuse_router.routing import GroupRecord
    >>> schema = GroupSchema(("sex",), (0,), (("F", "M"),))
    >>> records = [
    ...     GroupRecord(("F",), 90, "multilevel", "pays", strength=0.5, real=(0.6, 0.2, 1.0)),
    ...     GroupRecord(("M",), 90, "generic", "does not pay", real=(0.1, -0.3, 0.5)),
    ... ]
    >>> table = RoutingTable.from_choices(
    ...     schema, records, policy="priced", metric="error", alpha=0.1)
    >>> ax = plot_corrections(table, ax=Figure().add_subplot())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['M (90)', 'F (90)']
    """
    if not isinstance(table, RoutingTable):
        raise TypeError(f"table is a {type(table).__name__}; pass router.routing_table_.")
    picture = corrections_picture(table)
    if picture is None:
        raise ValueError(
            f"The table of policy={table.policy!r} weighs no correction. Fit the router with "
            "policy='priced', and of several classes with a linear estimator."
        )
    ax = _draw(picture, ax, "plot_corrections")
    ax.plot([], [], "o", color=COLOURS["undetermined"], label="real")
    ax.barh([], [], color=COLOURS["gain"], alpha=0.3, label="used")
    _legend(ax)
    return ax


def _draw(picture: Forest, ax: Any, who: str) -> Any:
    """Draw a picture on axes; on a new figure with room for its lines if there are none."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f'{who} needs matplotlib: pip install "fairuse-router[plot]".') from error
    lines, between = folded(picture.lines)
    names = ["\n".join(fold_name(line.name)) for line in lines]
    if ax is None:
        height = 0.2 + 0.15 * len(lines) + 0.2 * sum(name.count("\n") + 1 for name in names)
        _, ax = plt.subplots(figsize=(7, 1.0 + height), layout="constrained")
    for place, line in enumerate(reversed(lines)):
        _draw_line(ax, place, line, picture.scale)
    for i, mark in enumerate(picture.marks):
        ax.axvline(mark, color="black", lw=0.8, ls="--" if i else "-")
    # each text as it is: one with dollars is no formula
    ax.set_yticks(range(len(names)), names[::-1], parse_math=False)
    ax.set_ylim(-0.6, len(names) - 0.4)
    told = f"\n{between} groups between, not drawn" if between else ""
    ax.set_xlabel(f"{shown(picture.axis)}{told}", parse_math=False)
    return ax


def _draw_line(ax: Any, place: int, line: Line, scale: float) -> None:
    """One group: what is used, the interval, the mark."""
    colour = COLOURS[line.kind]
    if line.bar is not None:
        ax.barh(place, scale * line.bar, height=0.55, color=COLOURS["gain"], alpha=0.3)
    if line.low is not None and line.high is not None:
        ax.plot([scale * line.low, scale * line.high], [place, place], color=colour, lw=1.5)
    if line.value is not None and math.isfinite(line.value):
        ax.plot(scale * line.value, place, _MARKS[line.kind], color=colour)


def _legend(ax: Any) -> None:
    ax.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize="small"
    )
