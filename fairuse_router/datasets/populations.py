"""Populations with known truth: rows to fit on, fresh rows to judge by, exact risks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairuse_router.datasets._pandas import require_pandas
from fairuse_router.datasets.law import Effect, Floats, PopulationLaw, draw_law
from fairuse_router.metrics import Predictions, get_metric, row_losses


@dataclass(frozen=True, eq=False)
class Population:
    """Rows drawn from a known law.

    Parameters
    ----------
    features : ndarray of shape (n, d)
        Covariates, about standardized.
    groups : ndarray of str, shape (n, k)
        Levels of the group attributes.
    y : ndarray of int64, shape (n,)
        Labels, 0 or 1.
    law : PopulationLaw
        Where the rows come from.

    See Also
    --------
    make_population : Makes one, and says what is in it.

    Examples
    --------
    >>> population = make_population(50, n_groups=(2, 2), random_state=0)
    >>> len(population), population.group_attributes, population.features.shape
    (50, ['group_a', 'group_b'], (50, 10))
    >>> p = population.probability(population.features, population.groups)
    >>> p.shape, len(population.sample(1000, random_state=1))
    ((50,), 1000)
    """

    features: Floats
    groups: NDArray[np.str_]
    y: NDArray[np.int64]
    law: PopulationLaw

    def __len__(self) -> int:
        return len(self.y)

    @property
    def group_attributes(self) -> list[str]:
        """Names of the k group attributes."""
        return list(self.law.group_attributes)

    @property
    def group_columns(self) -> list[int]:
        """Indices of the k group attributes in the columns of `to_array`."""
        d = self.features.shape[1]
        return list(range(d, d + self.groups.shape[1]))

    @property
    def column_names(self) -> list[str]:
        """Names of the d + k columns of `to_array`: x1, x2, ... and the group attributes."""
        return [f"x{j + 1}" for j in range(self.features.shape[1])] + self.group_attributes

    def to_array(self) -> NDArray[np.object_]:
        """Return features and groups as one object array, shape (n, d + k)."""
        return np.column_stack([self.features.astype(object), self.groups.astype(object)])

    def to_frame(self) -> Any:
        """Return the same as a pandas DataFrame: float features, string group attributes."""
        pandas = require_pandas("Population.to_frame()")
        columns = [*self.features.T, *(column.astype(object) for column in self.groups.T)]
        return pandas.DataFrame(dict(zip(self.column_names, columns, strict=True)))

    def sample(
        self, n_samples: int, random_state: int | np.random.Generator | None = None
    ) -> Population:
        """Return fresh rows of the same law as deployment sees them, without label shift."""
        rows = self.law.draw(n_samples, np.random.default_rng(random_state))
        return Population(*rows, law=self.law)

    def probability(self, features: ArrayLike, groups: ArrayLike) -> Floats:
        """Return the true P(y = 1 | x, g) in deployment, shape (n,).

        Parameters
        ----------
        features : array of shape (n, d)
        groups : array of str, shape (n, k)

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            If a shape does not fit or a level is unknown (withheld ones are).
        """
        return self.law.probability(features, groups)

    def true_losses(self, predictions: ArrayLike | Predictions, metric: str = "error") -> Floats:
        """Return the expected loss of each row's prediction, label noise integrated out.

        The loss p L(1, f(x)) + (1 - p) L(0, f(x)) with the true p = P(y = 1 | x, g): the mean over
        all labels that could have come. `y` is not looked at. Under label shift take it on rows
        from `sample`, as training rows lack positives.

        Parameters
        ----------
        predictions : array or Predictions
            For metric "error" labels 0 or 1 of shape (n,), else probabilities of y = 1, shape
            (n,), or of both classes, shape (n, 2).
        metric : {"error", "brier", "log_loss"}, default="error"
            A risk that is a mean over rows, see `fairuse_router.metrics`.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            If the metric is no mean over rows, or the predictions do not fit these rows or the
            metric.
        """
        predictions = _as_predictions(predictions, get_metric(metric).needs_proba)
        p = self.probability(self.features, self.groups)
        expected = np.zeros(len(self))
        for label, weight in ((1, p), (0, 1 - p)):
            losses = row_losses(metric, np.full(len(self), label), predictions)
            possible = weight > 0  # what cannot happen costs nothing, even an infinite loss
            expected[possible] += weight[possible] * losses[possible]
        return expected

    def true_risk(self, predictions: ArrayLike | Predictions, metric: str = "error") -> float:
        """Return the risk over these rows with the label noise integrated out.

        Parameters
        ----------
        predictions : array-like or Predictions
            As in `true_losses`.
        metric : str, default="error"
            As in `true_losses`.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            As `true_losses` does.

        Examples
        --------
        No rule beats the threshold on the true probability:

        >>> fresh = make_population(random_state=0).sample(50_000, random_state=1)
        >>> p = fresh.probability(fresh.features, fresh.groups)
        >>> fresh.true_risk(p > 0.5) < fresh.true_risk(p > 0.6)
        True
        """
        return float(self.true_losses(predictions, metric).mean())

    def true_group_risks(
        self, predictions: ArrayLike | Predictions, metric: str = "error"
    ) -> Floats:
        """Return the true risk in each group.

        Parameters
        ----------
        predictions : array-like or Predictions
            As in `true_losses`.
        metric : str, default="error"
            As in `true_losses`.

        Returns
        -------
        ndarray of shape (m,)
            In the order of `law.grid`; nan for a group without rows here.

        Raises
        ------
        ValueError
            As `true_losses` does.
        """
        losses = self.true_losses(predictions, metric)
        ids = self.law.group_ids(self.groups)
        m = len(self.law.shares)
        rows = np.bincount(ids, minlength=m)
        total = np.bincount(ids, weights=losses, minlength=m)
        return np.divide(total, rows, where=rows > 0, out=np.full(m, np.nan))


def make_population(
    n_samples: int = 2000,
    *,
    n_groups: int | Sequence[int] = 6,
    effect: Effect = "none",
    covariates: ArrayLike | None = None,
    coef: ArrayLike | None = None,
    random_state: int | np.random.Generator | None = None,
    smallest_share: float = 0.01,
) -> Population:
    """Make a population whose true risks are known (binary classification).

    The same seed gives the same law for every `n_samples`, and the same covariates, groups and
    coefficients under every effect, so that sample sizes and effects compare. The
    formula and its constants are at the top of `fairuse_router.datasets.law`.

    Parameters
    ----------
    n_samples : int, default=2000
        Training rows. A small group may be absent from few rows.
    n_groups : {4, 6, 12} or sequence of int, default=6
        Number of groups, or the number of levels of each attribute: 4 is ``(2, 2)``, 6 is
        ``(2, 3)``, 12 is ``(2, 2, 3)``.
    effect : str, default="none"
        How P(y = 1 | x, g) depends on the group, beyond the shift of the covariates' means.

        ================  ====================================================================
        "none"            Not at all. (Groups differ in their means, so a model that misses the
                          curvature of the logit may still gain a little per group.)
        "linear"          Not at all, and the logit is linear: a linear generic is right already.
        "intercept"       The logit gains the sum of one N(0, 0.8) number per attribute level.
        "interaction"     It gains +1 or -1 like the colours of a chessboard: no sum of
                          attributes can say it (one-hot cannot, intersectional can).
        "slopes"          A third of the groups flip the signs of 3 of the 6 largest
                          coefficients: dummies cannot say it, a decoupled model can.
        "curves"          In a third of the groups the two terms that are not linear have factor
                          -2: nothing that is linear within groups can say it.
        "mixed"           Intercept, interaction and slopes together.
        "label_shift"     None in deployment, but a third of the groups lose 65% of their
                          positives in training: odds there are 0.35 of the true ones.
        ================  ====================================================================
    covariates : array of shape (N, d) or None, default=None
        Base rows to draw covariates from, in any units, d >= 6; None gives 10 normal covariates.
    coef : array of shape (d,) or None, default=None
        Direction of the linear coefficients per standard deviation of each covariate, say of a
        fit to a real outcome; it is scaled. None draws one at random.
    random_state : int, numpy Generator or None, default=None
        Determines law and rows.
    smallest_share : float, default=0.01
        Share of the smallest group among the people, at most one over the number of groups.

    Returns
    -------
    Population

    Raises
    ------
    ValueError
        If an argument is out of range; the text names it and what is allowed.

    Notes
    -----
    "Third" is m / 3, rounded, at least one group, drawn at random. Lost positives are replaced by
    other people of the same group, so that group shares are those of deployment.

    Examples
    --------
    >>> from fairuse_router.datasets import make_population
    >>> population = make_population(500, n_groups=4, effect="interaction", random_state=0)
    >>> population.features.shape, population.groups.shape, population.law.shares.round(2).tolist()
    ((500, 10), (500, 2), [0.81, 0.09, 0.09, 0.01])
    >>> X, y = population.to_array(), population.y  # group attributes are columns 10 and 11
    >>> X.shape, population.group_columns, population.group_attributes
    ((500, 12), [10, 11], ['group_a', 'group_b'])
    >>> fresh = population.sample(10_000, random_state=1)
    >>> [f"{'/'.join(cell)}: {risk:.2f}"
    ...  for cell, risk in zip(fresh.law.grid, fresh.true_group_risks(np.ones(10_000)))]
    ['a0/b0: 0.48', 'a0/b1: 0.78', 'a1/b0: 0.79', 'a1/b1: 0.38']
    """
    rng = np.random.default_rng(random_state)
    law = draw_law(n_groups, effect, covariates, coef, rng, smallest_share)
    return Population(*law.draw(n_samples, rng, training=True), law=law)


def _as_predictions(predictions: ArrayLike | Predictions, needs_proba: bool) -> Predictions:
    """Return labels or probabilities as Predictions."""
    if isinstance(predictions, Predictions):
        return predictions
    values = np.asarray(predictions)
    if needs_proba or values.ndim == 2:
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(
                "predictions holds values outside [0, 1]. Give probabilities of y = 1, as "
                "predict_proba returns them."
            )
        return Predictions.from_proba(values)
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            "predictions holds values other than the labels 0 and 1. Threshold probabilities "
            "first, or use metric='brier' or 'log_loss'."
        )
    return Predictions(values.astype(np.int64))
