"""The multilevel candidate of several classes: one linear model per group, that lend each other.

With two classes it is a correction of generic's one margin. Several classes have several margins,
and the groups' models stand by themselves, as decoupled ones do; generic must be linear, so that
nothing of it is lost.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.pipeline import Pipeline

from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.corrected import final_step
from fairuse_router.candidates.reached import Standardized, is_linear, row_weight
from fairuse_router.candidates.recipes import Recipe, Unavailable
from fairuse_router.inference import multilevel_classes
from fairuse_router.rows import TrainingRows

_LOOKED_AT = 100


def fit_classes(recipe: Recipe, generic: Any, part: TrainingRows) -> Candidate:
    """Fit a model per group: generic with coefficients of the group's own.

    Parameters
    ----------
    recipe : Recipe
        Its `added` are the dummies of the groups' main effects.
    generic : fitted classifier of three classes or more
        Fitted on the same rows; a Pipeline may stand around it.
    part : TrainingRows

    Returns
    -------
    Candidate
        Generic's steps are shared by all of its models.

    Raises
    ------
    Unavailable
        If generic is not a linear model of all classes, or the features do not allow it.
    """
    final, reached = final_step(generic, part.features)
    _check_linear(final, reached, part)
    features = Standardized.of(reached)
    assert recipe.added is not None
    joint = multilevel_classes(
        features.x,
        part.groups,
        part.target,
        recipe.added,
        np.asarray(final.decision_function(reached)),
        weight=row_weight(final, part),
    )
    models = tuple(_with_coefficients(generic, own) for own in features.by_unit(joint))
    return Candidate(recipe.name, models, np.arange(part.n_groups))


def _check_linear(final: Any, reached: Any, part: TrainingRows) -> None:
    """Refuse what is not the softmax of linear margins with about the fit's own penalty."""
    assert part.classes is not None
    several = f"multilevel of {len(part.classes)} classes needs"
    if not is_linear(final, regression=False):
        raise Unavailable(
            f"{several} a linear model with intercepts and a ridge penalty of at most 2, "
            f"which {type(final).__name__} is not here"
        )
    if len(final.classes_) != len(part.classes):
        raise Unavailable(f"{several} all of them among the training rows")
    some = reached[:_LOOKED_AT]
    if not np.allclose(softmax(final.decision_function(some), axis=1), final.predict_proba(some)):
        raise Unavailable(f"{several} margins whose softmax the probabilities are")


def _with_coefficients(estimator: Any, coefficients: NDArray[np.float64]) -> Any:
    """The model inside with slopes and, last, intercepts of shape (K, d + 1), and its steps."""
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    twin = copy.copy(estimator)
    if isinstance(estimator, Pipeline):
        *steps, (name, last) = estimator.steps
        twin.steps = [*steps, (name, _with_coefficients(last, coefficients))]
    else:
        twin.coef_, twin.intercept_ = coefficients[:, :-1].copy(), coefficients[:, -1].copy()
    return twin
