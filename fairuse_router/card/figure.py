"""Pictures: the gains of every group, and how much of its correction is real and used."""

from __future__ import annotations

from typing import Any

from fairuse_router.audit import Audit
from fairuse_router.grids import rows_text, shown
from fairuse_router.metrics import named_metric
from fairuse_router.routing.table import RoutingTable

_COLOURS = {"gain": "#1b7837", "violation": "#b2182b", "undetermined": "#636363", "same": "#bdbdbd"}
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
    ax = _axes(ax, len(records), "plot_gains")
    scale = 100 if named_metric(name).style == "percent" else 1
    for place, r in enumerate(reversed(records)):
        colour = _COLOURS[r.verdict]
        if r.low is not None and r.high is not None:
            ax.plot([scale * r.low, scale * r.high], [place, place], color=colour, lw=1.5)
        if r.gain is not None and abs(r.gain) != float("inf"):
            ax.plot(scale * r.gain, place, _MARKS[r.verdict], color=colour)
    ax.axvline(0, color="black", lw=0.8)
    _name_lines(ax, [f"{r.group} ({rows_text(r.n)})" for r in records])
    unit = ", points" if scale == 100 else ""
    across = f"gain of {candidate} over {audit.baseline} in {name}{unit} (right is better)"
    ax.set_xlabel(shown(across), parse_math=False)
    for verdict, colour in _COLOURS.items():
        ax.plot([], [], _MARKS[verdict], color=colour, label=verdict)
    _legend(ax, len(records))
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
    """
    if not isinstance(table, RoutingTable):
        raise TypeError(f"table is a {type(table).__name__}; pass router.routing_table_.")
    records = [(r, r.real) for r in table.groups if r.real is not None]
    if not records:
        raise ValueError(
            f"The table of policy={table.policy!r} weighs no correction. Fit the router with "
            "policy='priced', for two classes or a regression."
        )
    ax = _axes(ax, len(records), "plot_corrections")
    for place, (r, (mean, low, high)) in enumerate(reversed(records)):
        used = r.strength if r.candidate == "multilevel" else 0.0
        ax.barh(place, used, height=0.55, color="#c7e2cf", label="used" if place == 0 else None)
        ax.plot([low, high], [place, place], color="#1b7837", lw=1.5)
        ax.plot(mean, place, "o", color="#1b7837", label="real" if place == 0 else None)
    for x, style in ((0, "-"), (0.5, ":"), (1, "--")):
        ax.axvline(x, color="black", lw=0.8, ls=style)
    rows = ["" if r.rows is None else f" ({r.rows:,})" for r, _ in records]
    _name_lines(ax, [", ".join(r.report) + n for (r, _), n in zip(records, rows, strict=True)])
    level = f"{1 - table.alpha:.0%} interval"
    ax.set_xlabel(f"part of the personal correction (0 none, 1 all; {level})")
    _legend(ax, len(records))
    return ax


def _axes(ax: Any, lines: int, who: str) -> Any:
    """The axes to draw on; a new figure with room for so many lines if there are none."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f'{who} needs matplotlib: pip install "fairuse-router[plot]".') from error
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 1.2 + 0.35 * lines), layout="constrained")
    return ax


def _name_lines(ax: Any, names: list[str]) -> None:
    """Name the lines from the top down, each text as it is: one with dollars is no formula."""
    ax.set_yticks(range(len(names)), [shown(name) for name in names[::-1]], parse_math=False)
    ax.set_ylim(-0.6, len(names) - 0.4)


def _legend(ax: Any, lines: int) -> None:
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 1.0 + 0.6 / lines),
        ncols=3,
        frameon=False,
        fontsize="small",
    )
