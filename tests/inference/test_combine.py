"""Intervals of weighted sums: the closed form where there is one, and their level where not."""

import numpy as np
import pytest
from scipy import stats

from fairuse_router.inference import combine_intervals, mcnemar


def test_symmetric_intervals_combine_as_normal_ones():
    z, se = stats.norm.ppf(0.95), np.array([0.02, 0.05, 0.01])
    mean, weight = np.array([0.1, -0.2, 0.3]), np.array([0.5, 0.2, 0.3])
    total, low, high = combine_intervals(mean, mean - z * se, mean + z * se, weight)
    spread = z * np.sqrt(weight**2 @ se**2)
    assert (total, low, high) == pytest.approx((0.1, 0.1 - spread, 0.1 + spread))


def test_one_part_keeps_its_interval_and_none_has_none():
    assert combine_intervals([0.1], [0.0], [0.5], [1.0]) == pytest.approx((0.1, 0.0, 0.5))
    assert np.isnan(combine_intervals([], [], [], [])).all()
    assert np.isnan(combine_intervals([0.1, np.nan], [0, np.nan], [1, np.nan], [0.5, 0.5])).all()


def test_sums_of_mcnemar_intervals_keep_their_level():
    rng = np.random.default_rng(0)
    sizes, better, worse = np.array([40, 80, 300]), (0.2, 0.05, 0.12), (0.05, 0.05, 0.1)
    weight = sizes / sizes.sum()
    truth = weight @ (np.array(better) - np.array(worse))
    hits = []
    for _ in range(2000):
        cells = zip(sizes, better, worse, strict=True)
        counts = [rng.multinomial(n, [b, c, 1 - b - c]) for n, b, c in cells]
        b, c, _ = np.array(counts).T
        test = mcnemar(b, c, sizes, alpha=0.1)
        _, low, high = combine_intervals(test.gain, test.low, test.high, weight)
        hits.append(low <= truth <= high)
    assert 0.885 <= np.mean(hits) <= 0.95
