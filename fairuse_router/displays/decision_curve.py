"""Decision curves as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairuse_router.audit.clinical import Clinical
from fairuse_router.audit.net_benefit import ALL, NONE, DecisionCurve, decision_curve
from fairuse_router.displays.panels import COLOURS, Panels
from fairuse_router.grids import shown


class DecisionCurveDisplay(Panels):
    """Net benefit over thresholds, one panel for everybody and one for each group.

    Parameters
    ----------
    curve : DecisionCurve

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : ndarray of matplotlib Axes
        One for each group that was drawn, in order.

    Examples
    --------
    >>> y, sex = np.array([0, 0, 0, 0, 1] * 40), np.repeat(["F", "M"], 100)
    >>> told = {"generic": np.full(200, 0.3), "new": 0.1 + 0.8 * y}
    >>> display = DecisionCurveDisplay.from_predictions(y, told, sex, thresholds=[0.1, 0.2, 0.4])
    >>> [ax.get_title() for ax in display.ax_]
    ['everybody (200)', 'F (100)', 'M (100)']
    """

    _of_router = staticmethod(Clinical.decision_curve)
    _of_predictions = staticmethod(decision_curve)
    _across, _up = "threshold", "net benefit"

    def __init__(self, curve: DecisionCurve) -> None:
        super().__init__(curve)
        self.curve = curve

    def _panel(self, axes: Any, group: str) -> int:
        top, count = 0.0, 0
        colours = iter(COLOURS)
        for model in self.curve.models:
            records = [r for r in self.curve.of(model, group) if r.net_benefit is not None]
            t, benefit = (
                [getattr(r, name) for r in records] for name in ("threshold", "net_benefit")
            )
            if model in (ALL, NONE):
                style = {"color": "black", "lw": 0.8, "ls": ":" if model == ALL else "-"}
                axes.plot(t, benefit, label=model, **style)
                continue
            colour = next(colours)
            axes.plot(t, benefit, color=colour, label=shown(model))
            top, count = max([top, *benefit]), max([count, *(r.n for r in records)])
            base = {
                r.threshold: r.net_benefit or 0.0 for r in self.curve.of(self.curve.baseline, group)
            }
            band = [
                (r.threshold, base[r.threshold] + r.low, base[r.threshold] + r.high)
                for r in records
                if r.low is not None and r.high is not None
            ]
            if band:
                at, low, high = np.array(band).T
                axes.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
        axes.set_ylim(-0.15 * top - 0.005, 1.2 * top + 0.005)
        if axes is self.ax_[0]:
            axes.legend(fontsize="small", frameon=False)
        return count
