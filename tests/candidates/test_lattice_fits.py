"""The lattice of reports: which reports have corrections, and what they were fitted to."""

from dataclasses import replace

import numpy as np
import pytest
from lattices import LOGISTIC, population, weighed

from fairuse_router import GroupSchema
from fairuse_router.candidates.lattice import MOST_REPORTS, Lattice, why_no_lattice
from fairuse_router.candidates.multilevel import fit_multilevel
from fairuse_router.candidates.recipes import fit_candidate, make_recipes, why_not_partial


def binary(k):
    return GroupSchema(tuple("abcdefgh"[:k]), tuple(range(k)), (("0", "1"),) * k)


@pytest.mark.parametrize(("k", "fitted"), [(1, 1), (2, 3), (5, 31), (6, 22), (7, 29)])
def test_every_subset_is_fitted_up_to_31_and_pairs_beyond(k, fitted):
    lattice = Lattice.of(binary(k))
    assert len(lattice.fitted) == fitted
    assert len(lattice.layers) == 2**k - 1
    rows = lattice.row_of_report
    used = np.sort(rows[rows >= 0])
    np.testing.assert_array_equal(used, np.arange(len(used)))
    np.testing.assert_array_equal(rows[lattice.full.cells.reports], np.arange(2**k))
    assert rows[0] == -1


def test_cells_are_what_rows_tell():
    schema = GroupSchema(("s", "a"), (0, 1), (("F", "M"), ("x", "y", "z")))
    codes = np.array([[1, 3], [0, 2], [2, 0], [0, 0]])
    assert schema.cells([0]).of(codes).tolist() == [0, -1, 1, -1]
    assert schema.cells([1]).of(codes).tolist() == [2, 1, -1, -1]
    both = schema.cells([0, 1])
    np.testing.assert_array_equal(both.of(codes), schema.group_ids(codes))
    np.testing.assert_array_equal(schema.report_codes[both.reports], schema.group_codes)


def test_a_partial_report_is_corrected_as_if_nothing_else_were_asked():
    # rows that withhold the other attribute count for what they tell
    data, schema = population(500, (2, 3), withhold=0.2)
    rows = np.arange(len(data.y))
    generic, recipe = make_recipes(["generic", "multilevel"], LOGISTIC, schema, None)
    base = fit_candidate(generic, data, rows, 20)
    lattice = Lattice.of(schema)
    joint = fit_multilevel(replace(recipe, lattice=lattice), base, data, rows)
    for layer in lattice.layers:
        own = GroupSchema(
            tuple(schema.attributes[j] for j in layer.cells.told),
            tuple(schema.positions[j] for j in layer.cells.told),
            tuple(schema.levels[j] for j in layer.cells.told),
        )
        codes = data.codes[:, list(layer.cells.told)]
        alone = replace(data, codes=codes, groups=own.group_ids(codes), n_groups=own.n_groups)
        _, narrow = make_recipes(["generic", "multilevel"], LOGISTIC, own, None)
        table = fit_multilevel(narrow, base, alone, rows).corrected.table
        found = joint.corrected.table[layer.start : layer.start + len(layer.cells)]
        np.testing.assert_allclose(found, table, atol=1e-8)


def test_scores_are_of_models_that_have_not_seen_the_row():
    data, schema = population(200, withhold=0.2)
    _, pool = weighed(data, schema)
    told = pool.scores["multilevel"].told
    withheld = data.codes == 0
    assert np.isfinite(told[:, 0]).all()
    np.testing.assert_array_equal(np.isnan(told[:, 1]), withheld[:, 0])
    np.testing.assert_array_equal(np.isnan(told[:, 3]), withheld.any(axis=1))
    full = data.groups >= 0
    np.testing.assert_allclose(told[full][:, [0, 3]], pool.scores["multilevel"].margins[full])
    model = pool.candidates["multilevel"].corrected
    inside = model.margin(model.prepare(data.features), np.maximum(data.groups, 0))
    assert np.abs(inside - told[:, 3])[full].min() > 0


def test_why_partial_reports_have_no_routes_of_their_own():
    assert why_not_partial("lattice", "priced", binary(2)) is None
    assert "generic" in why_not_partial("generic", "priced", binary(2))
    assert "one attribute" in why_not_partial("lattice", "priced", binary(1))
    assert "'tested'" in why_not_partial("lattice", "tested", binary(2))
    assert why_no_lattice(binary(7)) is None
    assert f"{MOST_REPORTS:,}" in why_no_lattice(binary(8))
