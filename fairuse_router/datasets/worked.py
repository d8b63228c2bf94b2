"""What a worked example is: rows, and what two models do to each group on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
TOTAL = "Total"


@dataclass(frozen=True)
class Outcome:
    """What both models do to one group.

    Parameters
    ----------
    group : str
        Levels joined by ``", "``; ``"Total"`` for everybody.
    n : int
        Rows.
    generic, personalized : float
        Errors of each model, in the unit of the example: rows, or percent of the group.
    gain : float
        Positive is better. As printed, where it is printed, even if it is no difference of the two.

    Examples
    --------
    >>> from fairuse_router.datasets import load_example
    >>> outcome = load_example("interaction").outcomes[0]
    >>> outcome.group, outcome.n, outcome.generic, outcome.personalized, outcome.gain
    ('female, young', 24, 0, 24, -24)
    """

    group: str
    n: int
    generic: float
    personalized: float
    gain: float


@dataclass(frozen=True, eq=False)
class ExampleRows:
    """Rows of an example.

    Parameters
    ----------
    features : ndarray of shape (n, d)
    groups : ndarray of str, shape (n, k)
    y : ndarray of int64, shape (n,)
        Labels, 0 or 1.

    Examples
    --------
    >>> from fairuse_router.datasets import load_example
    >>> rows = load_example("interaction").training
    >>> len(rows), rows.to_array().shape, len(rows.repeat(3))
    (101, (101, 3), 303)
    >>> rows.errors(np.zeros(len(rows)))
    {'female, young': 0, 'male, young': 25, 'female, old': 25, 'male, old': 0}
    """

    features: Floats
    groups: NDArray[np.str_]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def group_columns(self) -> list[int]:
        """Indices of the k group attributes in the columns of `to_array`."""
        d = self.features.shape[1]
        return list(range(d, d + self.groups.shape[1]))

    @property
    def group_names(self) -> NDArray[np.str_]:
        """Group of each row, shape (n,), levels joined by ``", "``."""
        return np.array([", ".join(levels) for levels in self.groups])

    def to_array(self) -> NDArray[np.object_]:
        """Return features and groups as one object array, shape (n, d + k)."""
        return np.column_stack([self.features.astype(object), self.groups.astype(object)])

    def repeat(self, copies: int) -> ExampleRows:
        """Return every row `copies` times: more people in exactly the same proportions."""
        if copies < 1:
            raise ValueError(f"copies={copies} is not allowed; repeat every row at least once.")
        index = np.tile(np.arange(len(self)), copies)
        return ExampleRows(self.features[index], self.groups[index], self.y[index])

    def errors(self, labels: ArrayLike) -> dict[str, int]:
        """Return how many of the labels (n,) are wrong in each group, groups as they appear.

        Raises
        ------
        ValueError
            If there is not one label per row.
        """
        labels = np.asarray(labels)
        if labels.shape != self.y.shape:
            raise ValueError(
                f"labels has shape {labels.shape}; give one label per row, {self.y.shape}."
            )
        names, wrong = self.group_names, labels != self.y
        return {str(name): int(wrong[names == name].sum()) for name in dict.fromkeys(names)}


@dataclass(frozen=True, eq=False)
class Example:
    """A worked example: rows, the numbers that two models attain on them, and who is harmed.

    Parameters
    ----------
    name : str
        As given to `load_example`.
    mechanism : str
        Why personalization harms somebody.
    source : str
        Where in the paper.
    origin : {"printed", "corrected", "constructed", "synthetic"}
        Rows as printed; corrected where the print does not add up; constructed to show the stated
        property, where the paper has a picture only; or a synthetic stand-in for data that cannot
        be shared.
    note : str
        What was corrected or constructed, and which models attain the numbers.
    feature_names, group_attributes : tuple of str
    technique : {"onehot", "intersectional"}
        How the personalized model is told of the group.
    training, deployment : ExampleRows
        One object where nothing differs.
    harmed : tuple of str
        Groups whom the personalized model serves worse than the generic one, in deployment.
    copies : int
        How often every training row is to be repeated, in 5-fold cross-fitting and at the router's
        defaults, for the statistics to tell what is luck; 1 where few rows are the point.
    outcomes, deployed_outcomes : tuple of Outcome, default=()
        Errors in rows, per group and in total, on `training` and on `deployment`. Empty where rows
        are drawn at random.
    printed, printed_deployed : tuple of Outcome, default=()
        As the paper prints them, slips included. Empty where it prints none.
    unit : {"rows", "percent"}, default="rows"
        Of the printed errors.

    See Also
    --------
    load_example : Makes one, and lists them.

    Examples
    --------
    >>> from fairuse_router.datasets import load_example
    >>> example = load_example("interaction")
    >>> example.harmed, example.technique, len(example.training)
    (('female, young',), 'onehot', 101)
    """

    name: str
    mechanism: str
    source: str
    origin: str
    note: str
    feature_names: tuple[str, ...]
    group_attributes: tuple[str, ...]
    technique: str
    training: ExampleRows
    deployment: ExampleRows
    harmed: tuple[str, ...]
    copies: int
    outcomes: tuple[Outcome, ...] = ()
    deployed_outcomes: tuple[Outcome, ...] = ()
    printed: tuple[Outcome, ...] = ()
    printed_deployed: tuple[Outcome, ...] = ()
    unit: str = "rows"
