"""Natives: models that take categories as they are, and what they make of them first."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.preprocessing import OrdinalEncoder

from fairuse_router.bundle.families.boosters import is_xgboost, xgboost_categories
from fairuse_router.bundle.families.lightgbm_text import is_lightgbm

HISTOGRAM = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


@dataclass(frozen=True)
class Coding:
    """A step in front of a model that codes its columns of texts, in the places they have.

    Parameters
    ----------
    encoders : tuple of OrdinalEncoder
        One of each column of texts, in their order.
    model : str
        What the model is called.
    """

    encoders: tuple[OrdinalEncoder, ...]
    model: str

    def of(self, texts: Sequence[int]) -> dict[int, OrdinalEncoder]:
        """Return the encoder of each column of texts.

        Raises
        ------
        ValueError
            If there are others than in training.
        """
        if len(texts) != len(self.encoders):
            raise ValueError(
                f"{len(texts)} text columns reach {self.model}, which was fitted on "
                f"{len(self.encoders)} of categories; encode them first, in a ColumnTransformer"
            )
        return dict(zip(texts, self.encoders, strict=True))


def coding_of(model: Any) -> ColumnTransformer | Coding | None:
    """Return the step by which a fitted model codes its categories; None if it takes none."""
    if isinstance(model, HISTOGRAM):
        step = copy.copy(getattr(model, "_preprocessor", None))
        if step is not None:  # what is left checks numbers and changes none
            step.transformers_ = [
                (name, inner if name == "encoder" else "passthrough", columns)
                for name, inner, columns in step.transformers_
            ]
        return step
    if is_lightgbm(model):
        lists, unknown = model.booster_.pandas_categorical or [], "use_encoded_value"
    elif is_xgboost(model):
        # its releases answer an unknown category in different ways: 3.1 raises, 3.2 takes the first
        lists, unknown = xgboost_categories(model), "error"
    else:
        return None
    encoders = tuple(_encoder(categories, unknown) for categories in lists)
    return Coding(encoders, type(model).__name__) if encoders else None


def _encoder(categories: Sequence[Any], unknown: str) -> OrdinalEncoder:
    """Return an encoder by place; missing categories stay missing, and unknown ones may be."""
    encoder = OrdinalEncoder(handle_unknown=unknown, unknown_value=np.nan)
    values = np.empty(len(categories) + 1, dtype=object)
    values[:] = [*categories, np.nan]
    encoder.categories_ = [values]
    return encoder
