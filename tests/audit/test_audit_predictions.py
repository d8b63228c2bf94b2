"""audit_predictions: the audit of any models, from their predictions."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from audited import population, select

from fairuse_router import tables
from fairuse_router.audit import (
    audit_predictions,
)


@pytest.mark.parametrize("kind", ["pandas", "polars", "numpy"])
def test_any_models_and_tables(kind):
    y, _, models, _ = population(1, n=300)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"sex": rng.choice(["F", "M", "?"], 300), "age": rng.choice([1, 2], 300)})
    groups = {"pandas": frame, "polars": pl.from_pandas(frame), "numpy": frame.to_numpy(object)}[
        kind
    ]
    labels = np.array(["no", "yes"])
    given = {
        "generic": models["generic"].proba[:, 1],
        "full": models["onehot"].proba,
        "wrapped": models["decoupled"],
    }
    audit = audit_predictions(labels[y], given, groups, metrics=("error", "auc"))
    assert audit.groups == ("F, 1", "F, 2", "M, 1", "M, 2")
    assert audit.n == (frame["sex"] != "?").sum()
    (risk,) = select(audit.risks, metric="error", candidate="full", group="F, 1")
    r = ((frame.sex == "F") & (frame.age == 1)).to_numpy()
    assert risk.risk == pytest.approx((models["onehot"].label != y)[r].mean())
    texts = {name: labels[p.label] for name, p in models.items()}
    by_label = audit_predictions(labels[y], texts, groups)
    assert [x.gain for x in by_label.rationality[:4]] == [x.gain for x in audit.rationality[:4]]


def test_one_column_and_misreports():
    y, groups, models, _ = population(1, n=300)
    sex = pd.Series(np.where(groups % 2, "F", "M"), name="sex")
    better = {"full": {"F": models["decoupled"].label}}
    given = {"generic": models["generic"].label, "full": models["onehot"].label}
    audit = audit_predictions(y, given, sex, misreports=better)
    assert audit.attributes == ("sex",)
    (record,) = [r for r in audit.envy_freeness if r.group == "M"]
    r = (sex == "M").to_numpy()
    wrong = [(models[k].label != y)[r].mean() for k in ("decoupled", "onehot")]
    assert record.gain == pytest.approx(wrong[0] - wrong[1])
    (other,) = [r for r in audit.envy_freeness if r.group == "F"]
    assert other.reason == "no model for the other report"
    assert audit_predictions(y, given, sex.to_list()).attributes == ("group",)


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_predictions_may_be_a_dataframe(backend):
    y, groups, models, _ = population(1, n=300)
    sex = np.where(groups % 2, "F", "M")
    columns = {name: p.proba[:, 1] for name, p in models.items()}
    under = {"F": columns["decoupled"], "M": columns["onehot"]}
    expected = audit_predictions(y, columns, sex, misreports={"onehot": under})
    given, reports = (tables.from_columns(c, backend) for c in (columns, under))
    assert audit_predictions(y, given, sex, misreports={"onehot": reports}) == expected
    with pytest.raises(TypeError, match="predictions is a ndarray; pass a mapping of names"):
        audit_predictions(y, given.to_pandas().to_numpy() if backend == "polars" else y, sex)


@pytest.mark.parametrize(
    ("y", "guess", "message"),
    [
        (["a", "b"], ["a", None], r"predictions\['generic'\] is missing in 1 of 4"),
        (["a", "b"], ["a", pd.NA], r"predictions\['generic'\] is missing in 1 of 4"),
        (["a", pd.NA], ["a", "b"], "y is missing in 1 of 4"),
        (["a", 1], ["a", "a"], "y mixes labels of the types int, str"),
        (["a", "b"], ["a", 1], r"holds \[1\], which are not among the classes"),
    ],
)
def test_labels_that_have_no_order(y, guess, message):
    y, guess = (np.array([*values, "a", "a"], dtype=object) for values in (y, guess))
    with pytest.raises(ValueError, match=message):
        audit_predictions(y, {"generic": guess}, ["a", "b", "a", "b"])


def test_regression_and_multiclass():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    groups = np.repeat(["a", "b"], 100)
    given = {"generic": np.zeros(200), "own": 0.9 * y}
    audit = audit_predictions(y, given, groups, metrics="squared_error")
    assert [r.verdict for r in audit.rationality] == ["gain", "gain"]
    assert audit.rationality[0].gain == pytest.approx((y[:100] ** 2 * 0.99).mean())
    with pytest.raises(ValueError, match="mixes classification and regression"):
        audit_predictions(y, given, groups, metrics=("error", "squared_error"))
    k = rng.integers(0, 3, 200)
    proba = rng.dirichlet(np.ones(3), 200)
    multi = audit_predictions(
        k,
        {"generic": proba, "own": (proba + np.eye(3)[k]) / 2},
        groups,
        metrics=("error", "auc", "ece", "brier", "log_loss"),
    )
    assert {r.verdict for r in select(multi.rationality, metric="auc")} == {"gain"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictions": {"generic": np.full(4, 0.5), "x": np.full(3, 0.5)}}, "has 3 rows"),
        ({"predictions": {"generic": np.array([0, 1, 2, 0])}}, "not among the classes"),
        ({"predictions": {"generic": np.array([0.5, 1.5, 0, 0])}}, "not probabilities"),
        ({"predictions": {"generic": np.array([0.5, np.nan, 0, 0])}}, "not probabilities"),
        ({"predictions": {"generic": np.ones((4, 3)) / 3}}, r"or of all classes \(n, 2\)"),
        ({"predictions": {"other": np.full(4, 0.5)}}, "baseline='generic'"),
        ({"y": [0, 1, None, 1]}, "y is missing in 1 of 4"),
        ({"y": np.zeros((4, 2))}, "one value per row"),
        ({"groups": ["a", "b"]}, "groups has 2 rows"),
        ({"sample_weight": [1, 1, 1]}, "'sample_weight': 3"),
        ({"sample_weight": [1, 1, 1, -1]}, "sample_weight must be finite and not negative"),
        ({"baseline": ["generic"]}, r"baseline=\['generic'\] is not among the candidates"),
        ({"classes": 2}, r"classes has shape \(\)"),
        ({"classes": []}, r"classes has shape \(0,\)"),
        ({"misreports": [0, 1]}, "misreports is a list; pass a mapping of models"),
        ({"metrics": 1}, "metrics=1 is not allowed: pass a name such as 'error'"),
        ({"metrics": ()}, "metrics is empty"),
        ({"misreports": {"generic": {"c": [0, 1, 0, 1]}}}, r"its reports \['c'\] among"),
    ],
)
def test_bad_predictions(changes, message):
    given = {
        "y": [0, 1, 0, 1],
        "predictions": {"generic": np.full(4, 0.5)},
        "groups": ["a", "b", "a", "b"],
        **changes,
    }
    with pytest.raises((ValueError, TypeError), match=message):
        audit_predictions(**given)
