"""Routes on the lattice of reports: the rule against a slow one, and what it must never do."""

from dataclasses import replace

import numpy as np
import pytest
from lattices import population, weighed
from scipy.special import expit
from scipy.stats import norm

from fairuse_router.inference import SLOPES, STRENGTHS, slope_posterior
from fairuse_router.routing.policies.rules import choose, choose_reports

PRICE = 2.0


def gains(metric, z0, full, strength, p):
    """Mean gain of a strength at every slope (33,), and its reach; p (33, n) is what is true."""
    z = z0 + strength * (full - z0)
    if metric == "error":
        moved = (z > 0).astype(float) - (z0 > 0)
        return (moved * (2 * p - 1)).mean(axis=1), 2 * np.abs(moved).mean()
    saved = np.logaddexp(0, z0) - np.logaddexp(0, z)
    return (saved - p * (z0 - z)).mean(axis=1), np.abs(z - z0).mean()


def losses(metric, y, z):
    return (y != (z > 0)).astype(float) if metric == "error" else np.logaddexp(0, z) - y * z


def weigh(metric, y, z0, full, cells, n, strengths):
    """E in points of everybody, H, and whether labels speak against it: by loops, (cells, L)."""
    log_lik, gain, reach = [], [], []
    for rows in cells:
        p = expit(z0[rows] + SLOPES[:, None] * (full - z0)[rows])
        log_lik.append((y[rows] * np.log(p) + (1 - y[rows]) * np.log1p(-p)).sum(axis=1))
        found = [gains(metric, z0[rows], full[rows], s, p) for s in strengths]
        gain.append([g for g, _ in found])
        reach.append([r for _, r in found])
    pool = slope_posterior(np.array(log_lik))
    sceptic = slope_posterior(np.array(log_lik), highest_mean=0.2)
    worth, harm = np.zeros((2, len(cells), len(strengths)))
    against = np.zeros(worth.shape, dtype=bool)
    for c, rows in enumerate(cells):
        for i, s in enumerate(strengths):
            expected = pool[c] @ gain[c][i]
            counted = min(expected, 0) if expected < 0.001 else expected
            worth[c, i] = 100 * len(rows) / n * counted
            blur = max((0.02 + 0.3 / np.sqrt(len(rows))) * reach[c][i], 1e-300)
            harm[c, i] = sceptic[c] @ norm.cdf((-0.002 - gain[c][i]) / blur)
            z = z0 + s * (full - z0)
            shown = losses(metric, y[rows], z0[rows]) - losses(metric, y[rows], z[rows])
            against[c, i] = shown.mean() < -0.5 * shown.std() / np.sqrt(len(rows))
    return worth, harm, against


def slow_rule(evidence, metric):
    """The rule as its page says it, report by report: route of each as weights of corrections."""
    lattice, codes, y = evidence.reports.lattice, evidence.reports.codes, evidence.rows.y
    told, n = evidence.told, len(evidence.rows.y)
    small = PRICE * min(1, 12 / evidence.rows.m)  # of keeping a coarser route, with few rows
    schema, grid = lattice.schema, lattice.schema.report_codes
    below = [np.flatnonzero(((codes == r) | (r == 0)).all(axis=1)) for r in grid]
    layer_of = {tuple(sorted(layer.cells.told)): j for j, layer in enumerate(lattice.layers)}
    told_by = [tuple(np.flatnonzero(r).tolist()) for r in grid]
    mixes = {0: np.zeros(len(lattice.layers))}

    def margin(r):
        z = told[:, 0].copy()
        for j in np.flatnonzero(mixes[r]):
            z += mixes[r][j] * (told[:, 1 + j] - told[:, 0])
        return z

    for told_here, j in sorted(layer_of.items(), key=lambda item: (len(item[0]), item[0])):
        reports = [r for r in range(len(grid)) if told_by[r] == told_here]
        # 1. the base: judged on the report's own rows, the prior shared by the reports of a layer
        value = {}
        for coarse in layer_of:
            if not set(coarse) < set(told_here):
                continue
            mask = np.isin(np.arange(len(schema.levels)), coarse)
            above = {r: int(schema.report_ids((grid[r] * mask)[None])[0]) for r in reports}
            live = [r for r in reports if mixes[above[r]].any()]
            if live:
                full = told[:, 0].copy()
                for r in live:
                    full[below[r]] = margin(above[r])[below[r]]
                dead = [np.zeros(0, dtype=int)] * (len(reports) - len(live))
                cells = [below[r] for r in live] + dead
                worth, harm, against = weigh(
                    metric, y, told[:, 0], full, cells[: len(live)], n, [1.0]
                )
                for c, r in enumerate(live):
                    if not against[c, 0]:
                        v = worth[c, 0] - (small if len(below[r]) < 60 else PRICE) * harm[c, 0]
                        value.setdefault(r, []).append((v, above[r]))
        base = {r: max(value.get(r, [(0.0, 0)]), key=lambda pair: pair[0]) for r in reports}
        base = {r: q if v > 0 else 0 for r, (v, q) in base.items()}
        # 2. its own, on top of that
        start = told[:, 0].copy()
        for r in reports:
            start[below[r]] = margin(base[r])[below[r]]
        full = told[:, 1 + j]
        large = [r for r in reports if len(below[r]) >= 10]
        worth, harm, against = weigh(
            metric, y, start, full, [below[r] for r in large], n, STRENGTHS
        )
        groups = [g for g in range(len(grid)) if grid[g].all() and len(below[g]) >= 10]
        *_, worst, _ = weigh(metric, y, start, full, [below[g] for g in groups], n, STRENGTHS)
        for r in reports:
            mixes[r] = mixes[base[r]].copy()
        for c, r in enumerate(large):
            own = harm[c].copy()
            if not grid[r].all():
                for i, g in enumerate(groups):
                    if ((grid[g] == grid[r]) | (grid[r] == 0)).all():
                        own = np.maximum(own, worst[i])
            v = np.where(against[c], -np.inf, worth[c] - PRICE * own)
            if v.max() > 0:
                mixes[r] = (1 - STRENGTHS[v.argmax()]) * mixes[base[r]]
                mixes[r][j] += STRENGTHS[v.argmax()]
    return mixes


@pytest.mark.parametrize(
    ("metric", "sizes", "n", "seed"),
    [
        ("error", (2, 3), 700, 0),
        ("log_loss", (2, 2, 2), 900, 1),
        ("error", (2, 2, 3), 1200, 2),
        ("error", (2, 3, 3), 700, 4),
    ],
)
def test_the_rule_is_the_one_on_its_page(metric, sizes, n, seed):
    data, schema = population(n, sizes, seed=seed, withhold=0.1)
    evidence, _ = weighed(data, schema, metric)
    groups, partial = choose_reports(evidence)
    full = evidence.reports.lattice.full.cells.reports.tolist()
    found = partial | dict(zip(full, groups, strict=True))
    slow = slow_rule(evidence, metric)
    routed = 0
    for report, choice in found.items():
        mix = np.array(choice.mix or np.zeros(len(slow[report])))
        np.testing.assert_allclose(
            mix, slow[report], err_msg=schema.report_name(schema.report_codes[report])
        )
        routed += mix.any()
    assert routed > 3
    assert any(found[r].mix for r in partial)
    assert any(choice.base is not None for choice in found.values())


def chosen_by(evidence):
    groups, partial = choose_reports(evidence)
    return [(c.candidate, c.strength, c.base, c.own) for c in (*groups, *partial.values())]


def test_clusters_of_one_row_and_equal_weights_change_nothing():
    # clusters are judged row by row, without them rows are summed up report by report
    data, schema = population(700, (2, 3), withhold=0.1)
    evidence, _ = weighed(data, schema)
    alone = replace(evidence, rows=replace(evidence.rows, clusters=np.arange(700)))
    assert chosen_by(alone) == chosen_by(evidence)
    heavy = replace(evidence, rows=replace(evidence.rows, weight=np.full(700, 3.0)))
    assert chosen_by(heavy) == chosen_by(evidence)


@pytest.mark.parametrize("metric", ["auc", "ece", "brier"])
def test_every_metric_has_a_lattice(metric):
    data, schema = population(700, (2, 3), seed=3)
    evidence, _ = weighed(data, schema, metric)
    groups, partial = choose_reports(evidence)
    assert any(c.candidate == "multilevel" for c in groups)
    assert len(partial) == 5
    assert all(len(c.reason) > 10 for c in (*groups, *partial.values()))


def test_without_any_effect_nobody_is_routed():
    data, schema = population(900, (2, 2, 2), effect=0.0)
    evidence, _ = weighed(data, schema)
    groups, partial = choose_reports(evidence)
    assert {c.candidate for c in (*groups, *partial.values())} == {"generic"}


def test_small_groups_keep_what_coarser_reports_have():
    # 24 groups of some 20 rows: half of them could never pay for themselves
    data, schema = population(480, (2, 3, 4), effect=2.5, seed=1)
    evidence, _ = weighed(data, schema)
    groups, _ = choose_reports(evidence)
    alone = choose("priced", replace(evidence, reports=None))
    kept = [g for g, c in enumerate(groups) if c.candidate != "generic" and not c.own]
    assert len(kept) > 3
    assert sum(c.candidate != "generic" for c in groups) > sum(
        c.candidate != "generic" for c in alone
    )
    assert any(data.group_sizes[g] < 15 for g in kept)
