"""Test gains of four possible sizes per row: net benefit and costs, of few rows that differ."""

from __future__ import annotations

import numpy as np
from scipy import stats

from fairuse_router.inference.paired import paired_t_from_sums
from fairuse_router.inference.result import PairedTest, rows_needed

__all__ = ["lattice_counts", "lattice_test"]

_MOST, _MOST_ONE_SIDED = 60, 300  # rows that differ, up to which probabilities are summed up
_FEW = 15  # rows that gain, or lose: too few for a t-test
_NEWTON, _HALVINGS = 24, 26


def lattice_counts(
    gain_rows: np.ndarray, positive: np.ndarray, groups: np.ndarray, m: int
) -> np.ndarray:
    """Count, per group, the rows and those in which the model is right and wrong where it differs.

    Parameters
    ----------
    gain_rows : ndarray of shape (n,)
    positive : ndarray of bool, shape (n,)
        Rows of the second class.
    groups : ndarray of int, shape (n,)
        In 0..m-1; -1 belongs to none.
    m : int

    Returns
    -------
    ndarray of shape (5, m)
        Rows; better and worse among the second class; better and worse among the first. Counts of
        parts add up.

    Examples
    --------
    >>> lattice_counts(np.array([1, -0.25, 0]), np.array([True, False, False]), np.zeros(3, int), 1)
    array([[3.],
           [1.],
           [0.],
           [0.],
           [1.]])
    """
    member = groups >= 0
    cells = [member]
    for side in (positive, ~positive):
        cells += [side & (gain_rows > 0), side & (gain_rows < 0)]
    return np.stack([np.bincount(groups[member & c], minlength=m).astype(float) for c in cells])


def lattice_test(counts: np.ndarray, steps: tuple[float, float], alpha: float = 0.1) -> PairedTest:
    """Test mean gains of rows that can gain or lose one of two amounts, or nothing.

    Where two models decide alike nothing differs; where not, a row of the second class gains or
    loses ``steps[0]``, one of the first ``steps[1]``. Given how many rows differ, the p-value is
    the probability of at least this gain under the likeliest probabilities of the four cells that
    have mean 0, cells that were not seen included (an estimated p-value, Lloyd 2008); a t-test,
    which must see all of them to know its variance, rejects in up to 50% in place of 10%. With
    equal steps it is McNemar's exact test. Where more than 60 rows differ, 15 of them each way (or
    more than 300), it is the paired t-test. Intervals reach as far as the wider one of the profile
    likelihood, rows that do not differ included, and of t.

    Parameters
    ----------
    counts : ndarray of shape (5, ...)
        As `lattice_counts` returns, or added up from several.
    steps : tuple of two floats
        1 and T / (1 - T) for the net benefit at threshold T.
    alpha : float, default=0.1
        The interval has level ``1 - alpha``.

    Returns
    -------
    PairedTest

    Examples
    --------
    Six alarms in vain for nobody found, at a threshold of 0.2, are no violation yet:

    >>> found = lattice_test(np.array([[25.0], [0], [0], [0], [6]]), (1.0, 0.25))
    >>> found.gain.round(3), found.p_violation.round(3)  # 0.8 ** 6
    (array([-0.06]), array([0.262]))
    """
    shape, flat = counts.shape[1:], counts.reshape(5, -1)
    n, cells = flat[0], flat[1:]
    values = np.array([steps[0], -steps[0], steps[1], -steps[1]])
    powers = [values @ cells] + [values**k @ cells for k in (2, 3)]
    sums = np.stack([n, n, powers[0], n, powers[0], powers[1], n, *powers])
    far = paired_t_from_sums(sums, alpha)
    differ = cells.sum(axis=0)
    p = {"gain": np.array(far.p_gain), "violation": np.array(far.p_violation)}
    rare = np.minimum(cells[0] + cells[2], cells[1] + cells[3]) < _FEW
    few = (differ <= _MOST) | (rare & (differ <= _MOST_ONE_SIDED))
    for g in np.flatnonzero(few & (n > 0)):
        p["gain"][g], p["violation"][g] = _tails(cells[:, g], values)
    low, high = _interval(np.vstack([cells, n - differ]), np.append(values, 0.0), alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = powers[0] / n
        se = np.sqrt((powers[1] / n - gain**2) / np.maximum(n - 1, 1))
    none = n == 0
    found = {
        "gain": gain,
        "low": np.where(none, np.nan, np.fmin(low, far.low)),
        "high": np.where(none, np.nan, np.fmax(high, far.high)),
        "p_gain": np.where(none, np.nan, p["gain"]),
        "p_violation": np.where(none, np.nan, p["violation"]),
        "n": n.astype(int),
        "se": se,
        "se_null": se,
        "rows_needed": rows_needed(gain, se, n, alpha / 2),
        "reason": np.where(none, "no rows", ""),
    }
    return PairedTest(
        test="lattice", **{name: np.reshape(part, shape) for name, part in found.items()}
    )


def _tails(cells: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Probabilities of at least, and at most, the observed sum, given how many rows differ."""
    k = int(cells.sum())
    if k == 0:
        return 1.0, 1.0
    p = _likeliest(cells[:, None], values, np.zeros(1))[1][:, 0]
    size = 2 * k + 1
    one = np.zeros((size, size))  # rows of the second class on the first axis
    one[1, 0], one[-1, 0], one[0, 1], one[0, -1] = p
    mass = np.fft.ifft2(np.fft.fft2(one) ** k).real
    steps = np.fft.fftfreq(size, 1 / size)
    total = values[0] * steps[:, None] + values[2] * steps[None, :]
    seen, slack = float(values @ cells), 1e-9 * float(values.max())
    above, below = mass[total >= seen - slack].sum(), mass[total <= seen + slack].sum()
    return min(max(float(above), 0.0), 1.0), min(max(float(below), 0.0), 1.0)


def _likeliest(
    cells: np.ndarray, values: np.ndarray, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Likeliest probabilities of J cells with a given mean, for m groups.

    Returns minus twice the log likelihood ratio against none given, shape (m,), and the
    probabilities (J, m). A cell that was not seen has a probability where the others cannot have
    that mean: the largest or the smallest value, which needs the least.
    """
    away = values[:, None] - mean
    parts = np.where(cells > 0, cells, 0.0)
    with np.errstate(divide="ignore"):
        low, high = -1 / away.max(axis=0), -1 / away.min(axis=0)
    ends, at = (low, high), np.zeros(away.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(_NEWTON):  # the slope of the likelihood falls
            each = np.where(cells > 0, away / (1 + at * away), 0.0)
            slope = (parts * each).sum(axis=0)
            low, high = np.where(slope > 0, at, low), np.where(slope > 0, high, at)
            step = at + slope / (parts * each**2).sum(axis=0)
            at = np.where((step > low) & (step < high), step, (low + high) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(cells > 0, cells / cells.sum(axis=0) / (1 + at * away), 0.0)
        ratio = 2 * np.sum(np.where(cells > 0, cells * np.log1p(at * away), 0.0), axis=0)
        nearer = np.abs(at - ends[0]) < np.abs(at - ends[1])  # both may be infinite
    left = np.maximum(1 - p.sum(axis=0), 0.0)
    edge = np.where(nearer, away.argmax(axis=0), away.argmin(axis=0))
    p[edge, np.arange(p.shape[1])] += left
    return ratio, p


def _interval(cells: np.ndarray, values: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Means that the likelihood does not speak against, shape (m,) each."""
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.nan_to_num(values @ cells / cells.sum(axis=0))
    limit, m = float(stats.chi2.isf(alpha, 1)), len(seen)
    inside = np.concatenate([seen, seen])  # both ends at once
    outside = np.repeat([float(values.min()), float(values.max())], m)
    both = np.hstack([cells, cells])
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        far = _likeliest(both, values, middle)[0] > limit
        inside, outside = np.where(far, inside, middle), np.where(far, middle, outside)
    ends = (inside + outside) / 2
    return ends[:m], ends[m:]
