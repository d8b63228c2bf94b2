"""Sites that share sums: the audit of all, and how they differ."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from fairuse_router.audit import AuditSums, audit_predictions, audit_sums, federate
from fairuse_router.inference.heterogeneity import cochran_q


def test_q_and_i2_are_those_of_statsmodels():
    rng = np.random.default_rng(0)
    gain, se = rng.normal(0, 0.1, (6, 3)), rng.uniform(0.02, 0.2, (6, 3))
    found = cochran_q(gain, se)
    for j in range(3):
        theirs = combine_effects(gain[:, j], se[:, j] ** 2, method_re="dl")
        assert found.q[j] == pytest.approx(theirs.q)
        assert found.i2[j] == pytest.approx(max(theirs.i2, 0))
        assert found.p[j] == pytest.approx(stats.chi2.sf(theirs.q, 5))


def test_sites_without_a_standard_error_do_not_count():
    found = cochran_q([[0.1, 0.1], [0.2, np.nan], [5.0, 0.2]], [[0.1, 0.1], [0.1, 0.1], [0.0, 0.0]])
    assert found.sites.tolist() == [2, 1]
    assert found.q[0] == pytest.approx(0.5)
    assert np.isnan([found.q[1], found.p[1], found.i2[1]]).all()


def test_q_keeps_its_level_where_sites_share_one_gain():
    rng = np.random.default_rng(1)
    se = rng.uniform(0.05, 0.2, (8, 4000))
    rejected = cochran_q(0.1 + se * rng.normal(size=se.shape), se).p < 0.1
    assert abs(rejected.mean() - 0.1) < 3 * np.sqrt(0.09 / 4000)


@pytest.fixture(scope="module")
def hospitals():
    """Own helps everybody at two hospitals, and harms women at the third, which has no men over."""
    rng = np.random.default_rng(2)
    found = {}
    for name, harm in (("north", 0.0), ("south", 0.0), ("west", 1.0)):
        n = 1500
        sex = rng.choice(["F", "M", "X"] if name == "south" else ["F", "M"], n)
        z = rng.normal(0, 1.5, n)
        wrong = np.where(sex == "F", harm, 0.0)
        logits = np.column_stack([z + rng.normal(0, 4, n), z * (1 - 2 * wrong)])
        frame = pd.DataFrame({"sex": sex, "y": (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)})
        frame[["p0", "p1"]] = 1 / (1 + np.exp(-logits))
        found[name] = frame
    return found


def sums_of(frame):
    names = {"generic": "p0", "own": "p1"}
    return audit_sums(frame, y="y", predictions=names, groups="sex", metrics=("error", "auc"))


def test_the_audit_of_all_is_that_of_the_rows_in_one_place(hospitals):
    found = federate({name: sums_of(frame) for name, frame in hospitals.items()})
    rows = pd.concat(hospitals.values())
    exact = audit_predictions(rows.y, {"generic": rows.p0, "own": rows.p1}, rows.sex)
    assert found.overall.groups == ("F", "M", "X")
    for ours, theirs in zip(found.overall.rationality, exact.rationality, strict=False):
        assert ours.gain == pytest.approx(theirs.gain, abs=1e-12)
        assert ours.p_gain == pytest.approx(theirs.p_gain, rel=1e-9)


def test_a_gain_overall_may_be_a_harm_at_one_site(hospitals):
    found = federate(
        {name: AuditSums.from_json(sums_of(frame).to_json()) for name, frame in hospitals.items()}
    )
    of = {(r.metric, r.group): r for r in found.comparisons}
    women, men, other = (of["error", group] for group in ("F", "M", "X"))
    assert women.lowest_site == "west"
    assert (women.gains, women.violations, women.sites) == (2, 1, 3)
    assert women.i2 > 0.9
    assert women.p < 1e-6
    assert (men.gains, men.violations, men.sites) == (3, 0, 3)
    assert men.p > 0.01
    assert (other.sites, other.q) == (1, None)
    text = str(found)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "2/1 of 3" in text


def test_no_sites_are_refused():
    with pytest.raises(ValueError, match="sites is empty"):
        federate({})
