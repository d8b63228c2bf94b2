"""The gains of every group as a picture: point, interval, verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairuse_router.metrics import named_metric

if TYPE_CHECKING:
    from fairuse_router.audit import Audit

_COLOURS = {"gain": "#1b7837", "violation": "#b2182b", "undetermined": "#636363"}
_MARKS = {"gain": "^", "violation": "v", "undetermined": "o"}


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
    ValueError
        If the audit does not have the candidate or the metric.
    """
    name = audit.metrics[0] if metric is None else metric
    records = [r for r in audit.rationality if (r.metric, r.candidate) == (name, candidate)]
    if not records:
        others = [c for c in audit.candidates if c != audit.baseline]
        raise ValueError(
            f"candidate={candidate!r} with metric={name!r} is not in the audit. Allowed: "
            f"{', '.join(others)} with {', '.join(audit.metrics)}."
        )
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'plot_gains needs matplotlib: pip install "fairuse-router[plot]".'
        ) from error
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 1.2 + 0.35 * len(records)), layout="constrained")
    scale = 100 if named_metric(name).style == "percent" else 1
    for place, r in enumerate(reversed(records)):
        colour = _COLOURS[r.verdict]
        if r.low is not None and r.high is not None:
            ax.plot([scale * r.low, scale * r.high], [place, place], color=colour, lw=1.5)
        if r.gain is not None and abs(r.gain) != float("inf"):
            ax.plot(scale * r.gain, place, _MARKS[r.verdict], color=colour)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_yticks(range(len(records)), [f"{r.group} ({r.n:,})" for r in reversed(records)])
    ax.set_ylim(-0.6, len(records) - 0.4)
    unit = ", points" if scale == 100 else ""
    ax.set_xlabel(f"gain of {candidate} over {audit.baseline} in {name}{unit} (right is better)")
    for verdict, colour in _COLOURS.items():
        ax.plot([], [], _MARKS[verdict], color=colour, label=verdict)
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 1.0 + 0.6 / len(records)),
        ncols=3,
        frameon=False,
        fontsize="small",
    )
    return ax
