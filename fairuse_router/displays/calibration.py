"""Calibration as a picture."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from fairuse_router.audit.calibrating import Calibration, calibration
from fairuse_router.audit.told import EVERYBODY
from fairuse_router.displays.panels import COLOURS, chosen_groups, panels
from fairuse_router.grids import shown


class CalibrationDisplay:
    """What came true over what was told, one panel for everybody and one for each group.

    Parameters
    ----------
    calibration : Calibration

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : ndarray of matplotlib Axes
        One for each group that was drawn, in order.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p, sex = rng.uniform(0.05, 0.95, 400), np.repeat(["F", "M"], 200)
    >>> y = (rng.random(400) < p).astype(int)
    >>> display = CalibrationDisplay.from_predictions(y, {"model": p}, sex)
    >>> [ax.get_title() for ax in display.ax_]
    ['everybody (400)', 'F (200)', 'M (200)']
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration

    @classmethod
    def from_estimator(
        cls, router: Any, X: Any, y: Any, *, ax: Any = None, **settings: Any
    ) -> Self:
        """Draw the calibration of a fitted router, before and after routing.

        `settings` are those of ``router.calibration``; see there for what is raised.
        """
        groups = settings.pop("groups", None)
        return cls(router.calibration(X, y, **settings)).plot(ax=ax, groups=groups)

    @classmethod
    def from_predictions(
        cls, y: Any, predictions: Any, groups: Any, *, ax: Any = None, **settings: Any
    ) -> Self:
        """Draw the calibration of any models; `settings` are those of `calibration`."""
        return cls(calibration(y, predictions, groups, **settings)).plot(ax=ax)

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
        CalibrationDisplay

        Raises
        ------
        ImportError, ValueError
            Without matplotlib; for groups that are not there.
        """
        drawn = chosen_groups(groups, self.calibration.groups, EVERYBODY)
        self.figure_, self.ax_ = panels(ax, drawn)
        for axes, group in zip(self.ax_, drawn, strict=True):
            self._panel(axes, group)
        self.ax_[0].set_ylabel("came true")
        return self

    def _panel(self, axes: Any, group: str) -> None:
        count, reach = 0, 0.0
        for model, colour in zip(self.calibration.models, COLOURS, strict=False):
            record = self.calibration.of(model, group)
            told, observed, low, high = map(np.array, record.curve)
            count = record.n
            slope = "n/a" if record.slope is None else f"{record.slope:.2f}"
            ratio = "n/a" if record.ratio is None else f"{record.ratio:.2f}"
            label = shown(f"{model}: slope {slope}, O/E {ratio}")
            axes.plot(told, observed, color=colour, label=label)
            axes.fill_between(told, low, high, color=colour, alpha=0.15, lw=0)
            reach = max([reach, *told, *observed])
        reach = min(1.0, 1.1 * reach) or 1.0
        axes.plot([0, reach], [0, reach], color="black", lw=0.8, ls=":")
        axes.set_xlim(0, reach)
        axes.set_ylim(0, reach)
        axes.set_title(f"{shown(group)} ({count:,})", fontsize="medium", parse_math=False)
        axes.set_xlabel("told")
        axes.legend(fontsize="x-small", frameon=False, loc="upper left")
