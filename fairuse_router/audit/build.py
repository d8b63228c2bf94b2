"""Make an audit from predictions: arithmetic on arrays, no models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fairuse_router.audit.arguments import AuditSettings
from fairuse_router.audit.assemble import Compared, Named, assemble
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.judge import Comparisons
from fairuse_router.candidates.names import GENERIC, ROUTED
from fairuse_router.candidates.scores import Scores
from fairuse_router.groups import GroupSchema
from fairuse_router.inference import PairedTest
from fairuse_router.inference.compare import Resampling, Rows, compare, default_test
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.routing.policies.evidence import Evidence

__all__ = ["Routing", "audit_rows", "count_rows"]


@dataclass(frozen=True)
class Routing:
    """What the deployed routing says of rows, and by which routes.

    Parameters
    ----------
    predictions : Predictions
        Of n rows under their own reports.
    routes : ndarray of int of shape (n,), default=None
        The route of each row, 0 for generic. A group all of whose rows take the route that they are
        compared with is compared with itself: that is no test. None: nothing is known.
    under : mapping of str to Predictions, default=None
        Per report, what the routing predicts for all n rows when everybody files that report.
    route_of : mapping of str to int
        The route of each of these reports.

    Examples
    --------
    >>> from fairuse_router.metrics import get_metric
    >>> schema = GroupSchema(("sex",), (0,), (("F", "M"),))
    >>> y, sex = np.array([0, 1] * 40), np.repeat([0, 1], 40)
    >>> wrong = Predictions(np.where(np.arange(80) % 4 == 0, 1 - y, y))
    >>> served = Predictions(np.where(sex == 0, y, wrong.label))  # generic serves M alone
    >>> routing, rows = Routing(served, routes=np.where(sex == 0, 1, 0)), Rows(y, sex, 2)
    >>> scores = {"generic": Scores(wrong, np.ones(80, dtype=bool))}
    >>> audit = audit_rows(Evidence(rows, scores, [get_metric("error")]), schema, routing=routing)
    >>> [(r.candidate, r.group, r.gain, r.verdict) for r in audit.rationality]
    [('routed', 'F', 0.25, 'gain'), ('routed', 'M', 0.0, 'same')]
    """

    predictions: Predictions
    routes: np.ndarray | None = None
    under: Mapping[str, Predictions] | None = None
    route_of: Mapping[str, int] = field(default_factory=dict)

    def alone(self, rows: Rows, route: int | None) -> np.ndarray | None:
        """Groups of which every row takes this route, shape (m,)."""
        if self.routes is None or route is None:
            return None
        other = rows.groups[(rows.groups >= 0) & (self.routes != route)]
        return np.bincount(other, minlength=rows.m) == 0


def audit_rows(
    evidence: Evidence,
    schema: GroupSchema | Named,
    testing: AuditSettings | None = None,
    routing: Routing | None = None,
) -> Audit:
    """Audit predictions that were made under each row's own report.

    Parameters
    ----------
    evidence : Evidence
        What the candidates predicted for rows that they have not seen, by which metrics to judge
        it, and which groups a candidate cannot serve. Rows of group -1, and rows for which the
        baseline was not asked, do not count. `Scores.misreports` bring envy-freeness: sums alone
        are kept of them, from which nothing can be resampled.
    schema : GroupSchema or Named
        Names the m groups.
    testing : AuditSettings, default=None
        None: as its defaults are.
    routing : Routing, default=None
        The deployed routing; it is shown as candidate ``"routed"``.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError, TypeError
        If arrays do not fit each other, or the baseline, a test or a correction is unknown.

    Examples
    --------
    >>> from fairuse_router.metrics import get_metric
    >>> schema = GroupSchema(("sex",), (0,), (("F", "M"),))
    >>> y, everybody = np.array([0, 1] * 40), np.ones(80, dtype=bool)
    >>> scores = {"generic": Scores(Predictions(np.where(np.arange(80) < 30, 1 - y, y)), everybody),
    ...           "onehot": Scores(Predictions(y), everybody)}
    >>> rows = Rows(y, np.repeat([0, 1], 40), 2)
    >>> audit = audit_rows(Evidence(rows, scores, [get_metric("error")]), schema)
    >>> [(r.group, r.gain, r.verdict) for r in audit.rationality]
    [('F', 0.75, 'gain'), ('M', 0.0, 'undetermined')]
    """
    testing = (testing or AuditSettings()).checked(evidence.metrics)
    scores = dict(evidence.scores)
    if routing is not None:
        scores[ROUTED] = Scores(routing.predictions, np.ones(len(routing.predictions), dtype=bool))
    _check(evidence.rows, scores, schema, testing.baseline)
    rows = _counted(evidence.rows, scores[testing.baseline].scored)
    used = {
        name: _served(rows, own.scored, evidence.unavailable.get(name, {}))
        for name, own in scores.items()
    }
    for name, own in scores.items():
        _check_answers(name, own.predictions, used[name])
    partial = count_rows(evidence.rows.groups < 0, evidence.rows.weight)
    counts = int((rows.groups >= 0).sum()), partial
    source = _Asked(tuple(schema.group_names()), testing, scores, used, counts, routing)
    return assemble(source, evidence.metrics, schema, testing)


def count_rows(mask: np.ndarray, weight: np.ndarray | None) -> int:
    """How many rows a mask keeps; rows of weight 0 do not exist.

    Examples
    --------
    >>> kept = np.array([True, True, False])
    >>> count_rows(kept, None), count_rows(kept, np.array([1.0, 0.0, 1.0]))
    (2, 1)
    """
    return int((mask if weight is None else mask & (weight > 0)).sum())


def _check(
    rows: Rows, scores: Mapping[str, Scores], schema: GroupSchema | Named, baseline: str
) -> None:
    """Refuse arrays that do not fit each other."""
    if not isinstance(baseline, str) or baseline not in scores:
        raise ValueError(f"baseline={baseline!r} is not among the candidates {sorted(scores)}.")
    beside = {"groups": rows.groups, "sample_weight": rows.weight, "clusters": rows.clusters}
    sizes = {name: len(own.predictions) for name, own in scores.items()}
    sizes |= {name: len(values) for name, values in beside.items() if values is not None}
    wrong = {name: size for name, size in sizes.items() if size != len(rows.y)}
    if wrong:
        raise ValueError(f"y has {len(rows.y)} rows, but these have others: {wrong}.")
    if len(rows.groups) and rows.groups.max() >= schema.n_groups:
        raise ValueError(
            f"groups runs to {rows.groups.max()}; the schema has {schema.n_groups} groups."
        )
    weight = rows.weight
    if weight is not None and not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("sample_weight must be finite and not negative in every row.")


def _check_answers(name: str, predictions: Predictions, rows: Rows) -> None:
    """Refuse NaN among the predictions that count."""
    lost = int((predictions.undefined & (rows.groups >= 0)).sum())
    if lost:
        raise ValueError(
            f"The predictions of {name!r} hold NaN in {lost} rows. Find why the model returns NaN, "
            "or leave these rows out of every model's predictions."
        )


def _counted(rows: Rows, scored: np.ndarray) -> Rows:
    """Rows of which the baseline was asked; rows of weight 0 do not exist."""
    return rows.only(scored if rows.weight is None else scored & (rows.weight > 0))


def _served(rows: Rows, scored: np.ndarray, unavailable: Mapping[int, str]) -> Rows:
    """Return the rows for which a candidate's predictions count."""
    if not unavailable:
        return rows.only(scored)
    can = np.ones(rows.m + 1, dtype=bool)
    can[list(unavailable)] = False
    rows = replace(rows, unserved=frozenset(unavailable))
    return rows.only(scored & can[rows.groups])


@dataclass(frozen=True)
class _Asked:
    """One audit's candidates on rows at hand, and how to test them, every comparison alike."""

    names: tuple[str, ...]
    testing: AuditSettings
    scores: Mapping[str, Scores]
    used: Mapping[str, Rows]
    counts: tuple[int, int]
    routing: Routing | None = None

    @property
    def candidates(self) -> tuple[str, ...]:
        """Everything that is audited."""
        return tuple(self.scores)

    def resampling(self, comparisons: int) -> Resampling:
        """Resamples enough for a corrected p-value below alpha."""
        needed = int(np.ceil(4 * comparisons / self.testing.alpha))
        resamples = min(max(self.testing.n_resamples, needed), 10_000) - 1
        return Resampling(self.testing.alpha, resamples, self.testing.seed)

    def test(self, metric: Metric, rows: Rows) -> str:
        """Name of the test for a metric."""
        return default_test(metric, rows, (self.testing.tests or {}).get(metric.name))

    def risks(self, metric: Metric, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows and risks of one candidate: all groups together, then each."""
        rows, predictions = self.used[name], self.scores[name].predictions
        parts = rows.together, rows
        sizes = np.concatenate([part.sizes for part in parts])
        return sizes, np.concatenate([part.risks(metric, predictions) for part in parts])

    def compared(self, metric: Metric, name: str) -> Compared:
        """Gains of one candidate over the baseline, and of truth over misreports."""
        base, own = self.testing.baseline, self.scores[name]
        rows = self.used[name].only(self.used[base].groups >= 0)
        test = self.test(metric, rows)
        models = self.scores[base].predictions, own.predictions
        whole = compare(metric, *models, rows.together, test, self.resampling(1))
        groups = compare(metric, *models, rows, test, self.resampling(rows.m))
        routed = self.routing if name == ROUTED and base == GENERIC else None
        same = [None if routed is None else routed.alone(r, 0) for r in (rows.together, rows)]
        envy = None
        if own.misreports is not None and metric.name in own.misreports.sums:
            envy = own.misreports.test(metric.name, test, alpha=self.testing.alpha)
        return Compared(whole, _explain(groups, rows), (same[0], same[1]), envy)

    def truthfulness(self, metric: Metric) -> list[Comparisons]:
        """Gains of telling the truth to the deployed routing, over every other report.

        Reports in succession whose predictions are one and the same object share one comparison.
        """
        routing = self.routing
        if routing is None or not routing.under:
            return []
        rows, routed = self.used[ROUTED], self.scores[ROUTED].predictions
        test, under = self.test(metric, rows), routing.under
        resampling = self.resampling(rows.m * max(len(under) - 1, 1))
        family: list[Comparisons] = []
        last, everyone = None, None
        for report, predictions in under.items():
            if everyone is None or predictions is not last:
                last = predictions
                everyone = compare(metric, predictions, routed, rows, test, resampling)
            others = [g for g, name in enumerate(self.names) if name != report]
            names = [self.names[g] for g in others]
            which = np.array(others, dtype=int)
            same = routing.alone(rows, routing.route_of.get(report))
            own = None if same is None else same[which]
            family.append(Comparisons(names, [report] * len(names), everyone.at(which), own))
        return family


def _explain(test: PairedTest, rows: Rows) -> PairedTest:
    """Say of groups without rows whether it is the candidate that is missing."""
    missing = np.isin(np.arange(rows.m), list(rows.unserved)) & (np.asarray(test.n) == 0)
    return replace(test, reason=np.where(missing, "no model for this group", test.reason))
