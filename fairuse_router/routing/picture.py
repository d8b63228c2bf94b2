"""The disclosure plan as a picture: a tree of questions, from left to right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairuse_router.grids import shown
from fairuse_router.routing.display import server_in_words

_ASK = {"boxstyle": "round,pad=0.4", "facecolor": "#dbe9f6", "edgecolor": "#2166ac"}
_END = {"boxstyle": "round,pad=0.3", "facecolor": "#f0f0f0", "edgecolor": "#bdbdbd"}
_OWN = {"boxstyle": "round,pad=0.3", "facecolor": "#d9f0d3", "edgecolor": "#1b7837"}
_STEP = 2.6  # inches between one question and the next
_LINE = 0.42  # inches between two ends
_LETTER = 0.066  # inches, generously, of a letter at an end
_ROOM = 0.6  # steps for an end, at the least


def draw_tree(tree: Mapping[str, Any], attributes: tuple[str, ...], ax: Any = None) -> Any:
    """Draw the tree of `DisclosurePlan.to_dict`; without axes, on a figure of the size it needs."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('plot needs matplotlib: pip install "fairuse-router[plot]".') from error
    ends, reach = _size(tree)
    if ax is None:
        size = (max(_STEP * (reach + 0.1), 4.5), _LINE * max(ends, 2) + 0.8)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    _draw(ax, tree, 0.0, 0.0)
    ax.set_xlim(-0.1, reach)
    ax.set_ylim(ends - 0.4, -0.6)
    ax.set_axis_off()
    title = shown(f"What to ask of {', '.join(attributes)}")
    ax.set_title(title, loc="left", fontsize=10, parse_math=False)
    return ax


def _size(node: Mapping[str, Any]) -> tuple[int, float]:
    """Ends below a node, and steps from it to where the last of their texts stops."""
    if "ask" not in node:
        return 1, max(_ROOM, _LETTER * len(_end_text(node)) / _STEP)
    below = [_size(after) for after in node["branches"].values()]
    return sum(n for n, _ in below), 1 + max(r for _, r in below)


def _end_text(node: Mapping[str, Any]) -> str:
    """Who serves, by how much of it, and how many rows."""
    return f"{server_in_words(node['candidate'], node['strength'])}  ({node['rows']:,})"


def _draw(ax: Any, node: Mapping[str, Any], x: float, top: float) -> float:
    """Draw a node and all below it; return its height on the page."""
    if "ask" not in node:
        box = _END if node["route"] == 0 else _OWN
        _write(ax, x, top, _end_text(node), fontsize=8, bbox=box, zorder=3)
        return top
    places, start = [], top
    for level, after in node["branches"].items():
        y = _draw(ax, after, x + 1, start)
        places.append((level, y))
        start += _size(after)[0]
    y = (places[0][1] + places[-1][1]) / 2
    for level, end in places:
        ax.plot([x, x + 0.5, x + 0.97], [y, end, end], color="#737373", lw=1, zorder=1)
        _write(ax, x + 0.53, end - 0.08, level, va="bottom", fontsize=8)
    _write(ax, x, y, f"{node['ask']}?", fontsize=9, bbox=_ASK, zorder=3)
    return y


def _write(ax: Any, x: float, y: float, text: str, va: str = "center", **style: Any) -> None:
    """Write a text as it is: a level with dollars is no formula."""
    ax.text(x, y, shown(text), va=va, ha="left", parse_math=False, **style)
