"""Calibration as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairuse_router.audit.calibrating import Calibration, calibration
from fairuse_router.audit.clinical import Clinical
from fairuse_router.displays.panels import COLOURS, Panels
from fairuse_router.grids import shown


class CalibrationDisplay(Panels):
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

    _of_router = staticmethod(Clinical.calibration)
    _of_predictions = staticmethod(calibration)
    _across, _up = "told", "came true"

    def __init__(self, calibration: Calibration) -> None:
        super().__init__(calibration)
        self.calibration = calibration

    def _panel(self, axes: Any, group: str) -> int:
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
        axes.legend(fontsize="x-small", frameon=False, loc="upper left")
        return count
