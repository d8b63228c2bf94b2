"""The law of a population with known truth: who there is, and P(y = 1 | x, g).

Every number below is this package's own design: large enough for personalization to pay or to harm
at the sample sizes of clinical data, small enough that it is not obvious which.

- ``d`` covariates x, standard normal, or rows of a given matrix, standardized, drawn with
  replacement and jittered by N(0, 0.3) noise; per group their means shift by N(0, 0.25).
- Without a group effect, logit P(y = 1 | x) = -0.4 + w.x + 0.35 (x3^2 - 1) + 0.35 x1 x4, with w.x
  of standard deviation 1.5 before the shift of the means. A linear model misses the last two
  terms, which are absent under the effect "linear".
- Groups are the cells of a grid of independent attributes with geometric marginals, such that the
  smallest group holds `smallest_share` (1%) of the people.

All N(0, s) above and below are normal with *standard deviation* s, and x1 is the first column.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit

Effect = Literal[
    "none", "linear", "intercept", "interaction", "slopes", "curves", "mixed", "label_shift"
]
Floats = NDArray[np.float64]

EFFECTS: tuple[str, ...] = get_args(Effect)
_GRIDS = {4: (2, 2), 6: (2, 3), 12: (2, 2, 3)}
_N_COVARIATES = 10
_JITTER = 0.3
_MEAN_SHIFT = 0.25
_INTERCEPT = -0.4
_LINEAR_SD = 1.5
_CURVATURE = 0.35
_PRODUCT = 0.35
_LEVEL_SD = 0.8
_CHECKER = 1.0
_BENT = -2.0
_N_FLIPPED, _N_LARGEST = 3, 6
_KEPT_POSITIVES = 0.35


@dataclass(frozen=True, eq=False)
class PopulationLaw:
    """The distribution that a population's rows come from: all that is true of it.

    Groups are numbered over the grid of attributes, row-major (the last attribute varies fastest).

    Parameters
    ----------
    effect : str
        How groups differ, see `make_population`.
    group_attributes : tuple of str
        Names of the k attributes.
    levels : tuple of tuple of str
        Levels of each attribute.
    shares : ndarray of shape (m,)
        Share of each group among the people; sums to 1.
    mean_shifts : ndarray of shape (m, d)
        Mean of the covariates in each group, in standard deviations.
    intercepts : ndarray of shape (m,)
        Constant of the logit in each group.
    coefs : ndarray of shape (m, d)
        Linear coefficients of the logit in each group.
    bends : ndarray of shape (m,)
        Factor of the two terms that are not linear, in each group.
    kept_positives : ndarray of shape (m,)
        Share of the positives that reach the training rows; 1 without label shift.
    covariates : ndarray of shape (N, d) or None
        Standardized base rows, or None for standard normal covariates.

    Examples
    --------
    >>> from fairuse_router.datasets import make_population
    >>> law = make_population(50, n_groups=(2, 2), random_state=0).law
    >>> law.group_attributes, law.levels, law.coefs.shape
    (('group_a', 'group_b'), (('a0', 'a1'), ('b0', 'b1')), (4, 10))
    >>> law.group_ids([["a0", "b1"]])
    array([1])
    """

    effect: str
    group_attributes: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    shares: Floats
    mean_shifts: Floats
    intercepts: Floats
    coefs: Floats
    bends: Floats
    kept_positives: Floats
    covariates: Floats | None

    @property
    def grid(self) -> NDArray[np.str_]:
        """Levels of the m groups, shape (m, k)."""
        mesh = np.meshgrid(*(np.array(levels) for levels in self.levels), indexing="ij")
        return np.stack([axis.ravel() for axis in mesh], axis=1)

    def group_ids(self, groups: ArrayLike) -> NDArray[np.int64]:
        """Return the group numbers, shape (n,), of levels given as strings, shape (n, k).

        Raises
        ------
        ValueError
            If the shape does not fit or a level is unknown; the truth is known of full reports.
        """
        groups = np.asarray(groups)
        if groups.ndim != 2 or groups.shape[1] != len(self.levels):
            raise ValueError(
                f"groups has shape {groups.shape}; give one row per person and one column for "
                f"each of {', '.join(self.group_attributes)}."
            )
        ids = np.zeros(len(groups), dtype=np.int64)
        for j, levels in enumerate(self.levels):
            known = groups[:, j, None] == np.array(levels)
            if not known.any(axis=1).all():
                stranger = groups[~known.any(axis=1), j][0]
                raise ValueError(
                    f"groups: {self.group_attributes[j]} has the level {str(stranger)!r}. Allowed: "
                    f"{', '.join(levels)}; the truth is known of full reports only."
                )
            ids = ids * len(levels) + known.argmax(axis=1)
        return ids

    def probability(self, features: ArrayLike, groups: ArrayLike) -> Floats:
        """Return the true P(y = 1 | x, g) in deployment, shape (n,).

        Raises
        ------
        ValueError
            If a shape does not fit or a level is unknown.
        """
        ids = self.group_ids(groups)
        features = np.asarray(features, dtype=float)
        if features.shape != (len(ids), self.coefs.shape[1]):
            raise ValueError(
                f"features has shape {features.shape}; for these groups it must be "
                f"({len(ids)}, {self.coefs.shape[1]})."
            )
        return self._probability(features, ids)

    def draw(
        self, n_samples: int, rng: np.random.Generator, *, training: bool = False
    ) -> tuple[Floats, NDArray[np.str_], NDArray[np.int64]]:
        """Draw features (n, d), groups (n, k) and labels (n,), in deployment unless `training`.

        Raises
        ------
        ValueError
            If `n_samples` is below 1.
        """
        if n_samples < 1:
            raise ValueError(f"n_samples={n_samples} is not allowed; give at least one row.")
        kept = self.kept_positives if training else np.ones(len(self.shares))
        ids = rng.choice(len(self.shares), size=n_samples, p=self.shares)
        features = np.empty((n_samples, self.coefs.shape[1]))
        y = np.empty(n_samples, dtype=np.int64)
        todo = np.arange(n_samples)
        while todo.size:  # a lost positive is drawn anew in its group, so the shares stay
            features[todo] = self._covariates(ids[todo], rng)
            y[todo] = rng.random(todo.size) < self._probability(features[todo], ids[todo])
            todo = todo[(y[todo] == 1) & (rng.random(todo.size) >= kept[ids[todo]])]
        return features, self.grid[ids], y

    def _covariates(self, ids: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Draw the covariates of people of these groups."""
        x = rng.standard_normal((len(ids), self.coefs.shape[1]))
        if self.covariates is not None:
            x = self.covariates[rng.integers(len(self.covariates), size=len(ids))] + _JITTER * x
        return x + self.mean_shifts[ids]

    def _probability(self, x: Floats, ids: NDArray[np.int64]) -> Floats:
        """P(y = 1 | x, g) by group number."""
        logit = self.intercepts[ids] + np.einsum("ij,ij->i", x, self.coefs[ids])
        bend = _CURVATURE * (x[:, 2] ** 2 - 1) + _PRODUCT * x[:, 0] * x[:, 3]
        logit += self.bends[ids] * bend
        return np.asarray(expit(logit))


def draw_law(
    n_groups: int | Sequence[int],
    effect: Effect,
    covariates: ArrayLike | None,
    coef: ArrayLike | None,
    rng: np.random.Generator,
    smallest_share: float = 0.01,
) -> PopulationLaw:
    """Return a law; the parameters are those of `make_population`.

    All numbers of all effects are drawn whatever the effect, so that seeds compare across them.
    """
    if effect not in EFFECTS:
        raise ValueError(f"effect={effect!r} is not known. Allowed: {', '.join(EFFECTS)}.")
    shape = _grid_shape(n_groups, smallest_share)
    base = None if covariates is None else _standardize(covariates)
    m = int(np.prod(shape))
    d = _N_COVARIATES if base is None else base.shape[1]
    w = _scale(rng.standard_normal(d), coef, base)
    mean_shifts = _MEAN_SHIFT * rng.standard_normal((m, d))
    cells = np.indices(shape).reshape(len(shape), m)
    by_level = [_LEVEL_SD * rng.standard_normal(size) for size in shape]
    third = rng.permutation(m)[: max(1, round(m / 3))]
    signs = np.ones((m, d))
    largest = np.argsort(-np.abs(w), kind="stable")[:_N_LARGEST]
    for group in third:
        signs[group, rng.permutation(largest)[:_N_FLIPPED]] = -1
    intercepts = np.full(m, _INTERCEPT)
    if effect in ("intercept", "mixed"):
        intercepts += sum(numbers[cells[j]] for j, numbers in enumerate(by_level))
    if effect in ("interaction", "mixed"):
        intercepts += _CHECKER * (1 - 2 * (cells.sum(axis=0) % 2))
    bends = np.full(m, 0.0 if effect == "linear" else 1.0)
    if effect == "curves":
        bends[third] = _BENT
    kept_positives = np.ones(m)
    if effect == "label_shift":
        kept_positives[third] = _KEPT_POSITIVES
    names = string.ascii_lowercase[: len(shape)]
    return PopulationLaw(
        effect=effect,
        group_attributes=tuple(f"group_{name}" for name in names),
        levels=tuple(_level_names(name, size) for name, size in zip(names, shape, strict=True)),
        shares=_shares(shape, smallest_share),
        mean_shifts=mean_shifts,
        intercepts=intercepts,
        coefs=w * (signs if effect in ("slopes", "mixed") else np.ones((m, d))),
        bends=bends,
        kept_positives=kept_positives,
        covariates=base,
    )


def _grid_shape(n_groups: int | Sequence[int], smallest_share: float) -> tuple[int, ...]:
    """Return the number of levels of each attribute."""
    if not 0 < smallest_share <= 1:
        raise ValueError(f"smallest_share={smallest_share!r} is no share: give one in (0, 1].")
    allowed = "4, 6, 12, or the number of levels (2 or more) of each attribute such as (2, 5)"
    if isinstance(n_groups, (int, np.integer)):
        if n_groups not in _GRIDS:
            raise ValueError(f"n_groups={n_groups} has no grid of its own. Allowed: {allowed}.")
        return _GRIDS[int(n_groups)]
    shape = tuple(int(size) for size in n_groups)
    if not shape or min(shape) < 2:
        raise ValueError(f"n_groups={shape} is no grid of groups. Allowed: {allowed}.")
    most = round(1 / smallest_share)
    if np.prod(shape) > most:
        raise ValueError(
            f"n_groups={shape} makes {np.prod(shape)} groups; at most {most} fit when the smallest "
            f"holds {smallest_share:.3g} of the people: pass fewer, or a smaller smallest_share=."
        )
    return shape


def _shares(shape: tuple[int, ...], smallest: float) -> Floats:
    """Return group shares: every attribute's level j has a share in proportion to r^j.

    The one ratio r is solved for, so that the smallest cell of the grid holds `smallest`.
    """

    def marginal(ratio: float, size: int) -> Floats:
        weights = ratio ** np.arange(size)
        return weights / weights.sum()

    def excess(ratio: float) -> float:
        return float(np.prod([marginal(ratio, size)[-1] for size in shape])) - smallest

    ratio = 1.0 if excess(1.0) <= 0 else brentq(excess, 0.0, 1.0, xtol=1e-14)
    shares = np.ones(1)
    for size in shape:
        shares = np.outer(shares, marginal(ratio, size)).ravel()
    return shares / shares.sum()


def _level_names(name: str, size: int) -> tuple[str, ...]:
    """Return level names that sort in their order: a0, a1, ... or a00, a01, ..."""
    digits = len(str(size - 1))
    return tuple(f"{name}{level:0{digits}d}" for level in range(size))


def _standardize(covariates: ArrayLike) -> Floats:
    """Return the base rows with mean 0 and standard deviation 1 in every column."""
    base = np.asarray(covariates, dtype=float)
    if base.ndim != 2 or base.shape[1] < _N_LARGEST:
        raise ValueError(
            f"covariates has shape {base.shape}; give a matrix of at least {_N_LARGEST} columns."
        )
    if not np.isfinite(base).all():
        raise ValueError("covariates holds NaN or infinite numbers; impute or drop them first.")
    sd = base.std(axis=0)
    if (sd == 0).any():
        raise ValueError(
            f"covariates: column {int(np.argmax(sd == 0))} is constant and cannot be "
            "standardized; leave it out."
        )
    return (base - base.mean(axis=0)) / sd


def _scale(drawn: Floats, coef: ArrayLike | None, base: Floats | None) -> Floats:
    """Return coefficients with which w.x has standard deviation 1.5 before the shift of means."""
    w = drawn if coef is None else np.asarray(coef, dtype=float)
    if w.shape != drawn.shape or not np.isfinite(w).all() or not w.any():
        raise ValueError(
            f"coef has shape {w.shape}; give {len(drawn)} finite numbers, one per covariate, "
            "not all zero."
        )
    identity = np.eye(len(w))
    covariance = identity if base is None else base.T @ base / len(base) + _JITTER**2 * identity
    return w * _LINEAR_SD / np.sqrt(w @ covariance @ w)
