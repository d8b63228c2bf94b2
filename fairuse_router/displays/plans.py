"""What is asked of whom, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from fairuse_router.displays.tables import table_of
from fairuse_router.routing.plan import DisclosurePlan

if TYPE_CHECKING:  # it loads scikit-learn, which a bundle does not need
    from fairuse_router.bundle import Bundle
    from fairuse_router.routing.deployed import Deployed


class PlanDisplay:
    """The tree of questions of a disclosure plan: what is asked next, and who serves at each end.

    Parameters
    ----------
    plan : DisclosurePlan

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes

    Notes
    -----
    There is no ``from_predictions``: a plan belongs to a routing table.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=200), np.arange(200) % 2])
    >>> y = X[:, 0] * np.where(X[:, 1] == 1, 1, -1) > 0
    >>> router = FairUseRouter(LogisticRegression(), [1]).fit(X, y)
    >>> PlanDisplay.from_estimator(router).ax_.get_title(loc="left")
    'What to ask of x1'
    """

    def __init__(self, plan: DisclosurePlan) -> None:
        self.plan = plan

    @classmethod
    def from_estimator(cls, router: Deployed | Bundle, *, ax: Any = None) -> Self:
        """Draw the plan of a fitted router, or of a bundle.

        Parameters
        ----------
        router : FairUseRouter or Bundle
        ax : matplotlib Axes, default=None

        Returns
        -------
        PlanDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError
            If `router` is neither.
        """
        return cls(table_of(router).disclosure_plan()).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a figure.

        Returns
        -------
        PlanDisplay
        """
        self.ax_ = self.plan.plot(ax)
        self.figure_ = self.ax_.figure
        return self
