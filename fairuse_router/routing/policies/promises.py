"""What every policy does and promises, in one sentence each: for cards and README."""

from __future__ import annotations

from typing import NamedTuple


class Promise(NamedTuple):
    """A policy in words: how it chooses, and what may be relied on."""

    rule: str
    promise: str


PROMISES: dict[str, Promise] = {
    "priced": Promise(
        "largest gain in the metric that is expected, less `price` times the probability of harm",
        "no error rate; nothing is deployed that looks worse out of fold in the metric by half a "
        "standard error",
    ),
    "tested": Promise(
        'as `"priced"` at a quarter of the price, deployed where an exact one-sided test shows it '
        "(Holm)",
        "family-wise error `alpha`, up to refit and reuse of rows",
    ),
    "certified": Promise(
        'as `"priced"` at a quarter of the price on 60% of the rows, tested once on the other 40%, '
        "no refit",
        "P(any deployed group worse than its generic) <= `alpha`, exact for the error of "
        "independent rows without weights",
    ),
    "best": Promise("largest gain out of fold", "none"),
    "assign_generic": Promise(
        "one-hot, but generic where a violation is shown: the paper's *assign a generic model* "
        '(`candidates=("generic", "onehot")`)',
        "none",
    ),
}


def promise_of(policy: str, test: str | None = None) -> Promise | None:
    """Return what a policy promises by the test that it makes; None for an unknown policy.

    Parameters
    ----------
    policy : str
    test : str, default=None
        The test of each group, such as ``"exact McNemar"``; None: as the sentence stands.
    """
    known = PROMISES.get(policy)
    if known is None or test in (None, "exact McNemar"):
        return known
    if policy == "certified":
        sure = known.promise.split(", exact")[0]
        return known._replace(promise=f"{sure}, as far as its test ({test}) keeps its level")
    return known._replace(rule=known.rule.replace("an exact one-sided", "a one-sided"))
