"""The pool: candidates, their scores on rows they have not seen, and whom they cannot serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.scores import Scores
from fairuse_router.candidates.scoring import score_candidates
from fairuse_router.metrics import Metric
from fairuse_router.rows import TrainingRows


@dataclass(frozen=True)
class Pool:
    """Candidates to choose from.

    Parameters
    ----------
    candidates : dict of str to Candidate
        The fitted models; one that could not be fitted is absent.
    scores : dict of str to Scores
        On rows that they have not seen.
    unavailable : dict of str to dict of int to str
        Per candidate, the groups that it cannot serve, and why not.
    """

    candidates: Mapping[str, Candidate]
    scores: Mapping[str, Scores]
    unavailable: Mapping[str, Mapping[int, str]]

    @classmethod
    def of_fitted(
        cls,
        candidates: Mapping[str, Candidate],
        rows: TrainingRows,
        envy: Sequence[Metric] = (),
    ) -> Pool:
        """Score candidates as they are on rows that none of them has seen."""
        scores, unavailable = score_candidates(candidates, rows, envy)
        for name, candidate in candidates.items():
            unavailable[name] |= candidate.unavailable
        return cls(candidates, scores, unavailable)

    def on(self, rows: TrainingRows, envy: Sequence[Metric] = ()) -> Pool:
        """Return the pool with its scores on other rows that no candidate has seen."""
        scores, unavailable = score_candidates(self.candidates, rows, envy)
        for name, reasons in self.unavailable.items():
            unavailable[name] = {**unavailable.get(name, {}), **reasons}
        return replace(self, scores=scores, unavailable=unavailable)
