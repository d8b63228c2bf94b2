"""
What a clinic decides by
========================

Net benefit over thresholds and calibration, before and after routing, in every group.
"""

# %%
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population
from fairuse_router.displays import CalibrationDisplay, DecisionCurveDisplay

population = make_population(n_samples=2000, n_groups=4, effect="interaction", random_state=2)
test = population.sample(2000, random_state=9)
router = FairUseRouter(
    LogisticRegression(), population.group_attributes, metric="log_loss", random_state=0
)
router.fit(population.to_frame(), population.y)
print(router.routing_table_)

# %%
DecisionCurveDisplay.from_estimator(router, test.to_frame(), test.y)

# %%
CalibrationDisplay.from_estimator(router, test.to_frame(), test.y)
