"""Panels: one axes for everybody and one for every group, or axes of the user's."""

from __future__ import annotations

from typing import Any

import numpy as np

COLOURS = ("#636363", "#1f77b4", "#d95f02", "#1b7837", "#7b3294")
_ACROSS, _MOST = 3, 12


def panels(ax: Any, groups: tuple[str, ...]) -> tuple[Any, np.ndarray]:
    """Return the figure and one axes for each group.

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        If `ax` are not as many as the groups.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'Displays need matplotlib: pip install "fairuse-router[plot]".'
        ) from error
    if ax is not None:
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) != len(groups):
            raise ValueError(
                f"ax holds {len(axes)} axes for {len(groups)} groups {list(groups)}; pass one for "
                "each, or choose with groups=[...]."
            )
        return axes[0].figure, axes
    across = min(len(groups), _ACROSS)
    down = -(-len(groups) // across)
    figure, grid = plt.subplots(
        down, across, figsize=(3.4 * across, 3.2 * down), squeeze=False, layout="constrained"
    )
    axes = grid.ravel()
    for spare in axes[len(groups) :]:
        spare.set_visible(False)
    return figure, axes[: len(groups)]


def chosen_groups(asked: Any, known: tuple[str, ...], everybody: str) -> tuple[str, ...]:
    """Groups to draw: those asked for, or everybody and the first eleven.

    Raises
    ------
    ValueError
        For a group that is not there.
    """
    if asked is None:
        return (everybody, *known)[:_MOST]
    groups = (asked,) if isinstance(asked, str) else tuple(asked)
    unknown = [g for g in groups if g not in (everybody, *known)]
    if unknown or not groups:
        raise ValueError(f"groups={asked!r} are not known. Allowed: {[everybody, *known]}.")
    return groups
