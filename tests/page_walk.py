"""A page in a browser: how it is opened, filled in and read."""

import http.server
from pathlib import Path

import pandas as pd

CLIENT = Path(__file__).parent / "clients" / "browser"
AXE = CLIENT / "node_modules" / "axe-core" / "axe.min.js"
ATTRIBUTES = ["sex", "age_group"]  # of heart


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that knows nothing of the page."""

    def log_message(self, *args):
        pass


def opened(browser, address, width=1280, **more):
    """A page that is ready, with all that it asked for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **more)
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#form:not([hidden])", timeout=60_000)
    return page


def fill(page, plan, row):
    """Enter a person's measurements."""
    for j, feature in enumerate(plan["features"]):
        value = row[feature["name"]]
        text = "" if pd.isna(value) else str(value)
        if feature["choices"]:
            page.select_option(f"#feature-{j}", text)
        else:
            page.fill(f"#feature-{j}", text)


def tell(page, report, attributes):
    """Answer what is asked, as long as something is."""
    answered = set()
    while True:
        boxes = page.query_selector_all("fieldset.question")
        names = [box.get_attribute("data-ask") for box in boxes]
        left = [name for name in names if name not in answered]
        if not left:
            return names
        level = report[attributes.index(left[0])]
        page.check(f'[data-ask="{left[0]}"] input[data-level="{"" if level == "?" else level}"]')
        answered.add(left[0])


def answer(page):
    """What the page says, with full digits."""
    page.click("button[type=submit]")
    page.wait_for_selector("#result:not([hidden])", timeout=30_000)
    own = page.eval_on_selector("#answer > div", "e => ({...e.dataset})")
    others = page.eval_on_selector_all("#changes li", "all => all.map(e => ({...e.dataset}))")
    return own, others
