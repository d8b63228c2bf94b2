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


_RECALIBRATED = "recalibrated "


def recalibrated(name: str) -> str:
    """Name of the recalibrated version of a candidate.

    Examples
    --------
    >>> recalibrated("decoupled")
    'recalibrated decoupled'
    """
    return f"{_RECALIBRATED}{name}"


def is_recalibrated(name: str, known: Container[str]) -> bool:
    """Whether a candidate is the recalibrated version of another that is known."""
    own = name.removeprefix(_RECALIBRATED)
    return own != name and own in known


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
