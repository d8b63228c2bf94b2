"""Decision curves as a picture."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from fairuse_router.audit.net_benefit import ALL, NONE, DecisionCurve, decision_curve
from fairuse_router.audit.told import EVERYBODY
from fairuse_router.displays.panels import COLOURS, chosen_groups, panels
from fairuse_router.grids import shown


class DecisionCurveDisplay:
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

    def __init__(self, curve: DecisionCurve) -> None:
        self.curve = curve

    @classmethod
    def from_estimator(
        cls, router: Any, X: Any, y: Any, *, ax: Any = None, **settings: Any
    ) -> Self:
        """Draw the curves of a fitted router on rows that it never saw.

        `settings` are those of ``router.decision_curve``; see there for what is raised.
        """
        groups = settings.pop("groups", None)
        return cls(router.decision_curve(X, y, **settings)).plot(ax=ax, groups=groups)

    @classmethod
    def from_predictions(
        cls, y: Any, predictions: Any, groups: Any, *, ax: Any = None, **settings: Any
    ) -> Self:
        """Draw the curves of any models; `settings` are those of `decision_curve`."""
        return cls(decision_curve(y, predictions, groups, **settings)).plot(ax=ax)

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
        DecisionCurveDisplay

        Raises
        ------
        ImportError, ValueError
            Without matplotlib; for groups that are not there.
        """
        drawn = chosen_groups(groups, self.curve.groups, EVERYBODY)
        self.figure_, self.ax_ = panels(ax, drawn)
        for axes, group in zip(self.ax_, drawn, strict=True):
            self._panel(axes, group)
        self.ax_[0].set_ylabel("net benefit")
        self.ax_[0].legend(fontsize="small", frameon=False)
        return self

    def _panel(self, axes: Any, group: str) -> None:
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
        axes.set_title(f"{shown(group)} ({count:,})", fontsize="medium", parse_math=False)
        axes.set_xlabel("threshold")
