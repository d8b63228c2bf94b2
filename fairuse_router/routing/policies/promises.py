"""What every policy does and promises, in one sentence each: for cards and README."""

from __future__ import annotations

from typing import NamedTuple


class Promise(NamedTuple):
    """A policy in words: how it chooses, and what may be relied on."""

    rule: str
    promise: str


PROMISES: dict[str, Promise] = {
    "shrunken": Promise(
        "largest gain in a proper score that is sure after empirical Bayes shrinkage",
        "about P(gain > 0) >= 95% per group",
    ),
    "best": Promise("largest gain out of fold", "none"),
    "tested": Promise(
        "largest shrunken gain, deployed where an exact one-sided test shows it (Holm)",
        "family-wise error `alpha`, up to refit and reuse of rows",
    ),
    "certified": Promise(
        'as `"shrunken"` on 60% of the rows (with `"multilevel"` among the candidates: as '
        '`"slope"`, bolder), tested once on the other 40%, no refit',
        "P(any deployed group worse than its generic) <= `alpha`, exact for the error of "
        "independent rows without weights",
    ),
    "assign_generic": Promise(
        "one-hot, but generic where a violation is shown: the paper's *assign a generic model* "
        '(`candidates=("generic", "onehot")`)',
        "none",
    ),
    "slope": Promise(
        'as much of the `"multilevel"` correction as is surely real in the group: a quarter, half, '
        "three quarters, all or none of it",
        "about `max_harmed` harmed groups at the most; tuned on known truth, no guarantee",
    ),
    "priced": Promise(
        "largest gain in the metric that is expected, less `price` times the probability of harm",
        "no error rate; nothing is deployed that looks worse out of fold in the metric by half a "
        "standard error",
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
