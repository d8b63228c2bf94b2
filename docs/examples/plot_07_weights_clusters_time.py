"""
Weights, patients seen twice, and time
======================================

Rows of one patient must not be split between training and judging, and are worth less than as many
patients. And who wants to know next year's gain judges by later rows than were trained on.
"""

# %%
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population

population = make_population(n_samples=1500, effect="interaction", random_state=5)
X, y, groups = population.to_frame(), population.y, population.group_attributes
rng = np.random.default_rng(0)

# %%
# Every patient twice: the same rows and labels prove no more than once.
patients = np.tile(np.arange(len(y)), 2)
X2, y2 = X.iloc[patients].reset_index(drop=True), y[patients]
for clusters in (None, patients):
    router = FairUseRouter(LogisticRegression(), groups, random_state=0)
    audit = router.fit(X2, y2, clusters=clusters).audit_
    (gain,) = (r for r in audit.overall if r.candidate == "routed")
    width = 100 * (gain.high - gain.low)
    print("clusters" if clusters is not None else "as if all were others", f"{width:.1f} points")

# %%
# Weights, such as those of a survey: given to the final steps, and used in every comparison.
weight = rng.uniform(0.5, 2, len(y))
router = FairUseRouter(LogisticRegression(), groups, random_state=0)
print(router.fit(X, y, sample_weight=weight).route(X[:1]).candidate)

# %%
# Admissions by date: judged by later rows, as a deployment is.
day = rng.integers(0, 730, len(y))
router = FairUseRouter(LogisticRegression(), groups, cv=TimeSeriesSplit(4), random_state=0)
print(router.fit(X, y, order=day).routing_table_)
