"""The paper's worked examples of personalization that harms a group, as rows to fit on.

Suriyakumar, Ghassemi & Ustun, "When Personalization Harms Performance" (ICML 2023), Figures 1 to 6
and Examples 1 and 2. Where the print does not add up, the rows are those of a corrected instance,
and `Example.note` says what was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fairuse_router.datasets.worked import TOTAL, Example, ExampleRows, Outcome

# levels of the group, features, positives, negatives
Cell = tuple[tuple[str, ...], tuple[float, ...], int, int]

_CONSTANT = (1.0,)
_STANDIN_SEED = 155
_STANDIN_FRESH = 25  # deployment rows per training row


def load_example(name: str) -> Example:
    """Load a worked example of how personalization harms a group.

    ================  ===========  ================================================================
    name              source       what goes wrong
    ================  ===========  ================================================================
    `"apnea"`         Figure 1     main effects where groups interact, on real data; its table as
                                   numbers, its rows a synthetic stand-in
    `"interaction"`   Figure 2     main effects where groups interact: one group pays for three
    `"slopes"`        Example 1    one slope for all groups where one group needs its own
    `"selection"`     Example 2    the feature that is best for everybody is not best for A
    `"surrogate"`     Figure 4     a hinge loss follows an outlier of group B; the error would not
    `"small_sample"`  Figure 5     few rows: what looks like a gain is luck, and harms in deployment
    `"label_shift"`   Figure 6     training rows lack positives of one group
    ================  ===========  ================================================================

    Parameters
    ----------
    name : str
        See the table.

    Returns
    -------
    Example

    Raises
    ------
    ValueError
        For an unknown name.

    Notes
    -----
    Suriyakumar, V. M., Ghassemi, M., Ustun, B. (2023). When Personalization Harms Performance:
    Reconsidering the Use of Group Attributes in Prediction. ICML. Section 3.1 and appendix B.1.

    ``python -m benchmarks.failure_modes`` fits exact empirical risk minimization, scikit-learn's
    linear models and the router to every example.

    Examples
    --------
    >>> from fairuse_router.datasets import load_example
    >>> example = load_example("interaction")
    >>> example.training.to_array()[0].tolist(), len(example.training)
    ([1.0, 'female', 'young'], 101)
    >>> for outcome in example.outcomes:
    ...     print(outcome.group, outcome.generic, outcome.personalized, outcome.gain)
    female, young 0 24 -24
    male, young 25 0 25
    female, old 25 0 25
    male, old 0 0 0
    Total 50 24 26
    >>> example.harmed
    ('female, young',)
    """
    if name not in _BUILDERS:
        raise ValueError(
            f"{name!r} is no example of the paper. Allowed: {', '.join(map(repr, EXAMPLES))}."
        )
    return _BUILDERS[name]()


def _rows(cells: Iterable[Cell]) -> ExampleRows:
    """Write counts out as rows, the positives of a cell first."""
    features, groups, y = [], [], []
    for levels, x, positives, negatives in cells:
        features += [x] * (positives + negatives)
        groups += [levels] * (positives + negatives)
        y += [1] * positives + [0] * negatives
    return ExampleRows(
        np.array(features, dtype=float), np.array(groups), np.array(y, dtype=np.int64)
    )


def _outcomes(errors: Sequence[tuple[str, int, int, int]]) -> tuple[Outcome, ...]:
    """Group, rows, errors of generic and personalized; the total is added."""
    _, n_all, generic_all, personalized_all = zip(*errors, strict=True)
    rows = [*errors, (TOTAL, sum(n_all), sum(generic_all), sum(personalized_all))]
    return tuple(Outcome(group, n, h0, h, h0 - h) for group, n, h0, h in rows)


def _the_same(rows: ExampleRows, outcomes: tuple[Outcome, ...]) -> dict[str, Any]:
    """Parts of an example whose deployment is its training."""
    return {
        "training": rows,
        "deployment": rows,
        "outcomes": outcomes,
        "deployed_outcomes": outcomes,
    }


def _interaction() -> Example:
    rows = _rows(
        [
            (("female", "young"), _CONSTANT, 0, 24),
            (("male", "young"), _CONSTANT, 25, 0),
            (("female", "old"), _CONSTANT, 25, 0),
            (("male", "old"), _CONSTANT, 0, 27),
        ]
    )
    outcomes = _outcomes(
        [
            ("female, young", 24, 0, 24),
            ("male, young", 25, 25, 0),
            ("female, old", 25, 25, 0),
            ("male, old", 27, 0, 0),
        ]
    )
    return Example(
        name="interaction",
        mechanism="misspecification: main effects where groups interact",
        source="Figure 2",
        origin="printed",
        note="Counts, predictions and errors as printed. The paper names no features; one constant "
        "feature is the smallest design on which the linear classifiers with the fewest errors, "
        "without and with a one-hot encoding, make the printed predictions.",
        feature_names=("constant",),
        group_attributes=("sex", "age"),
        technique="onehot",
        **_the_same(rows, outcomes),
        printed=outcomes,
        harmed=("female, young",),
        copies=20,
    )


def _slopes() -> Example:
    # a hexagon whose corners alternate: no line errs on fewer than two of them
    rows = _rows(
        [
            (("A",), (-4, 2), 0, 2),
            (("A",), (0, 2), 2, 0),
            (("B",), (-3, 0), 3, 0),
            (("B",), (3, 0), 0, 3),
            (("C",), (0, -2), 0, 2),
            (("C",), (4, -2), 2, 0),
        ]
    )
    outcomes = _outcomes([("A", 4, 2, 0), ("B", 6, 0, 3), ("C", 4, 2, 0)])
    return Example(
        name="slopes",
        mechanism="misspecification: one slope where group B needs its own",
        source="Example 1, Figure 3",
        origin="constructed",
        note="The paper has a picture only. Each group has one positive and one negative point, "
        "twice each in A and C, three times in B. A and C can share the slope (1, 0), with "
        "intercepts of their own; B needs the opposite slope. Numbers are those of every linear "
        "classifier with the fewest errors, without and with a one-hot encoding.",
        feature_names=("x1", "x2"),
        group_attributes=("group",),
        technique="onehot",
        **_the_same(rows, outcomes),
        harmed=("B",),
        copies=40,
    )


def _selection() -> Example:
    rows = _rows(
        [
            (("A",), (0, 0), 0, 25),
            (("A",), (1, 0), 15, 0),
            (("A",), (1, 1), 10, 0),
            (("B",), (0, 0), 15, 0),
            (("B",), (0, 1), 0, 30),
            (("B",), (1, 0), 30, 0),
            (("B",), (1, 1), 0, 5),
        ]
    )
    outcomes = _outcomes([("A", 50, 0, 15), ("B", 80, 20, 0)])
    return Example(
        name="selection",
        mechanism="model selection: one feature for all, chosen by the error of everybody",
        source="Example 2",
        origin="corrected",
        note="In print B has 75 rows, not 90, no group is harmed (gains of 0 and 15 with x1, of 10 "
        "and 0 with x2), and the model on x1 is an exclusive or, which no linear model with a "
        "one-hot encoding can be. These counts show what the text says. A model uses one feature, "
        "x1 or x2; generic is any function of it, personalized any function of it and the group. "
        "Generic chooses x1, personalized x2. The printed numbers are of x1, which has the fewer "
        "errors in print.",
        feature_names=("x1", "x2"),
        group_attributes=("group",),
        technique="onehot",
        **_the_same(rows, outcomes),
        printed=(
            Outcome("A", 60, 20, 20, 0),
            Outcome("B", 90, 20, 5, 15),
            Outcome(TOTAL, 150, 40, 25, 15),
        ),
        harmed=("A",),
        copies=10,
    )


def _surrogate() -> Example:
    cells: list[Cell] = [
        (("A",), (5, -3), 1, 0),
        (("A",), (6, -2), 1, 0),
        (("A",), (0, 3), 0, 1),
        (("A",), (0, 0), 0, 1),
        (("B",), (3, 2), 1, 0),
        (("B",), (1, 1), 1, 0),
        (("B",), (-1, -1), 0, 1),
        (("B",), (-4, 0), 0, 1),
        (("B",), (-6, 1), 1, 0),  # the outlier
    ]
    rows = _rows(cells)
    outcomes = _outcomes([("A", 4, 2, 0), ("B", 5, 1, 2)])
    return Example(
        name="surrogate",
        mechanism="surrogate loss: the hinge loss follows an outlier",
        source="Figure 4",
        origin="constructed",
        note="The paper has a picture only. The last row is the outlier. Numbers are those of a "
        "linear support vector machine (C = 1), without and with a one-hot encoding. A linear "
        "classifier with the fewest errors, either way, errs on the outlier alone; and without the "
        "outlier neither support vector machine errs at all, so nothing is misspecified.",
        feature_names=("x1", "x2"),
        group_attributes=("group",),
        technique="onehot",
        **_the_same(rows, outcomes),
        harmed=("B",),
        copies=40,
    )


def _small_sample() -> Example:
    groups = [("0", "0"), ("1", "0"), ("0", "1"), ("1", "1")]
    seen = [(65, 60), (60, 65), (60, 65), (70, 55)]
    true = [(130, 120), (120, 130), (130, 120), (140, 110)]
    training = [
        ("0, 0", 125, 60, 60),
        ("1, 0", 125, 65, 60),
        ("0, 1", 125, 65, 60),
        ("1, 1", 125, 55, 55),
    ]
    deployed = [
        ("0, 0", 250, 120, 120),
        ("1, 0", 250, 130, 120),
        ("0, 1", 250, 120, 130),
        ("1, 1", 250, 110, 110),
    ]
    groups_printed = tuple(Outcome(g, n, h0, h, h0 - h) for g, n, h0, h in deployed)
    return Example(
        name="small_sample",
        mechanism="generalization: what looks like a gain in few rows is luck",
        source="Figure 5",
        origin="corrected",
        note="In print the true errors of the personalized model sum to 470; they are 480, as the "
        "printed gain of 0 has it. The predictions are an exclusive or of the two attributes, "
        "which takes a dummy per group: the intersectional encoding, with one constant feature.",
        feature_names=("constant",),
        group_attributes=("g1", "g2"),
        technique="intersectional",
        training=_rows((g, _CONSTANT, *n) for g, n in zip(groups, seen, strict=True)),
        deployment=_rows((g, _CONSTANT, *n) for g, n in zip(groups, true, strict=True)),
        outcomes=_outcomes(training),
        deployed_outcomes=_outcomes(deployed),
        printed=_outcomes(training),
        printed_deployed=(*groups_printed, Outcome(TOTAL, 1000, 480, 470, 0)),
        harmed=("0, 1",),
        copies=1,
    )


def _label_shift() -> Example:
    groups = [("0", "0"), ("1", "0"), ("0", "1"), ("1", "1")]
    seen = [(20, 0), (5, 25), (5, 25), (20, 0)]
    true = [(20, 0), (5, 25), (30, 20), (20, 0)]
    training = [("0, 0", 20, 0, 0), ("1, 0", 30, 25, 5), ("0, 1", 30, 25, 5), ("1, 1", 20, 0, 0)]
    deployed = [("0, 0", 20, 0, 0), ("1, 0", 30, 25, 5), ("0, 1", 50, 20, 30), ("1, 1", 20, 0, 0)]
    groups_printed = tuple(
        Outcome(g, 55 if g == "0, 1" else n, h0, h, h0 - h) for g, n, h0, h in deployed
    )
    return Example(
        name="label_shift",
        mechanism="label shift: training rows lack positives of one group",
        source="Figure 6",
        origin="corrected",
        note="In print group (0, 1) has 25 negatives in deployment; its total and its errors need "
        "20. The caption's 50 to 24 errors are 50 to 10, and 45 to 35 in deployment; the violation "
        "is on (0, 1), and (1, 1) gains nothing. The predictions are an exclusive or of the two "
        "attributes, hence the intersectional encoding, with one constant feature. Generic is a "
        "tie of 50 errors either way; the paper's choice is sign(0) = +.",
        feature_names=("constant",),
        group_attributes=("g1", "g2"),
        technique="intersectional",
        training=_rows((g, _CONSTANT, *n) for g, n in zip(groups, seen, strict=True)),
        deployment=_rows((g, _CONSTANT, *n) for g, n in zip(groups, true, strict=True)),
        outcomes=_outcomes(training),
        deployed_outcomes=_outcomes(deployed),
        printed=_outcomes(training),
        printed_deployed=(*groups_printed, Outcome(TOTAL, 120, 45, 35, 10)),
        harmed=("0, 1",),
        copies=10,
    )


def _apnea() -> Example:
    return Example(
        name="apnea",
        mechanism="misspecification: main effects where groups interact, on real data",
        source="Figure 1",
        origin="synthetic",
        note="A SYNTHETIC STAND-IN. The apnea data cannot be shared; the printed table is given as "
        "numbers. The rows have the published group sizes and come from a made-up law, whose "
        "constants and seed (one of 300 that were tried) were searched for until logistic "
        "regression with a one-hot encoding gains overall and loses in the same two groups, in "
        "training and in deployment. They say nothing of apnea, and their errors are not the "
        "printed ones. Law: x is normal with a mean per group and standard deviation 1, logit "
        "P(y = 1) = a constant per group + 1.8 x. Deployment rows are fresh ones, 25 times as "
        "many. The printed total of 19.4% is 19.5% from the printed rows.",
        feature_names=("x",),
        group_attributes=("sex", "age_group"),
        technique="onehot",
        training=_draw_standin(np.random.default_rng(_STANDIN_SEED), 1),
        deployment=_draw_standin(np.random.default_rng([_STANDIN_SEED, 1]), _STANDIN_FRESH),
        printed=(
            Outcome("female, <30", 48, 38.1, 26.8, 11.3),
            Outcome("male, <30", 49, 23.9, 26.7, -2.8),
            Outcome("female, 30 to 60", 304, 30.3, 29.1, 1.2),
            Outcome("male, 30 to 60", 447, 15.4, 15.2, 0.2),
            Outcome("female, 60+", 123, 19.3, 21.9, -2.6),
            Outcome("male, 60+", 181, 11.0, 8.2, 2.8),
            Outcome(TOTAL, 1152, 20.4, 19.4, 1.0),
        ),
        unit="percent",
        harmed=("male, <30", "female, 60+"),
        copies=1,
    )


def _draw_standin(rng: np.random.Generator, copies: int) -> ExampleRows:
    """Draw people with the published group sizes, times `copies`."""
    # sex, age group, rows, mean of x, constant of the logit
    law = [
        ("female", "<30", 48, -0.8, 2.0),
        ("male", "<30", 49, -0.7, 0.4),
        ("female", "30 to 60", 304, -0.5, 0.7),
        ("male", "30 to 60", 447, 0.2, 0.2),
        ("female", "60+", 123, -0.3, 0.2),
        ("male", "60+", 181, -1.3, -1.1),
    ]
    group = np.repeat(np.arange(len(law)), [copies * n for _, _, n, _, _ in law])
    mean = np.array([part[3] for part in law])[group]
    constant = np.array([part[4] for part in law])[group]
    x = rng.normal(mean, 1.0)
    y = rng.random(len(group)) < 1 / (1 + np.exp(-(constant + 1.8 * x)))
    names = np.array([part[:2] for part in law])
    return ExampleRows(x[:, None], names[group], y.astype(np.int64))


_BUILDERS: dict[str, Callable[[], Example]] = {
    "apnea": _apnea,
    "interaction": _interaction,
    "slopes": _slopes,
    "selection": _selection,
    "surrogate": _surrogate,
    "small_sample": _small_sample,
    "label_shift": _label_shift,
}
EXAMPLES = tuple(_BUILDERS)
