"""How much of a correction is real, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from fairuse_router.card import plot_corrections
from fairuse_router.displays.tables import table_of
from fairuse_router.routing.table import RoutingTable

if TYPE_CHECKING:  # it loads scikit-learn, which a bundle does not need
    from fairuse_router.bundle import Bundle
    from fairuse_router.routing.deployed import Deployed


class CorrectionDisplay:
    """How much of the multilevel correction is real in every group, and how much is used.

    Parameters
    ----------
    table : RoutingTable
        Of a policy that weighs the correction, such as ``"priced"``.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes

    Notes
    -----
    There is no ``from_predictions``: how much is real is weighed while fitting, on rows that the
    models have not seen, and cannot be told from predictions alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=200), np.arange(200) % 2])
    >>> y = X[:, 0] * np.where(X[:, 1] == 1, 1, -1) > 0
    >>> router = FairUseRouter(LogisticRegression(), [1]).fit(X, y)
    >>> display = CorrectionDisplay.from_estimator(router)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['1 (100)', '0 (100)']
    """

    def __init__(self, table: RoutingTable) -> None:
        self.table = table

    @classmethod
    def from_estimator(cls, router: Deployed | Bundle, *, ax: Any = None) -> Self:
        """Draw that of a fitted router, or of a bundle.

        Parameters
        ----------
        router : FairUseRouter or Bundle
        ax : matplotlib Axes, default=None

        Returns
        -------
        CorrectionDisplay

        Raises
        ------
        ImportError, TypeError, ValueError
            As `plot_corrections`.
        """
        return cls(table_of(router)).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a figure.

        Returns
        -------
        CorrectionDisplay
        """
        self.ax_ = plot_corrections(self.table, ax=ax)
        self.figure_ = self.ax_.figure
        return self
