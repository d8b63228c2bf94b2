"""The settings of an audit, refused at the door where no test can work with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from fairuse_router.audit.records import HELD_OUT
from fairuse_router.candidates.names import GENERIC
from fairuse_router.grids import told
from fairuse_router.inference import CORRECTIONS
from fairuse_router.metrics import Metric, get_metric, is_built_in

__all__ = [
    "AuditSettings",
    "check_level",
    "check_target_kind",
    "check_testing",
    "read_metrics",
    "read_tests",
]

_NUMBERS = (int, float, np.integer, np.floating)


def read_metrics(metrics: Any) -> list[Metric]:
    """Return the metrics of one audit: one or several, all of classification or of regression.

    Examples
    --------
    >>> [metric.name for metric in read_metrics("error")]
    ['error']
    >>> [metric.name for metric in read_metrics(("auc", "brier"))]
    ['auc', 'brier']
    """
    single = isinstance(metrics, str | Metric) or callable(metrics)
    if not single and (isinstance(metrics, bytes) or not isinstance(metrics, Iterable)):
        raise TypeError(
            f"metrics={metrics!r} is not allowed: pass a name such as 'error', a callable, or a "
            "sequence of them."
        )
    chosen = [get_metric(metric) for metric in ([metrics] if single else metrics)]
    names = [metric.name for metric in chosen]
    if not chosen:
        raise ValueError("metrics is empty; give at least one, e.g. metrics=('error', 'auc').")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"metrics={names} has two of the name {', '.join(map(repr, twice))}: an audit tells "
            "metrics apart by name. Drop the repeated one, or give your own callables different "
            "names (def, not lambda)."
        )
    if len({metric.regression for metric in chosen if not metric.any_target}) > 1:
        raise ValueError(
            f"metrics={names} mixes classification and regression; audit them one after the other."
        )
    return chosen


def check_target_kind(metrics: Sequence[Metric], regression: bool) -> None:
    """Refuse metrics of a regression for a classifier, and the other way round."""
    for metric in metrics:
        of_classes = is_built_in(metric) and not metric.regression
        if metric.regression and not regression:
            raise ValueError(
                f"metric={metric.name!r} does not fit a classifier: it is for regressions. Use "
                "'error', 'log_loss', 'brier', 'auc' or 'ece', or a risk of your own."
            )
        if of_classes and regression:
            raise ValueError(
                f"metric={metric.name!r} does not fit a regressor: it is for classes. Use "
                "'squared_error' or 'absolute_error', or a risk of your own."
            )


def read_tests(tests: Any, metrics: Sequence[Metric]) -> dict[str, str]:
    """Return the tests that override those of the metrics."""
    names = [metric.name for metric in metrics]
    if tests is None:
        return {}
    if not isinstance(tests, Mapping):
        raise TypeError(
            f"tests={tests!r} is not allowed: pass a mapping of metric to test, such as "
            f"tests={{{names[0]!r}: 'paired bootstrap'}}, or None."
        )
    unknown = [key for key in tests if key not in names]
    if unknown:
        raise ValueError(
            f"tests names the metrics {unknown}, which this audit does not have. Allowed: "
            f"{', '.join(names)}."
        )
    return dict(tests)


def check_level(alpha: Any) -> None:
    """Refuse an alpha that is no level of a test."""
    if not (isinstance(alpha, _NUMBERS) and 0 < alpha < 0.5):
        raise ValueError(
            f"alpha={told(alpha)} is not allowed: it lies between 0 and 0.5. Pass a number "
            "such as 0.1."
        )


def check_testing(alpha: Any, n_resamples: Any = 1000, correction: Any = "holm") -> None:
    """Refuse settings that no test can work with."""
    check_level(alpha)
    if not (isinstance(n_resamples, _NUMBERS) and n_resamples >= 2 / alpha):
        raise ValueError(
            f"n_resamples={told(n_resamples)} is not allowed: intervals at level {1 - alpha:g} "
            f"need at least {np.ceil(2 / alpha):.0f}."
        )
    if correction not in CORRECTIONS:
        raise ValueError(
            f"correction={correction!r} is not known. Allowed: {', '.join(CORRECTIONS)}."
        )


@dataclass(frozen=True)
class AuditSettings:
    """How the comparisons of an audit are tested, all alike.

    Parameters
    ----------
    alpha : float, default=0.1
        Chance of any wrong verdict in a family.
    correction : {"holm", "bonferroni", "benjamini-hochberg", "none"}, default="holm"
    tests : mapping of metric name to test name, default=None
        Overrides the test of a metric, in every comparison: ``"mid-p McNemar"`` for error (others:
        ``"exact McNemar"``, ``"exact bootstrap"``, ``"paired t"``), ``"DeLong"`` for AUC, ``"swap
        permutation"`` for ECE, ``"paired t"`` for other row losses; ``"paired bootstrap"`` for
        callables, and for any metric where no misreports of it were measured. With weights or
        clusters, error is tested by paired t.
    n_resamples : int, default=1000
        Of bootstrap and permutation; more are drawn where the correction needs smaller p-values.
    seed : int, default=0
        Of bootstrap and permutation.
    baseline : str, default="generic"
        The candidate that gains are over.
    rows : str, default="held-out rows"
        What rows these are.

    Examples
    --------
    >>> settings = AuditSettings(alpha=0.05, tests={"error": "exact McNemar"})
    >>> settings.correction, settings.baseline, settings.rows
    ('holm', 'generic', 'held-out rows')
    >>> AuditSettings(correction="sidak").checked(read_metrics("error"))
    Traceback (most recent call last):
        ...
    ValueError: correction='sidak' is not known. Allowed: none, bonferroni, holm, ...
    """

    alpha: float = 0.1
    correction: str = "holm"
    tests: Mapping[str, str] | None = None
    n_resamples: int = 1000
    seed: int = 0
    baseline: str = GENERIC
    rows: str = HELD_OUT

    def checked(self, metrics: Sequence[Metric]) -> Self:
        """Return itself.

        Raises
        ------
        ValueError, TypeError
            For settings that no test can work with, or tests of metrics that are not among these.
        """
        check_testing(self.alpha, self.n_resamples, self.correction)
        read_tests(self.tests, metrics)
        return self
