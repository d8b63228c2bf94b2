"""
Three classes
=============

A linear model of several classes has a margin per class. Its multilevel candidate is a model per
group, and the groups lend each other evidence; beside other models the other candidates compete.
"""

# %%
import numpy as np
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter

rng = np.random.default_rng(0)
n = 3000
sex = rng.choice(["F", "M"], n)
x = rng.normal(size=(n, 3))
sign = np.where(sex == "F", 1.0, -1.0)
score = np.column_stack([x[:, 0], sign * x[:, 1], x[:, 2]]) * 1.5
y = np.array(["low", "middle", "high"])[(score + rng.gumbel(size=(n, 3))).argmax(axis=1)]
X = np.column_stack([x.astype(object), sex.astype(object)])
router = FairUseRouter(LogisticRegression(), [3], metric="log_loss", random_state=0)
router.fit(X[:2000], y[:2000])
print(router.routing_table_)

# %%
# Columns of probabilities are those of ``classes_``.
print(router.classes_, router.predict_proba(X[2000:2002]).round(2))

# %%
print(router.audit(X[2000:], y[2000:], metrics=["error", "log_loss"]))
