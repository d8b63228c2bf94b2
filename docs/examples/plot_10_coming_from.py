"""
Coming from one-hot columns, grouped models or fairness metrics
===============================================================

Three ways to treat groups, and what each becomes here.
"""

# %%
# **One-hot group columns in the Pipeline.** Leave the Pipeline as it is, group columns and all: the
# router takes them out for generic, says so, and the one-hot model is the candidate ``"onehot"``.
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import FairUseRouter, audit_predictions
from fairuse_router.datasets import make_population

population = make_population(n_samples=2000, n_groups=4, effect="slopes", random_state=4)
X, y, groups = population.to_frame(), population.y, population.group_attributes
mine = make_pipeline(
    make_column_transformer((OneHotEncoder(), groups), remainder="passthrough"),
    LogisticRegression(),
)
router = FairUseRouter(mine, groups, random_state=0).fit(X[:1500], y[:1500])
print(router.routing_table_)

# %%
# **A model per group**, as scikit-lego's ``GroupedPredictor`` or a loop makes them, is candidate
# ``"decoupled"``: used only where it is worth its risk. To have it everywhere it looks better:
best = FairUseRouter(
    LogisticRegression(), groups, candidates=("generic", "decoupled"), policy="best", random_state=0
)
print(best.fit(X[:1500], y[:1500]).routing_table_.disclosure_plan())

# %%
# **Metrics per group**, as fairlearn's ``MetricFrame`` has them, compare groups with each other. An
# audit compares two models in the same group: did telling pay? Both are there.
without = LogisticRegression().fit(X[:1500].drop(columns=groups), y[:1500])
told = {
    "generic": without.predict_proba(X[1500:].drop(columns=groups)),
    "mine": mine.fit(X[:1500], y[:1500]).predict_proba(X[1500:]),
}
print(audit_predictions(y[1500:], told, X[1500:][groups], metrics=["error", "auc"]))

# %%
print(router.between_groups(X[1500:], y[1500:]))
