"""What the page says before each question is what the plan knows."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.datasets import make_population
from fairuse_router.inference import combine_intervals
from fairuse_router.serving.asking import form_data


@pytest.fixture(scope="module", params=["priced", "best"])
def asked(request, tmp_path_factory):
    """A plan, with routes for partial reports or without, and what the page is told of it."""
    population = make_population(900, n_groups=(2, 3), effect="mixed", random_state=4)
    X = population.to_frame()
    router = FairUseRouter(
        LogisticRegression(solver="newton-cholesky"),
        population.group_attributes,
        cv=3,
        policy=request.param,
        random_state=0,
    ).fit(X, population.y)
    path = tmp_path_factory.mktemp("asked") / "r.onnx"
    export_bundle(router, path, X)
    data = form_data(Bundle.load(path), path.read_bytes(), {})
    return router.routing_table_, router.routing_table_.disclosure_plan(), data


def ways(node, answers=()):
    """Every question of the page, and the answers that lead to it."""
    if "ask" in node:
        yield node, dict(answers)
        for level, after in node["branches"].items():
            yield from ways(after, (*answers, (node["ask"], level)))
        yield from ways(node["declined"], (*answers, (node["ask"], "?")))


def test_the_page_asks_what_the_plan_asks_and_says_what_it_brings(asked):
    table, plan, data = asked
    questions = list(ways(data["tree"]))
    assert questions
    for node, answers in questions:
        step = plan.next(answers)
        assert (node["ask"], tuple(node["branches"])) == (step.ask, step.choices)
        told = node["brings"]
        if step.gain is None:
            continue
        assert [told[k]["number"] for k in ("gain", "low", "high")] == [
            step.gain,
            step.low,
            step.high,
        ]
        assert told["sure"] == ("gain" if step.low > 0 else "loss" if step.high < 0 else "luck")
    known = [n["brings"] for n, a in questions if plan.next(a).gain is not None]
    assert bool(known) == bool(table.partial)


def test_where_partial_reports_have_no_routes_it_is_the_mean_of_the_ends(asked):
    table, _, data = asked
    told = data["tree"]["brings"]
    if table.partial:
        assert told["sure"] in ("gain", "luck", "loss", "unknown")
        return
    rows = np.array([r.rows for r in table.groups], dtype=float)
    parts = ([getattr(r, k) for r in table.groups] for k in ("gain", "low", "high"))
    expected = combine_intervals(*parts, rows / rows.sum())
    found = [told[k]["number"] for k in ("gain", "low", "high")]
    assert found == pytest.approx(expected)
    assert told["rows"] == 900
