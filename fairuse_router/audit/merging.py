"""Sums of sites: levels that one lacks, and what is too small to be told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fairuse_router.audit.parts import Parts
from fairuse_router.groups import GroupSchema
from fairuse_router.inference.cells import Cells
from fairuse_router.inference.counts import add_scores

__all__ = ["add_parts", "hide_small", "merge_levels"]


def merge_levels(first: GroupSchema, second: GroupSchema) -> GroupSchema:
    """Return the groups of both.

    Raises
    ------
    ValueError
        If they have other attributes.
    """
    if (first.attributes, first.withheld) != (second.attributes, second.withheld):
        raise ValueError(
            f"These sums are of other group attributes: {first.attributes} and "
            f"{second.attributes}. Name the same ones, in the same order."
        )
    levels = tuple(_union(a, b) for a, b in zip(first.levels, second.levels, strict=True))
    merged = replace(first, levels=levels)
    if merged not in (first, replace(second, positions=first.positions)):
        merged.warn_of_alike_levels()
    return merged


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Levels of both, in the order that both are in; else those of the first before the rest."""
    if set(second) <= set(first):
        return first
    if set(first) <= set(second):
        return second
    together = list(dict.fromkeys((*first, *second)))
    for order in (_number, str):
        try:
            if all(list(levels) == sorted(levels, key=order) for levels in (first, second)):
                return tuple(sorted(together, key=order))
        except ValueError:
            continue
    return tuple(together)


def _number(text: str) -> float:
    return float(text)


def add_parts(
    first: tuple[GroupSchema, Parts], second: tuple[GroupSchema, Parts], schema: GroupSchema
) -> Parts:
    """Add the parts of two sites, renumbered as the groups of both are."""
    one, other = (_renumbered(parts, own, schema) for own, parts in (first, second))
    merged = {**one, **other}
    for name in one.keys() & other.keys():
        if (axes := _axes(name)) is None:
            merged[name] = one[name] + other[name]
        else:
            merged[name] = add_scores(axes, one[name], other[name])
    return merged


def _axes(name: str) -> int | None:
    """How many scores cells of this part count; None for other parts."""
    return {"score": 1, "joint": 2}.get(name.split("\t")[0])


def _renumbered(parts: Parts, own: GroupSchema, schema: GroupSchema) -> Parts:
    """Parts with the groups of another schema, which has all of theirs."""
    if own.levels == schema.levels:
        return parts
    names = {name: g for g, name in enumerate(schema.group_names())}
    return _moved(parts, np.array([names[name] for name in own.group_names()]), len(names))


def _moved(parts: Parts, new: np.ndarray, m: int) -> Parts:
    """Parts with group g as group ``new[g]`` of m; -1 leaves it out."""
    kept = np.flatnonzero(new >= 0)
    found: Parts = {}
    for name, values in parts.items():
        if (axes := _axes(name)) is not None:
            found[name] = Cells.unpacked(axes, values).take(new).packed()
            continue
        if name == "partial":
            found[name] = values
            continue
        axis = 1 if name.startswith(("gain", "lattice")) else 0
        values = np.moveaxis(values, axis, 0)
        out = np.zeros((m + len(values) - len(new), *values.shape[1:]))
        out[new[kept]] = values[kept]
        out[m:] = values[len(new) :]  # sums of all groups
        found[name] = np.moveaxis(out, 0, axis)
    return found


def hide_small(parts: Parts, m: int, min_cell: int) -> Parts:
    """Leave out what fewer than `min_cell` rows would be known by.

    Parameters
    ----------
    parts : dict of str to ndarray
    m : int
        Number of groups.
    min_cell : int

    Returns
    -------
    dict of str to ndarray
    """
    n = parts["n"]
    order = [g for g in np.argsort(n, kind="stable").tolist() if n[g] > 0]
    hidden = [g for g in order if n[g] < min_cell]
    if len(hidden) == 1:  # sums of all groups would give the one away
        hidden = order[:2]
    new = np.arange(m)
    new[hidden] = -1
    shown = _moved(parts, new, m)
    for name, values in shown.items():
        if (axes := _axes(name)) is not None:
            shown[name] = Cells.unpacked(axes, values).coarser(min_cell, 2).packed()
        elif name.startswith("ece\t"):
            few = shown[name.replace("ece\t", "ece rows\t")] < min_cell
            shown[name] = np.where(few, 0.0, values)
    for name in [name for name in shown if name.startswith("ece rows\t")]:
        shown[name] = np.where(shown[name] < min_cell, 0.0, shown[name])
    return shown
