"""Dispatch: the one place that chooses how rows reach the models that serve them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.bayes import NaiveBayes
from fairuse_router.bundle.families.corrected import one_model_per_route, share_base
from fairuse_router.bundle.families.scores import common_finish
from fairuse_router.bundle.families.submodels import build_submodel
from fairuse_router.bundle.file.layout import Layout
from fairuse_router.bundle.plans.assemble import Plan
from fairuse_router.bundle.plans.merged import MergedTrees
from fairuse_router.bundle.plans.partition import Partition
from fairuse_router.bundle.plans.product import Product
from fairuse_router.candidates.candidate import ServedModel


def choose_plan(
    served: Sequence[ServedModel],
    model_of_route: NDArray[np.int64],
    layout: Layout,
    classes: NDArray[Any] | None,
    method: str | None,
    opsets: Mapping[str, int],
) -> Plan:
    """Choose between one product for all models, merged trees, and a partition of the rows.

    Parameters
    ----------
    served : sequence of ServedModel
    model_of_route : ndarray of int64, shape (n_routes,)
        Index into `served`.
    layout : Layout
    classes : ndarray of shape (K,) or None
        The router's classes; None for a regression.
    method : {"predict_proba", "decision_function", "predict"} or None
        What is wanted beside the label.
    opsets : dict of str to int

    Raises
    ------
    ValueError
        If a model cannot be written; the message names its candidate.
    """
    features, kind = layout.columns, np.dtype(layout.number)
    served, model_of_route = share_base(served, model_of_route)
    linear, of_route = one_model_per_route(served, model_of_route)
    product = Product.of(linear, of_route, layout, classes, method)
    if product is not None:
        return product
    if layout.joined:
        if method == "predict_proba":
            bayes = NaiveBayes.of(served, model_of_route, features, classes, kind)
            if bayes is not None:
                return bayes
        if len(served) > 1:
            merged = MergedTrees.of(served, model_of_route, features, classes, method, kind)
            if merged is not None:
                return merged
    finish = common_finish([model.estimator for model in served], classes, method)
    submodels = [build_submodel(m, features, classes, method, opsets, kind, finish) for m in served]
    return Partition(submodels, model_of_route, layout)
