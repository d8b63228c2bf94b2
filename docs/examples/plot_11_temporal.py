"""
Temporal validation: later rows judge
=====================================

Patients change, and so does what a group gains. Here a group stops gaining half way through: folds
at random promise it more than folds in time do, and later rows show that it loses.
"""

# %%
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population

population = make_population(n_samples=3000, effect="interaction", random_state=1)
X, y, groups = population.to_frame(), population.y.copy(), population.group_attributes
day = np.sort(np.random.default_rng(0).integers(0, 1460, len(y)))
period = np.array(["2020", "2021", "2022", "2023"])[day // 365]

# from 2022 on, outcomes in one group no longer follow the features
late = (period >= "2022") & (X[groups[0]] == "a1").to_numpy() & (X[groups[1]] == "b0").to_numpy()
y[late] = np.random.default_rng(1).integers(0, 2, late.sum())

# %%
# Folds at random mix old and new rows; a splitter in time trains on the past alone.
for name, cv in (("at random", 5), ("in time", TimeSeriesSplit(4))):
    router = FairUseRouter(LogisticRegression(), groups, cv=cv, random_state=0)
    record = router.fit(X, y, order=day).routing_table_.groups[3]
    print(f"{name}: {', '.join(record.report)} is served by {record.candidate}", end="")
    print("" if record.gain is None else f", gain {100 * record.gain:+.1f} points")

# %%
# A router of the first two years, and where in time its gains hold: Cochran's Q asks whether the
# periods differ by more than chance.
past = period < "2022"
router = FairUseRouter(LogisticRegression(), groups, random_state=0).fit(X[past], y[past])
print(router.by_place(X[~past], y[~past], period[~past]))

# %%
# Labels of the last year: that group lost nine points, its share of outcomes has moved, and it says
# how many more rows would prove a violation.
last = period == "2023"
print(router.reaudit(X[last], y[last]))
