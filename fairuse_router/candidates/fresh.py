"""Fresh: unfitted copies, also of estimators that scikit-learn cannot clone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from sklearn.base import clone

from fairuse_router.candidates.unnamed import LINEAR


def fresh(estimator: Any) -> Any:
    """Return an unfitted copy of an estimator.

    Parameters
    ----------
    estimator : estimator
        Unfitted. Where it copies what it is given, as CatBoost does lists, `sklearn.base.clone`
        refuses it; it is then copied as a whole.
    """
    try:
        return clone(estimator)
    except RuntimeError:
        return copy.deepcopy(estimator)


def copies(estimator: Any) -> Callable[[], Any]:
    """Return a function that makes unfitted copies, in less time than as many calls of `fresh`."""
    first = fresh(estimator)
    if type(estimator) in LINEAR and all(map(_is_plain, first.get_params(deep=False).values())):
        return lambda: copy.copy(first)
    return lambda: fresh(estimator)


def _is_plain(value: Any) -> bool:
    """Whether a setting can be shared."""
    return value is None or isinstance(value, (str, int, float))
