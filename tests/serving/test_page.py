"""The page in a real browser: what a patient sees is what the router says, and nothing leaves."""

import json

import numpy as np
import pandas as pd
import pytest
from forced import EVERY, force
from page_walk import ATTRIBUTES, AXE, answer, fill, opened, tell
from sklearn.linear_model import LinearRegression, LogisticRegression

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.serving import write_page


@pytest.fixture
def page(browser, heart):
    made = opened(browser, heart[2])
    yield made
    assert not made.errors
    made.close()


def check(shown, X, who):
    """An answer of the page is that of a router or of a bundle, under the page's report."""
    report = json.loads(shown["report"])
    told = [level or "?" for level in report]
    asked = X.assign(**dict(zip(ATTRIBUTES, told, strict=True)))
    assert shown["label"] == str(who.predict(asked)[0])
    assert int(shown["route"]) == who.route(asked).route[0]
    found = json.loads(shown["probabilities"])
    np.testing.assert_allclose(found, who.predict_proba(asked)[0], atol=1e-5)


# the patient's walk
def test_every_report_gets_the_routers_answer(page, heart, host):
    router, X, address = heart
    plan = json.loads((host[0] / "heart" / "plan.json").read_text(encoding="utf-8"))
    lacking = X[X["ca"].isna()].head(1)
    routes = set()
    for person in (X.iloc[[240]], lacking):
        for code in router.schema_.report_codes:
            report = router.schema_.report_texts(code)
            page.click("button[type=reset]")
            page.wait_for_function("!document.querySelector('fieldset.question input:checked')")
            names = tell(page, report, ATTRIBUTES)
            assert names == ATTRIBUTES[: len(names)]
            fill(page, plan, person.iloc[0])
            own, others = answer(page)
            for shown in (own, *others):
                check(shown, person, router)
            # what is not asked would have changed nothing
            check({**own, "report": json.dumps(report)}, person, router)
            asked = [report[ATTRIBUTES.index(name)] for name in names]
            told = sum(level != "?" for level in asked)
            assert len(others) == told + (told > 1)
            routes.add(own["route"])
    assert len(routes) == len(router.routing_table_.routes) == 4
    assert all(url.startswith(address.rsplit("/", 2)[0]) for url in page.asked)
    assert page.evaluate("document.activeElement.id") == "result-title"  # what is read aloud next


def test_load_to_first_answer(browser, heart, capsys):
    page = opened(browser, heart[2])
    tell(page, ("?", "?"), ATTRIBUTES)
    answer(page)
    marks = page.evaluate(
        "Object.fromEntries(performance.getEntriesByType('mark').map(m => [m.name, m.startTime]))"
    )
    with capsys.disabled():
        print(
            f" ready after {marks['ready']:.0f} ms, answered at {marks['answered']:.0f} ms", end=""
        )
    assert marks["ready"] < marks["answered"] < 60_000
    page.close()


def test_nothing_leaves_the_page_once_it_is_ready(page, heart):
    before = len(page.asked)
    tell(page, ("female", "?"), ATTRIBUTES)
    answer(page)
    assert page.asked[before:] == []
    for attempt in (
        "fetch('texts.json').then(() => 'sent', () => 'refused')",
        "fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')",
        "new Promise(r => { const i = new Image(); i.onload = () => r('sent');"
        " i.onerror = () => r('refused'); i.src = 'x.png?secret'; })",
        "(() => { try { return navigator.sendBeacon('x', 's') ? 'sent' : 'refused'; }"
        " catch { return 'refused'; } })()",
    ):
        found = page.evaluate(attempt)
        assert found == "refused" or "sendBeacon" in attempt
    assert not [url for url in page.asked[before:] if "127.0.0.1:9" in url and "texts" in url]
    assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == [
        "",
        0,
        0,
    ]


def test_what_is_told_before_each_question(page, heart):
    first = page.inner_text("#ask-0-hint")
    assert "Among 230 people like you, telling this brought" in first
    assert "wrong predictions in 100" in first
    assert page.get_attribute("fieldset.question", "aria-describedby") == "ask-0-hint"
    last = page.query_selector_all("fieldset.question label")[-1]
    assert last.inner_text() == "I'd rather not say"
    page.check('[data-ask="sex"] input[data-level=""]')
    page.check('[data-ask="sex"] input[data-level="male"]')  # a change of mind
    assert len(page.query_selector_all("fieldset.question")) == 2


def test_open_questions_and_wrong_numbers_are_said(page):
    page.click("button[type=submit]")
    assert "rather not say" in page.inner_text("#error")
    assert page.evaluate("document.activeElement.name") == "ask-0"
    tell(page, ("?", "?"), ATTRIBUTES)
    page.fill("#feature-1", "abc")
    page.click("button[type=submit]")
    assert "trestbps must be a number" in page.inner_text("#error")
    assert page.get_attribute("#feature-1", "aria-invalid") == "true"
    page.fill("#feature-1", "130,5")  # as half of Europe writes it
    own, _ = answer(page)
    assert page.is_hidden("#error")
    assert own["route"] == "0"


def test_by_keyboard_alone(page):
    page.focus("#tab-form")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#panel-review")
    assert page.evaluate("document.activeElement.id") == "tab-review"
    page.keyboard.press("Home")
    assert page.is_visible("#panel-form")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.dataset.level") == "female"
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.level") == ""
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    page.focus("#feature-1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result:not([hidden])")


# for everybody
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_no_violation_of_accessibility_and_room_on_every_screen(
    browser, heart, scheme, width, tmp_path
):
    page = opened(browser, heart[2], width, color_scheme=scheme)
    source = AXE.read_text(encoding="utf-8")
    tell(page, ("male", "<60"), ATTRIBUTES)
    answer(page)
    for tab in ("#tab-form", "#tab-review"):
        page.click(tab)
        page.evaluate(source)
        found = page.evaluate("axe.run()")
        assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found["violations"]] == []
        assert len(found["passes"]) > 15
        wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room == width
        page.screenshot(path=tmp_path / f"{tab[1:]}.png", full_page=True)
    page.close()


def test_reviewers_see_the_card_and_sort_its_tables(page, heart):
    page.click("#tab-review")
    text = page.inner_text("#panel-review")
    assert "73 rows that no model has seen" in text
    assert page.query_selector_all("#panel-review svg[role=img]")
    rows = page.locator("#panel-review table").first.locator("tbody tr td:nth-child(2)")
    page.locator("#panel-review table").first.locator("th:nth-child(2) button").click()
    up = [int(t) for t in rows.all_inner_texts()]
    page.locator("#panel-review table").first.locator("th:nth-child(2) button").click()
    down = [int(t) for t in rows.all_inner_texts()]
    assert up == sorted(up) == down[::-1] != down
    head = page.locator("#panel-review table").first.locator("th:nth-child(2)")
    assert head.get_attribute("aria-sort") == "descending"


# other bundles
def test_codes_doubles_and_texts_for_labels(browser, host, runtime, many_rows):
    folder, address = host
    X = many_rows.frame.rename(columns={"sex": "<b>sex</b>"})
    y = np.where(many_rows.y == 1, "krank", "<i>gesund</i>")
    router = FairUseRouter(LogisticRegression(), ["<b>sex</b>", "age"], cv=2, policy="best")
    router = force(router.fit(X, y), EVERY)
    export_bundle(router, folder / "codes.onnx", X, precision="exact", report="codes")
    texts = folder / "texts_de.json"
    texts.write_text(
        json.dumps({"lang": "de", "submit": "Zeig es mir", "classes": {"krank": "ill"}})
    )
    write_page(folder / "codes.onnx", folder / "codes", runtime=runtime, texts=texts)
    page = opened(browser, f"{address}/codes/")
    assert page.inner_text("button[type=submit]") == "Zeig es mir"
    tell(page, ("M", "old"), ["<b>sex</b>", "age"])
    page.click("button[type=submit]")
    assert "x is needed" in page.inner_text("#error")
    page.fill("#feature-0", "0.75")
    page.fill("#feature-1", "-1.25")
    own, others = answer(page)
    person = pd.DataFrame({"x": [0.75], "<b>sex</b>": ["M"], "z": [-1.25], "age": ["old"]})
    assert own["label"] == router.predict(person)[0]
    expected = router.predict_proba(person)[0]
    np.testing.assert_allclose(json.loads(own["probabilities"]), expected, atol=1e-12)
    assert [o["label"] for o in others] == [
        router.predict(person.assign(**change))[0]
        for change in ({"<b>sex</b>": "?"}, {"age": "?"}, {"<b>sex</b>": "?", "age": "?"})
    ]
    assert "Estimated chance of ill" in page.inner_text("#answer")
    assert page.query_selector("main b") is None
    page.close()


def test_a_regression_where_nobody_need_be_asked(browser, host, runtime, many_rows):
    folder, address = host
    X, y = many_rows.frame, 2.0 * many_rows.frame["x"].to_numpy() + many_rows.frame["z"].to_numpy()
    router = FairUseRouter(LinearRegression(), ["sex", "age"], cv=2, metric="squared_error")
    export_bundle(router.fit(X, y), folder / "sum.onnx", X)
    write_page(folder / "sum.onnx", folder / "sum", runtime=runtime)
    page = opened(browser, f"{address}/sum/")
    assert "need not be asked" in page.inner_text("#asked")
    page.fill("#feature-0", "2")
    page.fill("#feature-1", "0.5")
    own, others = answer(page)
    assert float(own["label"]) == pytest.approx(4.5, abs=1e-4)
    assert others == []
    assert "told nothing" in page.inner_text("#answer")
    page.close()


# writing it
def test_what_the_page_refuses_to_be_made_of(heart, host, runtime, tmp_path):
    folder = host[0]
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "other.json").write_text('{"no": "such"}')
    (tmp_path / "kind.json").write_text('{"submit": 1}')
    for given, message in (
        ({"choices": {"chol": ["1"]}}, r"choices names \['chol'\]"),
        ({"texts": tmp_path / "list.json"}, "is no object"),
        ({"texts": tmp_path / "other.json"}, r"has \['no'\]"),
        ({"texts": tmp_path / "kind.json"}, r"has \['submit'\]"),
        ({"texts": tmp_path / "none.json"}, "cannot be read"),
        ({"runtime": tmp_path}, "does not hold ort.wasm.min.mjs"),
    ):
        with pytest.raises(ValueError, match=message):
            write_page(folder / "heart.onnx", tmp_path / "page", **{"runtime": runtime, **given})
        assert not (tmp_path / "page").exists()


def test_small_groups_are_hidden_from_the_page(heart, tmp_path, runtime):
    router, X, _ = heart
    rows = min(record.rows for record in router.routing_table_.groups)
    export_bundle(router, tmp_path / "r.onnx", X, min_cell=rows + 1)
    assert any(r.rows is None for r in Bundle.load(tmp_path / "r.onnx").routing_table.groups)
    write_page(tmp_path / "r.onnx", tmp_path / "page", runtime=runtime)
    plan = json.loads((tmp_path / "page" / "plan.json").read_text(encoding="utf-8"))

    def numbers(node):
        yield node["people"]
        yield node.get("brings", {}).get("rows")
        for after in (
            *node.get("branches", {}).values(),
            *([node["declined"]] if "ask" in node else []),
        ):
            yield from numbers(after)

    assert set(numbers(plan["tree"])) == {None}
