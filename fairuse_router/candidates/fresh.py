"""Fresh: unfitted copies, also of estimators that scikit-learn cannot clone."""

from __future__ import annotations

import copy
from typing import Any

from sklearn.base import clone


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
