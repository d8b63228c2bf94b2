"""The gains of groups as a picture."""

from __future__ import annotations

from typing import Any, Self

from fairuse_router.audit import Audit, audit_predictions
from fairuse_router.candidates.names import ROUTED
from fairuse_router.card import plot_gains


class GainDisplay:
    """The gain of every group over the baseline, with its interval.

    Colour and mark tell the verdict, which is corrected for the number of tests; intervals are not.
    Names of groups are folded and never cut; of more than 40 groups the lowest and the highest are
    drawn.

    Parameters
    ----------
    audit : Audit
    candidate : str, default=None
        None: the routing, or, in an audit without one, the last candidate.
    metric : str, default=None
        None: the first of the audit.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> y, sex = np.zeros(80, int), np.repeat(["F", "M"], 40)
    >>> predictions = {"generic": np.arange(80) % 4 == 0, "onehot": np.zeros(80, int)}
    >>> display = GainDisplay.from_predictions(y, predictions, sex, classes=[0, 1])
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['M (40)', 'F (40)']
    """

    def __init__(
        self, audit: Audit, *, candidate: str | None = None, metric: str | None = None
    ) -> None:
        self.audit = audit
        self.candidate = candidate
        self.metric = metric

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        candidate: str | None = None,
        metric: str | None = None,
        ax: Any = None,
        **settings: Any,
    ) -> Self:
        """Draw the gains of a fitted router, or of a bundle, on rows that it has not seen.

        Parameters
        ----------
        estimator : FairUseRouter or Bundle
        X : array or dataframe of shape (n, d)
        y : array-like of shape (n,)
        candidate, metric : str, default=None
            As for the class.
        ax : matplotlib Axes, default=None
        **settings
            Those of its ``audit``; see there for what is raised.

        Returns
        -------
        GainDisplay
        """
        audit = estimator.audit(X, y, **settings)
        return cls(audit, candidate=candidate, metric=metric).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y: Any,
        predictions: Any,
        groups: Any,
        *,
        candidate: str | None = None,
        metric: str | None = None,
        ax: Any = None,
        **settings: Any,
    ) -> Self:
        """Draw the gains of any models; `settings` are those of `audit_predictions`.

        Parameters
        ----------
        y : array-like of shape (n,)
        predictions : dict of str to array
        groups : array-like or dataframe of n rows
            All as for `audit_predictions`.
        candidate, metric : str, default=None
            As for the class.
        ax : matplotlib Axes, default=None

        Returns
        -------
        GainDisplay
        """
        audit = audit_predictions(y, predictions, groups, **settings)
        return cls(audit, candidate=candidate, metric=metric).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a figure.

        Returns
        -------
        GainDisplay

        Raises
        ------
        ImportError, TypeError, ValueError
            As `plot_gains`.
        """
        name = self.candidate
        if name is None and isinstance(self.audit, Audit):
            known = self.audit.candidates
            name = ROUTED if ROUTED in known else known[-1]
        self.ax_ = plot_gains(self.audit, name or ROUTED, metric=self.metric, ax=ax)
        self.figure_ = self.ax_.figure
        return self
