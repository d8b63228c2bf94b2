"""
A regression
============

Diabetes progression after a year, by ten measurements; sex and age band are group attributes. A
regressor needs a metric of regressions; everything else is as with classes.
"""

# %%
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

from fairuse_router import FairUseRouter

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X["sex"] = X["sex"].map({1.0: "s1", 2.0: "s2"})  # the data do not say which is which
X["age band"] = pd.cut(X.pop("age"), [0, 50, 120], labels=["<=50", ">50"])
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
router = FairUseRouter(
    Ridge(), ["sex", "age band"], metric="absolute_error", policy="best", random_state=0
)
router.fit(X_train, y_train)
print(router.routing_table_)

# %%
# What merely looked better out of fold (`policy="best"`), on rows that chose nothing:
audit = router.audit(X_test, y_test)
print(audit)

# %%
from fairuse_router.card import plot_gains

plot_gains(audit)
