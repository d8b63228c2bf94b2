"""Lookups: what each text of a column adds to the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.graph.blocks import text_codes
from fairuse_router.bundle.graph.builder import Graph


@dataclass(frozen=True, eq=False)
class Lookup:
    """What a column of texts adds to some scores.

    Parameters
    ----------
    texts : tuple of str
    added : ndarray of shape (n_texts + 1, S)
        The last row is that of any other text.
    """

    texts: tuple[str, ...]
    added: NDArray[np.float64]

    def of(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """What some texts add, shape (len(texts), S)."""
        place = {text: i for i, text in enumerate(self.texts)}
        return self.added[[place.get(text, len(self.texts)) for text in texts]]

    def scaled(self, factor: float) -> Lookup:
        """Return it times a factor."""
        return Lookup(self.texts, factor * self.added)


Lookups = Mapping[int, Lookup]  # by the number of the column


def in_sum(first: Lookup | None, second: Lookup) -> Lookup:
    """Add two lookups of the same column; None is nothing."""
    if first is None:
        return second
    texts = tuple(dict.fromkeys([*first.texts, *second.texts]))
    added = [np.concatenate([one.of(texts), one.added[-1:]]) for one in (first, second)]
    return Lookup(texts, added[0] + added[1])


def side_by_side(parts: Sequence[Lookups], sizes: Sequence[int]) -> dict[int, Lookup]:
    """Join lookups that add to different scores, `sizes[i]` of them in part i."""
    joined = {}
    for column in sorted({column for part in parts for column in part}):
        own = [part.get(column) for part in parts]
        texts = tuple(dict.fromkeys(t for one in own if one is not None for t in one.texts))
        added = [
            np.zeros((len(texts) + 1, size))
            if one is None
            else np.concatenate([one.of(texts), one.added[-1:]])
            for one, size in zip(own, sizes, strict=True)
        ]
        joined[column] = Lookup(texts, np.concatenate(added, axis=1))
    return joined


def look_up(graph: Graph, lookup: Lookup, tensor: str, block: str, size: int) -> str:
    """Append what the texts of every row add to its own block of scores, shape (n, size).

    Parameters
    ----------
    graph : Graph
    lookup : Lookup
        Of all blocks side by side.
    tensor : str
        Texts, shape (n, 1).
    block : str
        Number of every row's block, int64, shape (n, 1).
    size : int
        Scores in a block.
    """
    code = text_codes(graph, tensor, lookup.texts, np.arange(len(lookup.added)))
    place = graph.op("Concat", code, block, axis=1)
    table = lookup.added.reshape(len(lookup.added), -1, size)
    return graph.op("GatherND", graph.numbers(table), place)
