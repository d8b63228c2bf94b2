"""Names of candidates, as users, tables and bundles write them; this loads no scikit-learn."""

from __future__ import annotations

from collections.abc import Container

GENERIC = "generic"
MULTILEVEL = "multilevel"
ROUTED = "routed"  # what audits call the deployed routing, beside the candidates

MEAN = "intersectional+multilevel"  # a route by the mean of two margins

CANDIDATES = (GENERIC, "onehot", "intersectional", "decoupled")
KNOWN = (*CANDIDATES, MULTILEVEL)
WEIGH_MULTILEVEL = ("priced", "tested", "certified")  # policies that need it among the candidates
WEIGHS_PARTIAL = "priced"  # the policy that weighs partial reports, too


def halves(name: str, known: Container[str]) -> tuple[str, ...]:
    """Return the candidates whose margins a route to `name` averages: one, or two.

    Parameters
    ----------
    name : str
        A candidate, or two of them joined by ``+``, the last of which is multilevel.
    known : container of str
        The candidates; a name among them is never taken apart.

    Examples
    --------
    >>> halves("intersectional+multilevel", CANDIDATES), halves("onehot", CANDIDATES)
    (('intersectional', 'multilevel'), ('onehot',))
    """
    own = name.removesuffix(f"+{MULTILEVEL}")
    return (name,) if name in known or own == name else (own, MULTILEVEL)
