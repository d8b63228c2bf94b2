"""
A page in the browser
=====================

Somebody is to be told a prediction on a phone or in a waiting room: asked only what helps, free to
decline, and nothing may leave the device. One call writes such a page; here Chromium opens it.
"""

# %%
# A bundle of the heart data, on four measurements.
import json
import shutil
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairuse_router import FairUseRouter, export_bundle
from fairuse_router.datasets import load_heart
from fairuse_router.serving import write_page

X, y = load_heart(return_X_y=True, as_frame=True)
X = X[["sex", "age_group", "trestbps", "chol", "thalach", "oldpeak"]]
clf = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
router = FairUseRouter(clf, ["sex", "age_group"], policy="best", random_state=0).fit(X, y)
folder = Path(tempfile.mkdtemp())
certificate = export_bundle(router, folder / "heart.onnx", X)

# %%
# The page is a folder of static files, for any web server. npm fetches ONNX Runtime for the web, or
# ``runtime`` says in which folder npm has put it already. From a shell it is
# ``fairuse-router page heart.onnx --out page``.
npms = Path("../../tests/clients/browser")
runtime = npms if (npms / "node_modules").is_dir() else None
try:
    written = write_page(folder / "heart.onnx", folder / "page", title="Heart", runtime=runtime)
    print(*(path.relative_to(folder).as_posix() for path in written), sep="\n")
except OSError as error:
    print(f"No page was written when these pages were built: {error}")


# %%
# Playwright leads Chromium through it, as a person would go: the form asks one question after the
# other, each with "I'd rather not say", and shows the answer below.
def fill_in(page, person, told):
    """What the page answers to one who tells these group attributes, and declines others."""
    page.click("button[type=reset]")
    for j, name in enumerate(["trestbps", "chol", "thalach", "oldpeak"]):
        page.fill(f"#feature-{j}", str(person[name]))
    unanswered = "fieldset.question:not(:has(input:checked))"
    while (question := page.query_selector(unanswered)) is not None:
        name = question.get_attribute("data-ask")
        level = person[name] if name in told else ""
        page.check(f'[data-ask="{name}"] input[data-level="{level}"]')
    page.click("button[type=submit]")
    page.wait_for_selector("#result:not([hidden])")
    return page.eval_on_selector("#answer > div", "answer => ({...answer.dataset})")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def visit(chromium, person):
    """Open the page, fill it in under two reports, and keep a picture."""
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder / "page")) as server,
        sync_playwright() as play,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 560, "height": 900})
        page.goto(f"http://127.0.0.1:{server.server_port}")
        page.wait_for_selector("#form:not([hidden])")
        answers = [fill_in(page, person, told) for told in ((), ("sex", "age_group"))]
        page.screenshot(path=folder / "page.png", full_page=True)
        browser.close()
        server.shutdown()
    return answers


try:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
except ImportError:
    chromium = None
person = X.iloc[0]
if chromium is None or not (folder / "page" / "index.html").is_file():
    print("Chromium, Playwright or npm is not installed: the page was not opened.")
else:
    for answer in visit(chromium, person):
        print(answer["report"], answer["label"], np.round(json.loads(answer["probabilities"]), 4))

# %%
# The same by the router: what the page computes on the device is what the router says.
for report in ({"sex": "?", "age_group": "?"}, {}):
    asked = X[:1].assign(**report)
    print(router.predict(asked)[0], router.predict_proba(asked)[0].round(4))

# %%
# The page as it was filled in:
if (folder / "page.png").is_file():
    picture = plt.imread(folder / "page.png")
    height, width = picture.shape[:2]
    figure = plt.figure(figsize=(width / 100, height / 100))
    figure.add_axes((0, 0, 1, 1)).imshow(picture)
    plt.axis("off")
