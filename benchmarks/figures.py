"""Pictures of the benchmarks' tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.outputs import write_figure

OURS, THEIRS = "#1b7837", "#636363"


class Point(NamedTuple):
    """What one rule gains and whom it harms, with standard errors; whether it is the router's."""

    name: str
    gain: float
    gain_error: float
    harm: float
    harm_error: float
    ours: bool


def gain_and_harm(points: Sequence[Point], gain_label: str, path: str) -> None:
    """Gain to the right, chance that a group is harmed upwards: the lower right corner is best."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
    for p in points:
        ax.errorbar(
            p.gain,
            p.harm,
            xerr=p.gain_error,
            yerr=p.harm_error,
            fmt="o" if p.ours else "s",
            color=OURS if p.ours else THEIRS,
            capsize=2,
        )
    placed: list[tuple[float, float]] = []
    width = max(p.gain for p in points) - min(p.gain for p in points) or 1.0
    for p in sorted(points, key=lambda p: (p.harm, p.gain)):
        y = p.harm
        while any(abs(y - b) < 4.5 and abs(p.gain - a) < 0.15 * width for a, b in placed):
            y += 4.5  # lift a label that would cover another
        placed.append((p.gain, y))
        ax.annotate(p.name, (p.gain, y), xytext=(6, 3), textcoords="offset points", fontsize=8)
    ax.set_xlabel(gain_label)
    ax.set_ylabel("populations with a group harmed, %")
    ax.set_ylim(-4, 108)
    ax.margins(x=0.15)
    ax.grid(alpha=0.3)
    write_figure(figure, path, dpi=120)
    plt.close(figure)


def ways_by_data(
    values: Sequence[tuple[str, str, float, float, float, bool]], label: str, path: str
) -> None:
    """One panel per data set: each way's value with its interval, ours in colour."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys(v[0] for v in values))
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns, 2.9 * rows), layout="constrained", squeeze=False
    )
    for ax in axes.ravel()[len(panels) :]:
        ax.set_visible(False)
    for panel, ax in zip(panels, axes.ravel(), strict=False):
        own = [v for v in values if v[0] == panel]
        for place, (_, _, value, low, high, ours) in enumerate(reversed(own)):
            colour = OURS if ours else THEIRS
            ax.plot([low, high], [place, place], color=colour)
            ax.plot(value, place, "o" if ours else "s", color=colour)
        ax.axvline(0, color="black", lw=0.8)
        ax.set_yticks(range(len(own)), [v[1] for v in reversed(own)], fontsize=8)
        ax.set_title(panel, fontsize=9)
        ax.set_xlabel(label, fontsize=8)
    write_figure(figure, path, dpi=110)
    plt.close(figure)
