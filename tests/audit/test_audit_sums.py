"""AuditSums: any partition of the rows adds up to the audit of all of them."""

import json
import math
from dataclasses import astuple, replace
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import polars as pl
import pytest
from audited import audit_rows as audit_parts
from audited import select
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import stats

from fairuse_router.audit import AuditSums, audit_predictions, audit_sums
from fairuse_router.audit.lazy import _pack, _unpack
from fairuse_router.audit.parts import _Counter
from fairuse_router.groups import GroupSchema
from fairuse_router.inference.auc import auc_parts
from fairuse_router.inference.binned_auc import binned_areas, binned_delong
from fairuse_router.inference.cells import Cells, depth, place, squares
from fairuse_router.inference.compare import Rows
from fairuse_router.inference.counts import Counts, add_scores
from fairuse_router.metrics import Predictions

EXACT = ("error", "brier", "log_loss", "fnr", "net_benefit@0.3", "cost(5,1)")
NAMES = {"generic": "p0", "own": "p1"}
GROUPS = ["sex", "age"]


def scores(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "sex": rng.choice(["F", "M", "?"], n, p=[0.5, 0.45, 0.05]),
            "age": rng.choice([1, 2, 10], n),
            "y": (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int),
            "w": rng.choice([0.0, 0.5, 1.0, 3.0], n),
            "who": rng.integers(0, n // 5, n),
        }
    )
    for name, noise in (("p0", 1.2), ("p1", 0.6), ("pF", 0.9), ("pM", 0.8)):
        frame[name] = 1 / (1 + np.exp(-z - rng.normal(0, noise, n)))
    return frame


def sums_of(frame, **more):
    return audit_sums(frame, y="y", predictions=NAMES, groups=GROUPS, classes=[0, 1], **more)


def in_memory(frame, metrics, weight=None, clusters=None, **more):
    return audit_predictions(
        frame.y,
        {name: frame[column] for name, column in NAMES.items()},
        frame[GROUPS],
        None if weight is None else frame[weight],
        clusters=None if clusters is None else frame[clusters],
        metrics=metrics,
        **more,
    )


def assert_same(found, wanted, tolerance=1e-9):
    """Two audits, number by number."""
    assert (found.groups, found.n, found.n_partial) == (wanted.groups, wanted.n, wanted.n_partial)
    for kind in ("risks", "overall", "rationality", "envy_freeness", "truthfulness"):
        ours, theirs = getattr(found, kind), getattr(wanted, kind)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            for name in one.__dataclass_fields__:
                a, b = getattr(one, name), getattr(other, name)
                if isinstance(a, float) and isinstance(b, float):
                    assert a == pytest.approx(b, rel=tolerance, abs=tolerance), (one, other, name)
                elif name != "rows_needed":  # whole rows: rounding may take the next
                    assert a == b, (one, other, name)


@settings(max_examples=20, deadline=None, phases=(Phase.generate,))
@given(
    seed=st.integers(0, 1000),
    parts=st.integers(1, 5),
    weight=st.sampled_from([None, "w"]),
    clusters=st.sampled_from([None, "who"]),
)
def test_any_partition_adds_up_to_the_audit_of_all_rows(seed, parts, weight, clusters):
    frame = scores(400, seed)
    of = (frame.who if clusters else pd.Series(np.arange(400))) * 7919 % parts
    some = [part for p in range(parts) if ((part := frame[of == p]).sex != "?").any()]
    # the first site lacks a level
    if not clusters and len(some) > 1 and (some[0].sex == "F").any():
        some = [some[0][some[0].sex != "M"], some[0][some[0].sex == "M"], *some[1:]]
        some = [part for part in some if (part.sex != "?").any()]
    metrics = (*EXACT, "auc", "ece")
    beside = {"sample_weight": weight, "clusters": clusters}
    total = reduce(add, [sums_of(part, metrics=metrics, **beside) for part in some])
    found, wanted = total.audit(), in_memory(frame, metrics, weight, clusters)
    for metric in EXACT:
        assert_same(*(only(audit, metric) for audit in (found, wanted)))
    bracket = total.brackets()["own"]
    for record, half in zip(select(found.rationality, metric="auc"), bracket, strict=True):
        (exact,) = select(wanted.rationality, metric="auc", group=record.group)
        if exact.gain is None:
            assert record.gain is None
        else:
            assert abs(record.gain - exact.gain) <= half + 1e-12
    for record, exact in zip(
        select(found.risks, metric="ece"), select(wanted.risks, metric="ece"), strict=True
    ):
        assert record.risk == pytest.approx(exact.risk, abs=1e-12, nan_ok=True)


def only(audit, metric):
    """An audit of one of its metrics."""
    kinds = ("risks", "overall", "rationality", "envy_freeness", "truthfulness")
    return replace(audit, **{k: tuple(select(getattr(audit, k), metric=metric)) for k in kinds})


@pytest.mark.parametrize("weight", [None, "w"])
def test_auc_is_that_of_the_rows_within_a_tenth_of_a_standard_error(weight):
    frame = scores(6000)
    sums = sums_of(frame, metrics=("auc",), sample_weight=weight)
    found, wanted = sums.audit(), in_memory(frame, ("auc",), weight)
    half = sums.brackets()["own"]
    z = stats.norm.ppf(0.95)
    for ours, theirs, own in zip(found.rationality, wanted.rationality, half, strict=True):
        se = (theirs.high - theirs.low) / (2 * z)
        assert own <= 0.1 * se
        assert abs(ours.gain - theirs.gain) <= own
        assert ours.low <= theirs.low + 0.02 * se
        assert ours.high >= theirs.high - 0.02 * se
        assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.05)
        assert ours.p_gain == pytest.approx(theirs.p_gain, abs=0.02)
        assert ours.verdict == theirs.verdict
    for ours, theirs in zip(found.risks, wanted.risks, strict=True):
        assert ours.risk == pytest.approx(theirs.risk, abs=1e-4)


def test_verdicts_on_auc_do_not_rest_on_rounding():
    frame = scores(20_000)
    fine, coarse = (sums_of(frame, metrics=("auc",), bins=bins) for bins in (1 << 16, 128))
    for exact, rounded, half in zip(
        fine.audit().rationality,
        coarse.audit().rationality,
        coarse.brackets()["own"],
        strict=True,
    ):
        assert rounded.low <= exact.low + 1e-3
        assert rounded.high >= exact.high - 1e-3
        assert rounded.p_gain >= exact.p_gain - 1e-6
        assert half > 1e-3


def test_rounded_areas_against_every_pair():
    rng = np.random.default_rng(0)
    p, y = rng.random(300), rng.integers(0, 2, 300)
    counts = np.column_stack([y == 0, y == 1]).astype(float)
    cells = Cells.of(1, np.zeros(300, int), 32 + place(p, 32), counts)
    k = place(p, 32)
    pairs = k[y == 1][:, None] - k[y == 0][None]
    found = binned_areas(cells, 1)
    assert found.area[0] == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2)
    assert found.half[0] == pytest.approx((pairs == 0).mean() / 2)
    exact = (p[y == 1][:, None] > p[y == 0][None]).mean()
    assert abs(exact - found.area[0]) <= found.half[0]


def test_the_standard_error_is_delongs_of_rounded_scores():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 500)
    a, b = rng.beta(1 + y, 2), rng.beta(1 + y, 1.5)
    one, counts = np.zeros(500, int), np.column_stack([y == 0, y == 1]).astype(float)
    k, q = place(a, 128), place(b, 128)
    cells = [Cells.of(1, one, 128 + x, counts) for x in (k, q)]
    found = binned_delong(*cells, Cells.of(2, one, squares(k, q, 7), counts), np.array([500]))
    parts = [auc_parts(y, x.astype(float), one, 1) for x in (k, q)]
    assert found.gain[0] == pytest.approx(float(parts[1].area[0] - parts[0].area[0]))
    moved = parts[1].influence - parts[0].influence
    assert found.se[0] == pytest.approx(math.sqrt((moved**2).sum()))


@pytest.mark.parametrize("axes", [1, 2])
def test_cells_of_any_size_add_up_in_any_order(axes):
    rng = np.random.default_rng(axes)

    def some(cuts):
        size = 1 << axes * cuts
        node = size + rng.integers(0, size, 40)
        return Cells.of(axes, rng.integers(0, 3, 40), node, np.ones((40, 2)))

    parts = [some(2), some(5), some(3), some(5).coarser(3, 2)]
    first, last = reduce(add, parts), reduce(add, parts[::-1])
    assert np.array_equal(first.packed(), last.packed())
    assert first.mass.sum() == sum(part.mass.sum() for part in parts)
    for g in range(3):  # none lies within another
        node = first.node[first.group == g]
        level = depth(node, axes)
        for k, d in zip(node, level, strict=True):
            assert ((node >> axes * np.maximum(level - d, 0)) == k).sum() == 1


def test_merged_cells_hold_enough_rows_of_either_class():
    frame = scores(3000)
    text = sums_of(frame, metrics=("auc", "ece"), bins=1024).to_json(min_cell=5)
    told = AuditSums.from_json(text)
    for name, values in told.parts.items():
        if name.startswith(("score", "joint")):
            counts = values[:, 2:4]
            assert len(values) > 10
            assert not ((counts > 0) & (counts < 5)).any()
    exact = in_memory(frame, ("auc",))
    half = told.brackets()["own"]
    assert 1e-3 < half.max() < 0.2
    for record, theirs, own in zip(
        select(told.audit().rationality, metric="auc"), exact.rationality, half, strict=True
    ):
        assert abs(record.gain - theirs.gain) <= own


def test_nothing_is_told_of_small_groups():
    frame = scores(500)
    small = frame[(frame.sex == "F") & (frame.age == 1)].head(3)
    rest = frame[~((frame.sex == "F") & (frame.age == 1))]
    sums = sums_of(pd.concat([small, rest]), metrics=("error", "auc"))
    told = AuditSums.from_json(sums.to_json())
    hidden = [g for g, n in zip(told.schema.group_names(), told.parts["n"], strict=True) if not n]
    assert "F, 1" in hidden
    assert len(hidden) == 2  # the next smallest, too: totals would give the one away
    assert AuditSums.from_json(sums.to_json(min_cell=0)).audit() == sums.audit()
    whole = sums_of(pd.concat([small, rest]), metrics=("error",))
    assert (told + sums).audit().n == told.audit().n + whole.audit().n


def test_envy_and_truthfulness_add_up():
    frame = scores(1500)
    under = {"F": "pF", "M": "pM"}
    names = {**NAMES, "routed": "p1"}

    def sums(part):
        return audit_sums(
            part,
            y="y",
            predictions=names,
            groups="sex",
            metrics=("error", "brier", "auc"),
            misreports={"own": under, "routed": {"?": "p0", **under}},
        )

    found = (sums(frame[:700]) + sums(frame[700:])).audit()
    schema = GroupSchema.from_table(frame[["sex"]], ["sex"])
    groups = schema.group_ids(schema.encode(frame[["sex"]]))
    read = {name: Predictions.from_proba(frame[c].to_numpy()) for name, c in names.items()}
    asked = {
        h: Predictions.from_proba(frame[c].to_numpy()) for h, c in {"?": "p0", **under}.items()
    }
    rows = {
        "y": frame.y.to_numpy(),
        "models": {k: v for k, v in read.items() if k != "routed"},
        "groups": groups,
        "schema": schema,
        "metrics": ["error", "brier"],
        "routed": read["routed"],
        "truthfulness": asked,
    }
    wanted = audit_parts(**rows)
    envy = in_memory(frame.assign(age=1), ("error", "brier", "auc"), misreports=None)
    assert envy.envy_freeness == ()
    memory = audit_predictions(
        frame.y,
        {name: frame[c] for name, c in NAMES.items()},
        frame.sex,
        metrics=("error", "brier", "auc"),
        misreports={"own": {h: frame[c] for h, c in under.items()}},
    )
    for metric in ("error", "brier"):
        assert_same(only(found, metric), only(with_envy(wanted, memory), metric))
    for ours, theirs in zip(
        select(found.envy_freeness, metric="auc"),
        select(memory.envy_freeness, metric="auc"),
        strict=True,
    ):
        assert ours.gain == pytest.approx(theirs.gain, abs=1e-3)
        assert ours.p_gain == pytest.approx(theirs.p_gain, abs=0.02)


def with_envy(audit, other):
    """An audit with the comparisons of another that was asked for envy."""
    kept = [r for r in audit.rationality if r.candidate != "own"]
    own = [r for r in other.rationality if r.candidate == "own"]
    order = {metric: i for i, metric in enumerate(("error", "brier", "auc"))}
    both = sorted((*own, *kept), key=lambda r: order[r.metric])
    return replace(audit, rationality=tuple(both), envy_freeness=other.envy_freeness)


def test_regressions_labels_and_all_classes():
    rng = np.random.default_rng(3)
    n = 900
    frame = pl.DataFrame(
        {
            "g": rng.choice(["a", "b"], n),
            "z": rng.normal(size=n),
            "kind": rng.choice(["x", "y", "z"], n),
        }
    )
    proba = rng.dirichlet([1, 1, 1], n)
    frame = frame.with_columns(
        near=frame["z"] + rng.normal(0, 0.3, n),
        far=frame["z"] + rng.normal(0, 0.6, n),
        guess=pl.Series(rng.choice(["x", "y", "z"], n)),
        **{f"q{k}": proba[:, k] for k in range(3)},
    )
    numbers = {"generic": "far", "own": "near"}
    metrics = ("squared_error", "absolute_error")
    found = audit_predictions("z", numbers, ["g"], metrics=metrics, frame=frame.lazy())
    wanted = audit_predictions(
        frame["z"], {k: frame[v] for k, v in numbers.items()}, frame[["g"]], metrics=metrics
    )
    assert_same(found, wanted)
    columns = {"generic": ["q0", "q1", "q2"], "own": "guess"}
    found = audit_predictions("kind", columns, ["g"], frame=frame)
    wanted = audit_predictions(
        frame["kind"], {"generic": proba, "own": frame["guess"]}, frame[["g"]]
    )
    assert_same(found, wanted)
    with pytest.raises(ValueError, match="two classes only"):
        audit_sums(frame, y="kind", predictions=columns, groups="g", metrics="auc")


def test_what_does_not_add_up_is_refused():
    frame = scores(300)
    sums = sums_of(frame)
    with pytest.raises(ValueError, match="differ in metrics"):
        sums + sums_of(frame, metrics=("brier",))
    whole = sums_of(frame, clusters="who")
    with pytest.raises(ValueError, match=r"\d+ clusters have rows in both parts"):
        whole + sums_of(frame[:50], clusters="who")
    with pytest.raises(ValueError, match="other group attributes"):
        sums + audit_sums(frame, y="y", predictions=NAMES, groups=["sex"], classes=[0, 1])
    with pytest.raises(TypeError):
        sums + 1
    with pytest.raises(ValueError, match=r"paired bootstrap.*not possible with sums"):
        sums.audit(tests={"error": "paired bootstrap"})
    with pytest.raises(ValueError, match="do not add up"):
        sums_of(frame, metrics=[lambda y, p, w: 0.5])
    with pytest.raises(ValueError, match="which alone is rounded"):
        sums.brackets()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"y": None}, "y is missing"),
        ({"p1": np.nan}, "'own' hold NaN in 1 rows"),
        ({"p1": 1.5}, "no probabilities"),
        ({"w": -1.0}, "not negative"),
        ({"w": np.nan}, "not negative"),
    ],
)
def test_rows_that_cannot_be_judged_are_refused(change, match):
    frame = scores(100).astype({"y": float})
    for name, value in change.items():
        frame.loc[frame.index[3], name] = value
    with pytest.raises(ValueError, match=match):
        sums_of(frame[frame.sex != "?"], sample_weight="w" if "w" in change else None)


def test_columns_and_arguments_are_named_in_messages():
    frame = scores(100)
    with pytest.raises(ValueError, match=r"predictions\['own'\]: 'q' is not a column"):
        audit_sums(frame, y="y", predictions={"generic": "p0", "own": "q"}, groups="sex")
    with pytest.raises(ValueError, match="baseline='generic' is not among"):
        audit_sums(frame, y="y", predictions={"own": "p1"}, groups="sex")
    with pytest.raises(ValueError, match="bins=100 is not allowed"):
        sums_of(frame, bins=100)
    with pytest.raises(ValueError, match="no rows"):
        audit_sums(frame[:0], y="y", predictions=NAMES, groups="sex")
    with pytest.raises(TypeError, match="frame is a list"):
        audit_sums([1, 2], y="y", predictions=NAMES, groups="sex")
    with pytest.raises(ValueError, match=r"names the reports \['X'\]"):
        audit_sums(frame, y="y", predictions=NAMES, groups="sex", misreports={"own": {"X": "p0"}})


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("parts"),
        lambda d: d["parts"].pop("n"),
        lambda d: d["parts"].update(n=[1, 2]),
        lambda d: d.update(format=99),
        lambda d: d.update(metrics=["nonsense"]),
        lambda d: d["parts"].update({"score\town": [[99, 200, 1, 1]]}),
    ],
)
def test_damaged_sums_are_refused(damage):
    data = json.loads(sums_of(scores(300), metrics=("error", "auc"), bins=128).to_json())
    damage(data)
    with pytest.raises(ValueError, match=r"sums of an audit|format|not known"):
        AuditSums.from_json(json.dumps(data))


def test_counts_of_every_step_are_cells_of_which_none_is_left_out():
    rng = np.random.default_rng(0)
    every = rng.poisson(0.4, (3, 2, 64)).astype(np.uint32)
    every[2, 1] = 0  # a group without rows of a class
    cells, counts = Cells.unpacked(1, every), Counts(every)
    assert cells.mass.sum() == every.sum()
    for a, b, m in ((cells, counts, 3), (cells.together(), counts.together(), 1)):
        for one, other in zip(
            astuple(binned_areas(a, m)), astuple(binned_areas(b, m)), strict=True
        ):
            assert np.array_equal(one, other, equal_nan=True)
    node = rng.integers(64, 256, 40)
    joint = Cells.of(2, rng.integers(0, 3, 40), node, rng.integers(0, 9, (40, 2)).astype(float))
    n = every.sum(axis=(1, 2)).astype(int)
    of_cells, of_counts = (binned_delong(x, x, joint, n) for x in (cells, counts))
    assert np.array_equal(of_cells.se, of_counts.se, equal_nan=True)
    packed = cells.packed()
    for both in ((every, packed), (packed, every), (every, every), (packed, packed)):
        total = Cells.unpacked(1, add_scores(1, *both))
        assert np.array_equal(total.packed(), (cells + cells).packed())
    coarse = cells.coarser(4, 2)
    total = add_scores(1, every, coarse.packed())
    assert np.array_equal(total, (cells + coarse).packed())


def test_counts_do_not_run_over():
    full = np.full((1, 2, 128), 2**32 - 2, dtype=np.uint32)
    assert add_scores(1, full, full).max() == 2.0**33 - 4
    counter = _Counter(1, 128, 1, weighted=False)
    counter.every[:] = counter.rows = 2**32 - 2
    rows = Rows(np.zeros(3, np.int8), np.zeros(3, int), 1)
    counter.add(rows, np.zeros(3, np.int32))
    assert counter.packed()[0, 0, 0] == 2.0**32 + 1


@pytest.mark.parametrize("most", [3, 300, 70_000, 2**32 - 1])
def test_counts_of_workers_travel_narrow_and_arrive_whole(most):
    parts = {"score\tgeneric": np.array([[[0, most], [1, 0]]], np.uint32), "n": np.array([3.5])}
    found = _unpack(_pack(parts))
    for name, values in parts.items():
        assert found[name].dtype == values.dtype
        assert np.array_equal(found[name], values)
