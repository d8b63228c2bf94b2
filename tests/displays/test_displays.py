"""Displays of gains, corrections and plans: the same numbers, names whole, many groups folded."""

import inspect

import numpy as np
import pytest
from small_routers import LOGISTIC

from fairuse_router import Bundle, FairUseRouter, audit_predictions, export_bundle
from fairuse_router.displays import CorrectionDisplay, GainDisplay, PlanDisplay

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(scope="module")
def fitted(many_rows, tmp_path_factory):
    """A router, its bundle, and rows that neither has seen."""
    X, y = many_rows.frame, many_rows.y
    router = FairUseRouter(LOGISTIC, many_rows.groups, cv=2).fit(X[:500], y[:500])
    path = tmp_path_factory.mktemp("displays") / "r.onnx"
    export_bundle(router, path, X, precision="exact")
    return router, Bundle.load(path), X[500:], y[500:]


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def points(ax):
    """Marks that were drawn, from the top."""
    return [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1][::-1]


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()][::-1]


def test_gains_are_those_of_the_audit_of_router_bundle_or_predictions(fitted):
    router, bundle, X, y = fitted
    audit = router.audit(X, y)
    expected = [100 * r.gain for r in audit.rationality if r.candidate == "routed"]
    for who in (router, bundle):
        display = GainDisplay.from_estimator(who, X, y)
        assert points(display.ax_) == pytest.approx(expected)
        assert display.figure_ is display.ax_.figure
        assert names(display.ax_) == [f"{group} (115)" for group in audit.groups]
    models = {"generic": router.predict(X.assign(sex="?", age="?")), "ours": router.predict(X)}
    groups = X[["sex", "age"]]
    display = GainDisplay.from_predictions(y, models, groups, metrics="error", classes=[0, 1])
    assert points(display.ax_) == pytest.approx(expected)
    one = GainDisplay.from_estimator(router, X, y, candidate="decoupled", metric="error")
    assert points(one.ax_) != pytest.approx(expected)


def test_corrections_and_plans_of_router_and_bundle(fitted):
    router, bundle, _, _ = fitted
    weighed = [r for r in router.routing_table_.groups if r.real is not None]
    for who in (router, bundle):
        display = CorrectionDisplay.from_estimator(who)
        assert points(display.ax_) == pytest.approx([r.real[0] for r in weighed])
        assert len(display.ax_.patches) == len(weighed)
        plan = PlanDisplay.from_estimator(who)
        assert plan.ax_.get_title(loc="left") == "What to ask of sex, age"
        texts = [text.get_text() for text in plan.ax_.texts]
        assert "sex?" in texts or "age?" in texts


def test_axes_of_the_user_and_settings_are_used(fitted):
    router, _, X, y = fitted
    _, axes = pyplot.subplots(1, 3)
    assert GainDisplay.from_estimator(router, X, y, ax=axes[0], alpha=0.2).ax_ is axes[0]
    assert CorrectionDisplay.from_estimator(router, ax=axes[1]).ax_ is axes[1]
    assert PlanDisplay.from_estimator(router, ax=axes[2]).ax_ is axes[2]
    with pytest.raises(ValueError, match="candidate='no' with metric='error' is not in the audit"):
        GainDisplay.from_estimator(router, X, y, candidate="no")
    for wrong in (CorrectionDisplay.from_estimator, PlanDisplay.from_estimator):
        with pytest.raises(TypeError, match="router must be a fitted FairUseRouter"):
            wrong(X)
    with pytest.raises(TypeError, match="audit is a int"):
        GainDisplay(1).plot()


def test_names_are_never_cut_and_many_groups_are_folded():
    rng = np.random.default_rng(0)
    long = "women of sixty and more who live in the countryside, far from any hospital"
    groups = np.array([f"{long}, {i:02d}" for i in range(60)])[np.arange(1200) % 60]
    y = rng.integers(0, 2, 1200)
    worse = rng.uniform(size=1200) < np.linspace(0, 0.5, 60)[np.arange(1200) % 60]
    models = {
        "generic": np.where(rng.uniform(size=1200) < 0.3, 1 - y, y),
        "ours": np.where(worse, 1 - y, y),
    }
    audit = audit_predictions(y, models, groups, metrics="error", classes=[0, 1])
    display = GainDisplay(audit).plot()
    shown = [" ".join(name.split()) for name in names(display.ax_)]
    assert len(shown) == 40
    assert all(long in name for name in shown)
    assert "20 groups between, not drawn" in display.ax_.get_xlabel()
    gains = sorted(r.gain for r in audit.rationality)
    assert points(display.ax_) == pytest.approx([100 * g for g in (*gains[:20], *gains[-20:])])
    display.figure_.canvas.draw()
    left = min(label.get_window_extent().x0 for label in display.ax_.get_yticklabels())
    assert left >= 0  # none leaves the picture


@pytest.mark.parametrize("display", [GainDisplay, CorrectionDisplay, PlanDisplay])
def test_displays_are_made_as_those_of_scikit_learn(display):
    assert inspect.ismethod(display.from_estimator)
    assert "ax" in inspect.signature(display.plot).parameters
    assert "ax" in inspect.signature(display.from_estimator).parameters
