"""
LightGBM
========

Any estimator with scikit-learn's interface. Bundles read LightGBM's trees; no converter is needed.
"""

# %%
import tempfile
from pathlib import Path

from lightgbm import LGBMClassifier

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.datasets import make_population

population = make_population(n_samples=1500, n_groups=4, effect="intercept", random_state=6)
X, y = population.to_frame(), population.y
boosting = LGBMClassifier(n_estimators=20, num_leaves=7, verbosity=-1, n_jobs=1, random_state=0)
router = FairUseRouter(
    boosting,
    population.group_attributes,
    candidates=("generic", "onehot"),
    policy="best",
    random_state=0,
)
print(router.fit(X, y).routing_table_)

# %%
path = Path(tempfile.mkdtemp()) / "lightgbm.onnx"
certificate = export_bundle(router, path, X)
print(certificate["checks"], "answers compared,", certificate["label_flips"], "labels differ")
print((Bundle.load(path).predict(X) == router.predict(X)).mean())
