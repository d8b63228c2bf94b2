"""Panels: one axes for everybody and one for every group, or axes of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from fairuse_router.audit.clinical import Clinical
from fairuse_router.audit.told import EVERYBODY
from fairuse_router.grids import shown

COLOURS = ("#636363", "#1f77b4", "#d95f02", "#1b7837", "#7b3294")
_ACROSS, _MOST = 3, 12


class Panels:
    """A display of what was measured for everybody and in every group: one panel for each.

    Subclasses say how it is measured and what is drawn.

    Parameters
    ----------
    measured : object with ``groups``

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : ndarray of matplotlib Axes
        One for each group that was drawn, in order.
    """

    _of_router: ClassVar[Callable[..., Any]]
    _of_predictions: ClassVar[Callable[..., Any]]
    _across: ClassVar[str]
    _up: ClassVar[str]

    def __init__(self, measured: Any) -> None:
        self._measured = measured

    @classmethod
    def from_estimator(
        cls,
        router: Clinical,
        X: Any,
        y: Any,
        *,
        ax: Any = None,
        groups: Any = None,
        **settings: Any,
    ) -> Self:
        """Draw what a fitted router does on rows that it never saw.

        Parameters
        ----------
        router : FairUseRouter
        X, y
            Those rows, and their labels.
        ax, groups
            As for `plot`.
        **settings
            Those of the router's method of the same name; see there for what is raised.
        """
        return cls(cls._of_router(router, X, y, **settings)).plot(ax=ax, groups=groups)

    @classmethod
    def from_predictions(
        cls, y: Any, predictions: Any, groups: Any, *, ax: Any = None, **settings: Any
    ) -> Self:
        """Draw what any models do.

        Parameters
        ----------
        y, predictions, groups, **settings
            Those of the function of the same name in `fairuse_router.audit`.
        ax : matplotlib Axes or array of them, default=None
            As for `plot`.
        """
        return cls(cls._of_predictions(y, predictions, groups, **settings)).plot(ax=ax)

    def plot(self, *, ax: Any = None, groups: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            One for each group; None makes a figure.
        groups : sequence of str, default=None
            Panels to draw; ``"everybody"`` is one. None: everybody and up to eleven groups.

        Returns
        -------
        the display itself

        Raises
        ------
        ImportError, ValueError
            Without matplotlib; for groups that are not there.
        """
        drawn = chosen_groups(groups, self._measured.groups, EVERYBODY)
        self.figure_, self.ax_ = panels(ax, drawn)
        for axes, group in zip(self.ax_, drawn, strict=True):
            count = self._panel(axes, group)
            title = f"{shown(group)} ({count:,})"
            axes.set_title(title, fontsize="medium", parse_math=False)
            axes.set_xlabel(self._across)
        self.ax_[0].set_ylabel(self._up)
        return self

    def _panel(self, axes: Any, group: str) -> int:
        """Draw one group; return its rows."""
        raise NotImplementedError


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
