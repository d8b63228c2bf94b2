"""Gains that fade over the time that certifies them are not deployed."""

import numpy as np
import pytest
from evidence import NAMES, change, gather

from fairuse_router.metrics import Predictions, get_metric
from fairuse_router.routing.policies.evidence import Choice
from fairuse_router.routing.policies.rules import choose_certified
from fairuse_router.routing.policies.tested import without_fading


def fading(early, late, n=400):
    """Rows of one group in order of time, and what one-hot gains over generic in each half."""
    everybody, half = np.ones(n, dtype=bool), np.arange(n) < n // 2
    labels = {name: np.zeros(n, dtype=int) for name in NAMES}
    for part, gain in ((half, early), (~half, late)):
        rows = np.flatnonzero(part)[: round(abs(gain) * n / 2)]
        labels["generic" if gain > 0 else "onehot"][rows] = 1
    predictions = {name: Predictions(label) for name, label in labels.items()}
    zeros, scored = np.zeros(n, dtype=int), dict.fromkeys(NAMES, everybody)
    return gather(zeros, zeros, 1, predictions, scored, {}, get_metric("error"), 20)


@pytest.mark.parametrize(
    ("early", "late", "stays"),
    [(0.1, 0.1, True), (0.3, 0.2, True), (0.3, 0.11, False), (0.3, 0.05, False), (0.0, 0.2, True)],
)
def test_a_gain_that_fades_is_not_certified_by_time(early, late, stays):
    evidence = fading(early, late)
    shown = Choice("onehot", "shown")
    (kept,) = without_fading([shown], evidence)
    assert kept == shown if stays else kept.candidate == "generic"
    if not stays:
        assert "it fades: +30.0% in the earlier half of the rows opened" in kept.reason


def test_certified_withdraws_what_fades_only_where_rows_are_in_order_of_time():
    evidence = fading(0.3, 0.05)
    nominating = fading(0.3, 0.3)
    at_once = choose_certified(nominating, evidence)
    in_time = choose_certified(nominating, change(evidence, in_time=True))
    assert at_once[0].candidate != "generic"
    assert in_time[0].candidate == "generic"
