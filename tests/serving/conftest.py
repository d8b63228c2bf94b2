"""A real server on loopback, and the bundles that it serves."""

import functools
import http.server
import shutil
import threading

import numpy as np
import pandas as pd
import pytest
from engines_needed import need
from forced import EVERY, force
from page_walk import AXE, CLIENT, Quiet
from serving_process import running
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.cli import main
from fairuse_router.cli.estimators import make_estimator
from fairuse_router.datasets import load_heart


@pytest.fixture(scope="session")
def bundles(many_rows, tmp_path_factory):
    """Two files: all numbers, and texts with labels that are texts."""
    folder = tmp_path_factory.mktemp("served")
    X, y = many_rows.frame, many_rows.y
    router = FairUseRouter(LogisticRegression(), many_rows.groups, cv=2).fit(X, y)
    export_bundle(router, folder / "numbers.onnx", X)
    texts = pd.DataFrame({"pain": np.where(X["x"] > 0, "sévère", "none"), "sex": X["sex"]})
    other = FairUseRouter(
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
        ["sex"],
        cv=2,
        policy="best",
        handle_unknown="withhold",
    ).fit(texts, np.where(y == 1, "krank", "gesund"))
    export_bundle(other, folder / "texts.onnx", texts, precision="exact")
    return folder, {"numbers": X, "texts": texts}


@pytest.fixture(scope="session")
def server(bundles, tmp_path_factory):
    need("starlette", "uvicorn")
    folder, rows = bundles
    options = ("--timeout", "2", "--max-mb", "1", "--max-rows", "2000")
    opened = {name: Bundle.load(folder / f"{name}.onnx") for name in rows}
    where = tmp_path_factory.mktemp("log")
    with running([folder], where, *options, bundles=opened, rows=rows) as found:
        yield found


@pytest.fixture(scope="session")
def runtime():
    """Where npm put the runtime."""
    need("jinja2", "node")
    if not AXE.is_file():
        need("npm packages: run `npm ci --ignore-scripts` in tests/clients/browser")
    return CLIENT


@pytest.fixture(scope="session")
def browser(runtime):
    need("playwright", "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        found = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield found
        found.close()


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    """A folder, and where a local web server serves it."""
    folder = tmp_path_factory.mktemp("pages")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def heart(host, runtime):
    """A router of heart whose groups have four routes, and the page of its bundle."""
    folder, address = host
    X, y = load_heart(return_X_y=True, as_frame=True)
    texts = X.select_dtypes(exclude="number").columns.drop(["sex", "age_group"]).tolist()
    numbers = X.select_dtypes("number").columns.tolist()
    estimator = make_estimator("logistic", numbers, texts, 0, False)
    router = FairUseRouter(estimator, ["sex", "age_group"], cv=3, policy="best", random_state=0)
    router = force(router.fit(X[:230], y[:230]), EVERY)
    audit = router.audit(X[230:], y[230:])
    export_bundle(router, folder / "heart.onnx", X, audit=audit)
    X.to_csv(folder / "heart.csv", index=False)
    words = ["page", str(folder / "heart.onnx"), "--out", str(folder / "heart")]
    words += ["--like", str(folder / "heart.csv"), "--runtime", str(runtime)]
    assert main([*words, "--title", "Heart", "--description", "Of narrowed arteries."]) == 0
    return router, X, f"{address}/heart/"
