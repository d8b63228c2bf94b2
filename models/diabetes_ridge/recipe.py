"""Progression of diabetes by ridge regression: scikit-learn's own data, groups sex x age band."""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairuse_router import FairUseRouter

TITLE = "Progression of diabetes, ridge regression"
DESCRIPTION = (
    "Predicts how far diabetes has progressed after a year, on the scale of the source (25 to "
    "346), from body mass index, blood pressure and six blood values. Sex is coded 1 and 2, as in "
    "the source, which does not say which is which. A demonstration on 442 patients, no medical "
    "device. Data: Efron, Hastie, Johnstone & Tibshirani (2004), as scikit-learn ships them."
)
SEED = 0
TEST_SIZE = 0.4
PRECISION = "fast"


def load():
    """Return the rows, group attributes included, and the progression of each."""
    data = load_diabetes(scaled=False, as_frame=True)
    X = data.data.assign(
        sex=data.data["sex"].astype(int),
        age=np.where(data.data["age"] < 50, "<50", "50+"),
    )
    return X, data.target.to_numpy()


def make_router():
    """Return the router, not yet fitted."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 11)))
    return FairUseRouter(model, ["sex", "age"], metric="squared_error", random_state=SEED)
