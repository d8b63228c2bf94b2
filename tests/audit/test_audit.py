"""The audit against direct computation and statsmodels, at its edges, and there and back."""

import json
import math

import numpy as np
import pytest
from audited import NAMES, SCHEMA, TABLES, audit_rows, full_audit, measure, population, select
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from fairuse_router.audit import Audit, Counts, build
from fairuse_router.groups import GroupSchema
from fairuse_router.inference import delong_moments, mcnemar, paired_t
from fairuse_router.metrics import Predictions, get_metric


def test_rationality_is_the_test_of_the_metric():
    audit, y, groups, models, _ = full_audit()
    a, b = models["generic"], models["onehot"]
    for g, name in enumerate(NAMES):
        r = groups == g
        wrong = [p.label[r] != y[r] for p in (a, b)]
        test = mcnemar(
            (wrong[0] & ~wrong[1]).sum(), (wrong[1] & ~wrong[0]).sum(), r.sum(), mid_p=True
        )
        (record,) = select(audit.rationality, metric="error", candidate="onehot", group=name)
        assert (record.gain, record.low, record.high) == pytest.approx(
            (test.gain, test.low, test.high)
        )
        assert (record.p_gain, record.p_violation) == pytest.approx((test.p_gain, test.p_violation))
        assert (record.n, record.test, record.other) == (r.sum(), "mid-p McNemar", "generic")
        gain, se = delong_moments(y[r], a.proba[r, 1], b.proba[r, 1], np.zeros(r.sum(), int), 1)
        (record,) = select(audit.rationality, metric="auc", candidate="onehot", group=name)
        assert record.gain == pytest.approx(gain[0])
        assert record.p_gain == pytest.approx(
            stats.t.sf(gain[0] / se[0], np.bincount(y[r]).min() - 1)
        )
        loss = [(p.proba[r, 1] - y[r]) ** 2 for p in (a, b)]
        (record,) = select(audit.rationality, metric="brier", candidate="onehot", group=name)
        assert record.p_gain == pytest.approx(paired_t(loss[0] - loss[1]).p_gain)
        assert record.test == "paired t"
        (risk,) = select(audit.risks, metric="auc", candidate="onehot", group=name)
        assert 1 - risk.risk == pytest.approx(roc_auc_score(y[r], b.proba[r, 1]))
    (whole,) = select(audit.risks, metric="error", candidate="onehot", group=None)
    member = groups >= 0
    assert whole.risk == pytest.approx((b.label != y)[member].mean())
    assert whole.n == member.sum() == audit.n


def test_envy_is_the_gain_of_truth_over_a_misreport():
    audit, y, groups, models, under = full_audit()
    own = models["onehot"]
    assert len(select(audit.envy_freeness, metric="error", candidate="onehot")) == 12
    assert not select(audit.envy_freeness, candidate="decoupled")
    for g in range(4):
        r = groups == g
        for h in range(4):
            if g == h:
                assert not select(audit.envy_freeness, group=NAMES[g], other=NAMES[h])
                continue
            (error,) = select(audit.envy_freeness, metric="error", group=NAMES[g], other=NAMES[h])
            wrong = [p.label[r] != y[r] for p in (under[h], own)]
            b, c = (wrong[0] & ~wrong[1]).sum(), (wrong[1] & ~wrong[0]).sum()
            assert error.p_gain == pytest.approx(mcnemar(b, c, r.sum(), mid_p=True).p_gain)
            (brier,) = select(audit.envy_freeness, metric="brier", group=NAMES[g], other=NAMES[h])
            loss = [(p.proba[r, 1] - y[r]) ** 2 for p in (under[h], own)]
            assert brier.gain == pytest.approx((loss[0] - loss[1]).mean())
            assert brier.p_violation == pytest.approx(paired_t(loss[0] - loss[1]).p_violation)
            (auc,) = select(audit.envy_freeness, metric="auc", group=NAMES[g], other=NAMES[h])
            areas = [roc_auc_score(y[r], p.proba[r, 1]) for p in (under[h], own)]
            assert auc.gain == pytest.approx(areas[1] - areas[0])


def test_one_family_both_directions():
    audit, *_ = full_audit()
    family = [
        *select(audit.rationality, metric="brier", candidate="onehot"),
        *select(audit.envy_freeness, metric="brier", candidate="onehot"),
    ]
    assert len(family) == 4 + 12
    p = [r.p_gain for r in family] + [r.p_violation for r in family]
    corrected = multipletests(p, method="holm")[1]
    for r, up, down in zip(family, corrected[:16], corrected[16:], strict=True):
        assert r.p_corrected == pytest.approx(min(up, down))
        expected = "gain" if up <= 0.1 else "violation" if down <= 0.1 else "undetermined"
        assert r.verdict == expected
        assert (r.rows_needed == 0) >= (expected != "undetermined")
    assert len({r.verdict for r in family}) == 3


def test_truthfulness_covers_every_other_report():
    audit, *_ = full_audit()
    records = select(audit.truthfulness, metric="error")
    pairs = {(r.group, r.other) for r in records}
    assert len(pairs) == len(records) == 4 * 6 - 4
    assert all(g != h for g, h in pairs)
    assert {r.candidate for r in records} == {"routed"}
    (summary,) = select(audit.summary(), metric="error", candidate="routed")
    counts = summary.envy_freeness
    assert counts.gains + counts.violations + counts.undetermined == 12


def test_summary_counts_what_could_be_tested():
    audit, *_ = full_audit()
    (record,) = select(audit.summary(), metric="error", candidate="decoupled")
    counts = record.rationality
    assert counts.gains + counts.violations + counts.undetermined == 3
    assert counts.untested == 1
    (absent,) = select(audit.rationality, metric="error", candidate="decoupled", group=NAMES[1])
    assert absent.verdict == "undetermined"
    assert (absent.n, absent.gain, absent.reason) == (0, None, "no model for this group")
    assert record.best_gain >= record.worst_gain
    assert record.worst_group in NAMES
    (base,) = select(audit.summary(), metric="error", candidate="generic")
    assert base.gain is base.rationality is base.best_gain is None


def test_folds_add_up():
    y, groups, models, predict = population(3)
    other = predict(0.4)
    metrics = [get_metric(k) for k in ("error", "log_loss", "auc")]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    for w in (None, weight):
        parts = []
        for f in range(4):
            r = np.arange(len(y)) % 4 == f
            own, fold = models["onehot"][r], other[r]
            parts.append(
                measure(
                    y[r],
                    own,
                    lambda h, fold=fold: fold,
                    groups[r],
                    4,
                    metrics,
                    weight=None if w is None else w[r],
                    columns=[0, 2],
                )
            )
        added = parts[0] + parts[1] + parts[2] + parts[3]
        whole = measure(
            y, models["onehot"], lambda h: other, groups, 4, metrics, weight=w, columns=[0, 2]
        )
        for name in ("error", "log_loss"):
            np.testing.assert_allclose(added.sums[name], whole.sums[name])
        one, all_rows = added.test("auc"), whole.test("auc")
        np.testing.assert_allclose(one.gain[:, 0], all_rows.gain[:, 0], atol=0.02)
        np.testing.assert_allclose(one.se[:, 0], all_rows.se[:, 0], rtol=0.25)
        assert np.isnan(whole.test("error").p_gain[:, 1]).all()
    with pytest.raises(ValueError, match="measure the same metrics"):
        added + measure(y, other, lambda h: other, groups, 4, metrics[:1])


def test_moments_agree_with_the_other_path_for_weights_and_clusters():
    y, groups, models, predict = population(5)
    other = predict(0.4)
    rng = np.random.default_rng(1)
    w, k = rng.uniform(0.5, 2, len(y)), rng.integers(0, 200, len(y))
    moments = measure(
        y,
        models["onehot"],
        lambda h: other,
        groups,
        4,
        [get_metric("error"), get_metric("brier"), get_metric("auc")],
        weight=w,
        clusters=k,
    )
    audit = audit_rows(
        y,
        {"generic": other, "onehot": models["onehot"]},
        groups,
        SCHEMA,
        metrics=("error", "brier", "auc"),
        weight=w,
        clusters=k,
    )
    for name in ("error", "brier", "auc"):
        test = moments.test(name)
        records = select(audit.rationality, metric=name)
        assert {r.test for r in records} == {"DeLong" if name == "auc" else "paired t"}
        assert test.p_gain[:, 0] == pytest.approx([r.p_gain for r in records])


def test_edges_are_undetermined():
    y = np.array([0, 0, 0, 0, 1, 0, 1, 1])
    groups = np.array([0, 0, 0, 0, 1, 2, 2, 2])  # one class; one row; two classes; empty
    half = Predictions.from_proba(np.full(8, 0.5))
    sure = Predictions.from_proba(np.array([0.0, 0, 0, 1, 1, 0, 1, 1]))
    metrics = ("error", "auc", "ece", "brier", "log_loss")
    audit = audit_rows(y, {"generic": half, "onehot": sure}, groups, SCHEMA, metrics=metrics)
    for r in audit.rationality:
        assert r.verdict == "undetermined"
        if r.group == NAMES[3]:
            assert (r.gain, r.p_gain, r.reason) == (None, None, "no rows")
    text = audit.to_json()
    assert "NaN" not in text
    assert Audit.from_json(text) == audit
    (auc,) = select(audit.rationality, metric="auc", group=NAMES[0])
    assert auc.reason == "fewer than two rows of a class"
    (log,) = select(audit.rationality, metric="log_loss", group=NAMES[0])
    assert (log.gain, log.p_violation, log.reason) == (-math.inf, None, "infinite loss")
    (risk,) = select(audit.risks, metric="log_loss", candidate="onehot", group=NAMES[0])
    assert risk.risk == math.inf
    same = audit_rows(y, {"generic": half, "onehot": half}, groups, SCHEMA, metrics=metrics)
    for r in same.rationality:
        assert r.verdict == "undetermined"
        assert r.p_gain in (None, 1.0)
        assert r.gain in (None, 0.0)
    assert "no row differs" in {r.reason for r in same.rationality}


def test_comparisons_without_difference_do_not_dilute():
    y, groups, models, _ = population(2)
    moved = np.where(groups == 0, models["decoupled"].label, models["generic"].label)
    audit = audit_rows(
        y, {"generic": models["generic"], "routed_": Predictions(moved)}, groups, SCHEMA
    )
    first = audit.rationality[0]
    assert first.p_corrected == pytest.approx(min(1, 2 * min(first.p_gain, first.p_violation)))


def test_weights_of_zero_and_no_group_do_not_exist():
    y, groups, models, _ = population(4)
    w = np.where(np.arange(len(y)) < 500, 1.0, 0.0)
    metrics = ("error", "auc", "brier", "ece")
    tests = {"error": "paired t"}
    one = audit_rows(y, models, groups, SCHEMA, metrics=metrics, weight=w, tests=tests)
    cut = {name: p[:500] for name, p in models.items()}
    two = audit_rows(y[:500], cut, groups[:500], SCHEMA, metrics=metrics, tests=tests)
    assert one.n == two.n
    for a, b in zip(one.rationality, two.rationality, strict=True):
        if a.metric != "ece":  # resampling numbers its rows
            assert a.p_gain == pytest.approx(b.p_gain)
        assert (a.n, a.gain) == pytest.approx((b.n, b.gain))


def test_tests_can_be_chosen():
    y, groups, models, _ = population(6)

    def audit(**tests):
        metrics = tuple(tests)
        return audit_rows(y, models, groups, SCHEMA, metrics=metrics, tests=tests).rationality

    for name in ("exact McNemar", "exact bootstrap", "paired t", "paired bootstrap"):
        assert {r.test for r in audit(error=name)} == {name}
    default = audit_rows(y, models, groups, SCHEMA, metrics=("auc",)).rationality
    for a, b in zip(audit(auc="paired bootstrap"), default, strict=True):
        assert a.gain == pytest.approx(b.gain)
        assert (a.low, a.high) == pytest.approx((b.low, b.high), abs=0.03)
    with pytest.raises(ValueError, match=r"Allowed: paired t, paired bootstrap"):
        audit(brier="DeLong")
    with pytest.raises(ValueError, match="with weights or clusters"):
        audit_rows(
            y, models, groups, SCHEMA, weight=np.ones(len(y)), tests={"error": "exact McNemar"}
        )

    def missed(y, p, w):
        return np.average((y == 1) & (p.label == 0), weights=w)

    own = audit_rows(y, models, groups, SCHEMA, metrics=[missed], n_resamples=50).rationality
    r = groups == 0
    rate = [((y == 1) & (models[k].label == 0))[r].mean() for k in ("generic", "onehot")]
    assert own[0].gain == pytest.approx(rate[0] - rate[1])
    assert (own[0].metric, own[0].test) == ("missed", "paired bootstrap")


@pytest.mark.parametrize("name", ["mid-p McNemar", "exact McNemar", "exact bootstrap", "paired t"])
def test_the_test_chosen_is_used_everywhere(name):
    audit, y, groups, models, under = full_audit(metrics="error", tests={"error": name})
    for table in TABLES:
        assert {r.test for r in getattr(audit, table)} == {name}
    for h in (0, 3):  # sums tell what the rows do
        pair = {"generic": under[h], "onehot": models["onehot"]}
        other = audit_rows(y, pair, groups, SCHEMA, metrics="error", tests={"error": name})
        for r in select(audit.envy_freeness, other=NAMES[h]):
            (same,) = select(other.rationality, group=r.group)
            assert (r.gain, r.p_gain, r.n) == pytest.approx((same.gain, same.p_gain, same.n))


@pytest.mark.parametrize("metric", ["error", "brier", "auc"])
def test_tests_that_sums_do_not_tell_are_refused(metric):
    given = {"metrics": metric, "tests": {metric: "paired bootstrap"}}
    with pytest.raises(ValueError, match=r"not possible for envy-freeness.*without misreports"):
        full_audit(**given)
    free, *_ = full_audit(**given, misreports=None, truthfulness=None, n_resamples=50)
    assert {r.test for r in free.rationality} == {"paired bootstrap"}


def test_reports_of_one_route_share_one_comparison(monkeypatch):
    calls = []
    original = build.compare
    monkeypatch.setattr(
        build, "compare", lambda *args, **kw: calls.append(1) or original(*args, **kw)
    )
    y, groups, models, predict = population(1)
    one, two = predict(0.6), predict(0.7)
    apart = {
        "?, ?": one,
        "F, ?": one,
        **dict.fromkeys(NAMES[:2], one),
        **dict.fromkeys(NAMES[2:], two),
    }
    settings = {"routed": models["onehot"], "metrics": "ece", "n_resamples": 50}

    def audited(under):
        calls.clear()
        return audit_rows(
            y, {"generic": models["generic"]}, groups, SCHEMA, truthfulness=under, **settings
        )

    shared = audited(apart).truthfulness
    assert len(calls) == 2 + 2  # routed over generic, by group and on the whole
    copies = {name: p[:] for name, p in apart.items()}
    assert audited(copies).truthfulness == shared
    assert len(calls) == 2 + 6


def test_view_fits_80_columns_and_round_trips():
    audit, *_ = full_audit()
    text = str(audit)
    assert max(map(len, text.splitlines())) <= 80
    for expected in ("held-out rows", "sex, age", "AUC (higher is better)", "routed, by group"):
        assert expected in text
    again = Audit.from_json(audit.to_json(indent=1))
    assert again == audit
    assert str(again) == text
    keys = list(json.loads(audit.to_json()))
    assert keys == sorted(keys)
    with pytest.raises(ValueError, match="written by another version"):
        Audit.from_dict({"n": 3})
    assert str(Counts(1, 2, 3)) == "1/2/3"


def test_view_of_many_groups_and_violations():
    rng = np.random.default_rng(0)
    schema = GroupSchema(
        ("a" * 40, "b"), (0, 1), (tuple(f"level {i} of many" for i in range(8)), tuple("uvwxyz"))
    )
    groups = np.repeat(np.arange(48), 100)
    y = rng.integers(0, 2, len(groups))
    good, bad = Predictions(y), Predictions(np.where(rng.random(len(y)) < 0.4, 1 - y, y))
    moments = measure(y, bad, lambda h: good, groups, 48, [get_metric("error")])
    audit = audit_rows(
        y,
        {"generic": good, "a rather long name of a candidate": bad},
        groups,
        schema,
        misreports={"a rather long name of a candidate": moments},
    )
    text = str(audit)
    assert max(map(len, text.splitlines())) <= 80
    assert "... and 28 groups that gain more" in text
    assert "2256 of 2256 break envy-freeness" in text
    assert "0/48/0" in text
    assert {r.verdict for r in audit.envy_freeness} == {"violation"}


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_frames(backend):
    audit, *_ = full_audit()
    total = sum(len(getattr(audit, kind)) for kind in TABLES)
    assert audit.to_frame(backend).shape[0] == total
    assert audit.to_frame(backend, "risks").shape[0] == len(audit.risks) == 4 * 4 * 5
    assert audit.to_frame(backend, table="summary").shape[0] == 16
    with pytest.raises(ValueError, match="give one of 'gains'"):
        audit.to_frame(backend, table="all")
    with pytest.raises(ValueError, match="backend"):
        audit.to_frame("excel")


def test_bad_arguments():
    y, groups, models, _ = population(1)
    with pytest.raises(ValueError, match=r"baseline='plain' is not among"):
        audit_rows(y, models, groups, SCHEMA, baseline="plain")
    with pytest.raises(ValueError, match="'groups': 799"):
        audit_rows(y, models, groups[1:], SCHEMA)
    with pytest.raises(ValueError, match="finite and not negative"):
        audit_rows(y, models, groups, SCHEMA, weight=-np.ones(len(y)))
    with pytest.raises(ValueError, match="4 groups"):
        audit_rows(y, models, groups + 1, SCHEMA)
    with pytest.raises(ValueError, match="correction='sidak'"):
        audit_rows(y, models, groups, SCHEMA, correction="sidak")
    broken = Predictions.from_proba(np.full(len(y), np.nan))
    for name in ("brier", "auc", "ece", "log_loss"):
        with pytest.raises(ValueError, match="predictions of 'x' hold NaN in"):
            audit_rows(y, {**models, "x": broken}, groups, SCHEMA, metrics=[name])
        if name != "ece":
            with pytest.raises(ValueError, match=f"metric='{name}'.*NaN"):
                measure(y, models["onehot"], lambda h: broken, groups, 4, [get_metric(name)])


def test_unscored_rows_are_nobodys_evidence():
    y, groups, models, _ = population(9)
    some = np.arange(len(y)) % 3 > 0
    audit = audit_rows(y, models, groups, SCHEMA, scored={"generic": some})
    (record,) = select(audit.rationality, candidate="onehot", group=NAMES[0])
    assert record.n == ((groups == 0) & some).sum()


@pytest.mark.slow
def test_corrected_verdicts_keep_the_family_wise_error():
    # 6 groups, 36 tests, exchangeable models: any verdict at all is wrong
    schema = GroupSchema(("g",), (0,), (tuple("abcdef"),))
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 80)
    wrong = {"error": 0, "brier": 0, "auc": 0}
    metrics = [get_metric(k) for k in wrong]
    reps = 200
    for _ in range(reps):
        z = rng.normal(0, 1.2, len(groups))
        y = (rng.random(len(groups)) < 1 / (1 + np.exp(-z))).astype(int)
        noisy = [
            Predictions.from_proba(1 / (1 + np.exp(-z - rng.normal(size=len(z))))) for _ in range(8)
        ]
        moments = measure(y, noisy[1], lambda h, p=noisy: p[2 + h], groups, 6, metrics)
        audit = audit_rows(
            y,
            {"generic": noisy[0], "onehot": noisy[1]},
            groups,
            schema,
            metrics=metrics,
            misreports={"onehot": moments},
        )
        for name in wrong:
            family = select((*audit.rationality, *audit.envy_freeness), metric=name)
            assert len(family) == 36
            wrong[name] += any(r.verdict != "undetermined" for r in family)
    for name, count in wrong.items():
        assert count / reps <= 0.1 + 3 * np.sqrt(0.09 / reps), name
