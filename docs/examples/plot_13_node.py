"""
A bundle in Node
================

The service that is to predict is written in JavaScript. It needs the bundle and ONNX Runtime, and
nothing of Python: groups, reports and routes are in the file.
"""

# %%
# A bundle of the heart data, and three people as the service may hold them.
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairuse_router import FairUseRouter, export_bundle
from fairuse_router.datasets import load_heart

X, y = load_heart(return_X_y=True, as_frame=True)
X = X[["sex", "age_group", "trestbps", "chol", "thalach", "oldpeak"]]
clf = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
router = FairUseRouter(clf, ["sex", "age_group"], policy="best", random_state=0).fit(X, y)
folder = Path(tempfile.mkdtemp())
certificate = export_bundle(router, folder / "heart.onnx", X)

people = X[:3].copy()
people.loc[1, "sex"] = people.loc[2, ["sex", "age_group"]] = "?"
people.to_json(folder / "people.json", orient="records", indent=1)
print(people)

# %%
# The program. ``X`` holds the numbers, NaN where one is missing; ``report`` what each person tells,
# ``"?"`` where that is nothing.
program = r"""
const { readFileSync } = require("node:fs");
const ort = require("onnxruntime-node");

const features = ["trestbps", "chol", "thalach", "oldpeak"];
const attributes = ["sex", "age_group"];

async function main() {
  const people = JSON.parse(readFileSync("people.json"));
  const session = await ort.InferenceSession.create("heart.onnx");
  const numbers = people.flatMap((person) => features.map((name) => person[name] ?? NaN));
  const report = people.flatMap((person) => attributes.map((name) => person[name]));
  const { label, probabilities, route } = await session.run({
    X: new ort.Tensor("float32", numbers, [people.length, features.length]),
    report: new ort.Tensor("string", report, [people.length, attributes.length]),
  });
  for (let i = 0; i < people.length; i++) {
    const p = probabilities.data[2 * i + 1].toFixed(4);
    console.log(`label ${label.data[i]}, probability ${p}, route ${route.data[i]}`);
  }
}
main();
"""
(folder / "serve.cjs").write_text(program, encoding="utf-8")

# %%
# ``npm install onnxruntime-node`` brings the runtime. Run it:
npms = Path("../../tests/clients/node/node_modules").resolve()
if shutil.which("node") is None or not (npms / "onnxruntime-node").is_dir():
    print("Node or onnxruntime-node is not installed: the program was not run.")
else:
    environment = {**os.environ, "NODE_PATH": str(npms)}
    options = {"cwd": folder, "env": environment, "timeout": 60, "check": True}
    print(subprocess.run(["node", "serve.cjs"], capture_output=True, text=True, **options).stdout)

# %%
# The router says the same:
for label, p, route in zip(
    router.predict(people),
    router.predict_proba(people)[:, 1],
    router.route(people).route,
    strict=True,
):
    print(f"label {label}, probability {p:.4f}, route {route}")
