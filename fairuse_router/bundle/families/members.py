"""Members: splits on sets of categories, as columns of 0 and 1 that say which codes are in a set.

No split of a tree need then be other than ``x <= threshold``, which every runtime knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.ensemble import Tree
from fairuse_router.bundle.graph.blocks import column, flat
from fairuse_router.bundle.graph.builder import Graph


@dataclass(frozen=True)
class Member:
    """A column that is 1 where the code in another is in a set, else 0; missing stays missing.

    Parameters
    ----------
    source : int
        Column of codes, of which the part after the point does not count.
    codes : tuple of int
        The set, in order; none is negative.
    """

    source: int
    codes: tuple[int, ...]


class Members:
    """The sets that the splits of several trees ask for, each once.

    Splits are numbered from the end, -1, -2, ..., until all are known, see `first`.
    """

    def __init__(self) -> None:
        self._place: dict[Member, int] = {}

    def split(self, tree: Tree, sets: Mapping[int, Sequence[int]], inside_left: bool) -> Tree:
        """Return a tree some of whose nodes split on sets.

        Parameters
        ----------
        tree : Tree
            With children, ``feature`` and ``missing_left`` as learned, whatever the node asks for.
        sets : mapping of int to sequence of int
            Codes of the set, by node.
        inside_left : bool
            Whether rows in the set go left; else all others do.
        """
        if not sets:
            return tree
        nodes = np.array(list(sets))
        feature, threshold = tree.feature.copy(), tree.threshold.copy()
        for node, codes in sets.items():
            member = Member(int(tree.feature[node]), tuple(sorted(codes)))
            feature[node] = -1 - self._place.setdefault(member, len(self._place))
        threshold[nodes] = 0.5
        left, right, missing = tree.left.copy(), tree.right.copy(), tree.missing_left.copy()
        if inside_left:
            left[nodes], right[nodes] = tree.right[nodes], tree.left[nodes]
            missing[nodes] = ~tree.missing_left[nodes]
        return replace(
            tree,
            left=left,
            right=right,
            missing_left=missing,
            feature=feature,
            threshold=threshold,
        )

    def first(self, trees: Sequence[Tree]) -> tuple[tuple[Member, ...], tuple[Tree, ...]]:
        """Return the columns, and the trees as they read a table that begins with them."""
        n = len(self._place)
        moved = [t.feature for t in trees]
        features = [
            np.where(f < 0, -1 - f, np.where(t.leaf, 0, f + n))
            for f, t in zip(moved, trees, strict=True)
        ]
        return tuple(self._place), tuple(
            replace(t, feature=f) for t, f in zip(trees, features, strict=True)
        )


def with_members(graph: Graph, members: Sequence[Member], tensor: str) -> str:
    """Append the columns of members, in front of a tensor of numbers."""
    if not members:
        return tensor
    found, order = [], []
    for source in sorted({member.source for member in members}):
        here = [i for i, member in enumerate(members) if member.source == source]
        order += here
        found.append(
            _of_one(graph, [members[i].codes for i in here], column(graph, tensor, source))
        )
    columns = graph.op("Concat", *found, axis=1) if len(found) > 1 else found[0]
    if order != sorted(order):
        places = graph.constant(np.argsort(order), np.int64)
        columns = graph.op("Gather", columns, places, axis=1)
    return graph.op("Concat", columns, tensor, axis=1)


def _of_one(graph: Graph, sets: Sequence[tuple[int, ...]], codes: str) -> str:
    """Columns of the sets of one source."""
    table = _table(sets)
    n = len(table) - 3
    codes = flat(graph, codes)
    known = graph.op("Max", graph.op("Min", codes, graph.numbers(n)), graph.numbers(-1))
    row = graph.op("Where", graph.op("IsNaN", codes), graph.numbers(n + 1), known)
    return graph.op("Gather", graph.numbers(table), graph.cast(row, np.int64), axis=0)


def _table(sets: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Rows of codes 0, 1, ..., of a larger one, of a missing one and, from the end, of -1."""
    n = 1 + max((max(codes) for codes in sets if codes), default=-1)
    table = np.zeros((n + 3, len(sets)))
    for j, codes in enumerate(sets):
        table[list(codes), j] = 1
    table[n + 1] = np.nan
    return table
