"""The API reference: every name in `__all__` of every public package, once."""

import importlib
import inspect
from pathlib import Path
from typing import Any

from site_parts.pages import title, write_page

DOORS = {
    "router": "The router: fit, predict, audit, deploy",
    "audit": "Audits, of routers and of any predictions",
    "routing": "Routing tables, disclosure plans and policies",
    "bundle": "Bundles: one ONNX file",
    "card": "Cards: one page for a reviewer",
    "displays": "Pictures of what audits found",
    "groups": "Group attributes, levels and reports",
    "metrics": "Metrics",
    "inference": "Statistics: arrays in, numbers out",
    "datasets": "Data sets and populations with known truth",
    "serving": "Serving: a server, a page, what other servers want",
    "engines.spark": "Engines: Spark",
    "engines.dask": "Engines: Dask",
    "engines.mlflow": "Engines: MLflow",
    "engines.skops": "Engines: what skops must trust",
}


def public_names(door: str) -> dict[str, Any]:
    """Return what a package names in `__all__`."""
    module = importlib.import_module(f"fairuse_router.{door}")
    return {name: getattr(module, name) for name in sorted(module.__all__, key=str.lower)}


def documented() -> dict[str, dict[str, Any]]:
    """Return the public names by package, each in the package where it lives."""
    found: dict[str, dict[str, Any]] = {}
    for door in DOORS:
        names = public_names(door)
        found[door] = {
            name: value for name, value in names.items() if not _is_at_home_elsewhere(value, door)
        }
    return found


def _is_at_home_elsewhere(value: Any, door: str) -> bool:
    """Whether another public package defines it and names it."""
    parts = getattr(value, "__module__", "").split(".")
    home = parts[1] if len(parts) > 1 and parts[0] == "fairuse_router" else door
    home = door if door.startswith(f"{home}.") else home
    return home != door and home in DOORS and value.__name__ in public_names(home)


def write(folder: Path) -> None:
    """Write a page for every public package, and one that lists what lies at the top."""
    for door, names in documented().items():
        module = importlib.import_module(f"fairuse_router.{door}")
        lines = [f".. _api-{door}:", "", *title(f"fairuse_router.{door}")]
        lines += [*inspect.cleandoc(module.__doc__ or "").splitlines(), ""]
        for name, value in names.items():
            lines += _directive(f"fairuse_router.{door}", name, value)
        write_page(folder / f"{door}.rst", lines)
    write_page(folder / "top.rst", _top())


def _directive(module: str, name: str, value: Any) -> list[str]:
    if inspect.isclass(value):
        return [f".. autoclass:: {module}.{name}", ""]
    if callable(value):
        return [f".. autofunction:: {module}.{name}", ""]
    shown = repr(value)
    shown = shown if len(shown) < 90 else f"{type(value).__name__} of {', '.join(map(repr, value))}"
    return [f".. py:data:: {module}.{name}", "", f"   {shown}", ""]


def _top() -> list[str]:
    import fairuse_router

    lines = [
        *title("API"),
        "What most programs need is imported from ``fairuse_router`` itself:",
        "",
    ]
    for name in fairuse_router.__all__:
        home = fairuse_router._HOMES[name]
        lines.append(f"- ``{name}``, see :py:obj:`fairuse_router.{home}.{name}`")
    lines += ["", ".. toctree::", "   :maxdepth: 1", ""]
    lines += [f"   {text} <{door}>" for door, text in DOORS.items()]
    return lines
