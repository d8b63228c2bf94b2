"""What an installed package must do without its sources: fit, audit, export, serve."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

import fairuse_router
from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.datasets import load_heart

ROOT = Path(fairuse_router.__file__).parent
if "site-packages" not in ROOT.parts or not (ROOT / "py.typed").is_file():
    raise SystemExit(f"this is no installed package, or has no types: {ROOT}")

heart = load_heart()
numbers = [j for j, v in enumerate(heart.data[0]) if not isinstance(v, str)]
complete = np.array([all(row[j] == row[j] for j in numbers) for row in heart.data])
X, y = heart.data[complete][:, [0, 1, *numbers]], heart.target[complete]
router = FairUseRouter(LogisticRegression(max_iter=1000), [0, 1], policy="best", random_state=0)
router.fit(X[:200], y[:200])
print(router.audit(X[200:], y[200:]))
export_bundle(router, "smoke.onnx", X)
bundle = Bundle.load("smoke.onnx")
if not (bundle.predict(X) == router.predict(X)).all():
    raise SystemExit("the bundle answers otherwise than its router")
