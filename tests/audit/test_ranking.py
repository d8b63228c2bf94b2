"""One queue: areas over pairs of groups, against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fairuse_router.audit.queue import ranking

RNG = np.random.default_rng(0)
P = RNG.uniform(size=600)
SEX = np.array(["F", "M"])[np.arange(600) % 2]
Y = (RNG.random(600) < P).astype(int)
SHIFTED = np.where(SEX == "F", P / 4, P)


def test_areas_are_scikit_learns():
    found = ranking(Y, {"generic": P, "shifted": SHIFTED}, SEX)
    assert found.of("shifted").auc == pytest.approx(roc_auc_score(Y, SHIFTED))
    crossed = ((SEX == "F") & (Y == 1)) | ((SEX == "M") & (Y == 0))
    record = found.of("shifted", "F", "M")
    assert record.auc == pytest.approx(roc_auc_score(Y[crossed], SHIFTED[crossed]))
    assert record.n_positives + record.n_negatives == crossed.sum()
    gain = roc_auc_score(Y[crossed], SHIFTED[crossed]) - roc_auc_score(Y[crossed], P[crossed])
    assert record.gain == pytest.approx(gain)
    assert record.high < 0
    assert found.of("generic").gain is None
    json.dumps(found.to_dict())


def test_a_queue_that_worsens_though_no_group_does_is_told():
    found = ranking(Y, {"generic": P, "shifted": SHIFTED}, SEX)
    assert "nobody worse within the own group" in found.word("shifted")
    assert max(map(len, str(found).splitlines())) <= 80
    better = ranking(Y, {"generic": RNG.uniform(size=600), "new": P}, SEX)
    assert "No pair" in better.word("new")
    partly = ranking(Y, {"generic": P, "new": np.where(SEX == "F", 1 - P, P)}, SEX)
    assert "shows a worse ranking" in partly.word("new")


def test_groups_without_a_class_have_no_area():
    found = ranking(Y, {"generic": P, "new": P**2}, np.where(Y == 1, "ill", "fit"))
    assert found.of("new", "fit", "ill").auc is None
    with pytest.raises(ValueError, match="baseline="):
        ranking(Y, {"new": P}, SEX)
