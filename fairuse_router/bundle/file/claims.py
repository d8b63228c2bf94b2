"""Claims: what a file says of itself is believed only as far as it has the right form.

Every part of the metadata is held against a form (plain types, nested), then against the others:
sizes are bounded before anything of that size is built, and every number that points somewhere
must point at something.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any

from fairuse_router.groups import MAX_REPORTS

# a type, [form] for a list, {name: form} for a dictionary that may hold more ("name?" may lack),
# {str: form} for one with any names, or a tuple of forms of which one must fit
_NUMBER = (int, float)
_GAIN = (int, float, str, None)  # infinities are texts
_RECORD = {
    "report": [str],
    "rows": (int, None),
    "candidate": str,
    "reason": str,
    "risks": {str: _GAIN},
    "gain": _GAIN,
    "low": _GAIN,
    "high": _GAIN,
    "unavailable": {str: str},
    "strength?": _NUMBER,
    "real?": ([_NUMBER], None),
    "base?": ([str], None),
    "keeps?": bool,
    "further?": {str: [_GAIN]},
}
FORMS: dict[str, Any] = {
    "schema": {
        "attributes": [str],
        "positions": [int],
        "levels": [[str]],
        "withheld": (str, None),
        "handle_unknown": str,
    },
    "features": {
        "columns": [{"name": str, "position": int, "numeric": bool, "input": str}],
        "width": int,
        "names": ([str], None),
        "number?": str,
        "report?": str,
        "no_missing?": [str],
        "no_infinite?": [str],
    },
    "classes": ({"dtype": str, "labels": ([int], [str])}, None),
    "routing_table": {
        "policy": str,
        "metric": str,
        "alpha": _NUMBER,
        "routes": [
            {
                "candidate": str,
                "group": (int, None),
                "strength": _NUMBER,
                "report?": (int, None),
                "parts?": [{"report": int, "weight": _NUMBER}],
            }
        ],
        "grid": [int],
        "groups": [_RECORD],
        "partial?": [_RECORD],
        "note?": str,
        "history?": [
            {
                "event": str,
                "report": [str],
                "candidate": str,
                "reason": str,
                "rows": (int, None),
                "gain": _GAIN,
                "low": _GAIN,
                "high": _GAIN,
            }
        ],
    },
    "candidates": [{"name": str, "estimator": str, "models": int, "told": [str]}],
    "certificate": {
        "rows": int,
        "reports": int,
        "rows_per_report": int,
        "checks": int,
        "label_flips?": int,  # a regression has no labels
        "compared": str,
        "max_difference": _NUMBER,
        "tolerance": _NUMBER,
        "precision?": str,
        "versions": {str: str},
    },
    "audit": (dict, None),
    "held_out": (dict, None),
    "honest_gains": (dict, None),
    "class_counts": ([([int], None)], None),
    "compared": ([str], None),
}
_MOST_CELLS = 10_000_000
_NAMES: dict[Any, str] = {
    **{int: "a whole number", float: "a number", str: "a text", bool: "true or false"},
    **{list: "a list", dict: "a dictionary", None: "nothing"},
}


def check_claims(parts: Mapping[str, Any]) -> None:
    """Refuse metadata of the wrong form, or whose parts contradict each other.

    Parameters
    ----------
    parts : dict of str to object
        Parsed JSON by key, without the prefix.

    Raises
    ------
    ValueError
        The message names the place.
    """
    for key, form in FORMS.items():
        _expect(parts[key], form, key)
    _check_schema(parts["schema"])
    _check_features(parts["features"], parts["schema"])
    _check_classes(parts["classes"])
    _check_table(parts["routing_table"], parts["schema"], parts["candidates"])
    _check_beside(parts)


def _expect(data: Any, form: Any, place: str) -> None:
    """Hold data against a form."""
    if not _checker(form)(data):  # words are found for what is wrong only
        raise ValueError(_misfit(data, form, place))


def _checker(form: Any) -> Callable[[Any], bool]:
    """Whether parsed JSON has a form, as a function that is quick on many records."""
    if isinstance(form, list):
        item = _checker(form[0])
        return lambda data: type(data) is list and all(map(item, data))
    if isinstance(form, dict) and str in form:
        item = _checker(form[str])
        return lambda data: type(data) is dict and all(map(item, data.values()))
    if isinstance(form, dict):
        needed = {k for k in form if not k.endswith("?")}
        inner = [(k.removesuffix("?"), _checker(f)) for k, f in form.items()]
        return lambda data: (
            type(data) is dict
            and needed <= data.keys()
            and all(fits(data[k]) for k, fits in inner if k in data)
        )
    forms = form if isinstance(form, tuple) else (form,)
    kinds = {NoneType if f is None else f for f in forms if f is None or isinstance(f, type)}
    nested = [_checker(f) for f in forms if isinstance(f, (list, dict, tuple))]
    return lambda data: type(data) in kinds or any(fits(data) for fits in nested)


def _misfit(data: Any, form: Any, place: str) -> str | None:
    """What is wrong with data, if anything is."""
    if _checker(form)(data):
        return None
    if isinstance(form, tuple):
        return _misfit(data, form[0], place)
    if isinstance(form, list) and isinstance(data, list):
        found = (_misfit(v, form[0], f"{place}[{i}]") for i, v in enumerate(data))
        return next(p for p in found if p)
    if isinstance(form, dict) and isinstance(data, dict):
        names = dict.fromkeys(data, form[str]) if str in form else form
        missing = [k for k in names if k not in data and not k.endswith("?")]
        if missing:
            return f"its metadata has no {place}.{missing[0]}"
        inner = {k.removesuffix("?"): f for k, f in names.items()} if str not in form else names
        found = (_misfit(data[k], f, f"{place}.{k}") for k, f in inner.items() if k in data)
        return next(p for p in found if p)
    kind = type(form) if isinstance(form, (list, dict)) else form
    return _wrong(data, place, _NAMES[kind])


def _wrong(data: Any, place: str, wanted: str) -> str:
    shown = repr(data)[:40] if isinstance(data, (str, int, float)) else type(data).__name__
    return f"its metadata has {shown} as {place[:80]}, where {wanted} belongs"


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(f"its metadata contradicts itself: {problem}")


def _check_schema(schema: Mapping[str, Any]) -> None:
    attributes, levels = schema["attributes"], schema["levels"]
    k = len(attributes)
    _require(k > 0, "it has no group attributes")
    _require(len(set(attributes)) == k, "two group attributes share a name")
    _require(len(schema["positions"]) == len(levels) == k, f"it has {k} group attributes, not all")
    reports = math.prod(len(texts) + 1 for texts in levels)
    _require(reports <= MAX_REPORTS, f"its group attributes span {reports:.3g} reports")
    for name, texts in zip(attributes, levels, strict=True):
        _require(len(texts) > 0, f"the group attribute {name[:40]!r} has no levels")
        _require(len(set(texts)) == len(texts), f"two levels of {name[:40]!r} share a text")
        marks = {"", schema["withheld"]} & set(texts)
        _require(not marks, f"{name[:40]!r} has the level {marks}, which withholds")
    _require(schema["handle_unknown"] in ("error", "withhold"), "handle_unknown is not known")


def _check_features(features: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    columns, width, names = features["columns"], features["width"], features["names"]
    positions = [c["position"] for c in columns] + schema["positions"]
    _require(len(columns) > 0, "it has no features")
    # the columns of audit_only have no place
    _require(width >= len(positions), f"it has {width} columns, and places for {len(positions)}")
    distinct = len(set(positions)) == len(positions)
    _require(distinct and max(positions) < width, "its columns do not add up")
    if names is not None:
        _require(len(names) == width, f"it has {width} columns, and names for {len(names)}")
        told = [(c["name"], c["position"]) for c in columns]
        told += zip(schema["attributes"], schema["positions"], strict=True)
        _require(all(names[p] == name for name, p in told), "its columns have two names each")
    _require(features.get("number", "float32") in ("float32", "float64"), "its numbers are odd")
    _require(features.get("report", "texts") in ("texts", "codes"), "its reports are odd")
    inputs = [c["input"] for c in columns]
    fit = all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in inputs)
    _require(fit, "its inputs are no identifiers")
    alone = 1 if all(c["numeric"] for c in columns) else len(columns)
    _require(len(set(inputs)) == alone, f"its features have {len(set(inputs))} inputs, not {alone}")


def _check_classes(classes: Mapping[str, Any] | None) -> None:
    if classes is None:
        return
    dtype, labels = classes["dtype"], classes["labels"]
    _require(bool(re.fullmatch(r"[<>=|]?[OUbiuf][0-9]{0,4}", dtype)), f"classes are {dtype[:20]!r}")
    _require(len(labels) > 1, "it has fewer than two classes")
    _require(len(set(labels)) == len(labels), "two classes are one")
    _require(labels == sorted(labels), "its classes are in no order")
    is_text = isinstance(labels[0], str)
    _require(is_text == (dtype.lstrip("<>=|")[0] in "OU"), f"classes are {dtype[:20]!r}")
    width = int(re.sub(r"\D", "", dtype) or 1)
    _require(width * len(labels) <= _MOST_CELLS, f"{len(labels)} classes are {dtype[:20]!r}")


def _check_table(
    table: Mapping[str, Any], schema: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]]
) -> None:
    sizes = [len(texts) for texts in schema["levels"]]
    groups, reports = math.prod(sizes), math.prod(size + 1 for size in sizes)
    routes, grid, records = table["routes"], table["grid"], table["groups"]
    _require(0 < table["alpha"] < 1, f"alpha is {table['alpha']}")
    _require(len(grid) == reports, f"it has routes for {len(grid)} of {reports} reports")
    _require(len(records) == groups, f"it has records of {len(records)} of {groups} groups")
    _require(len(routes) > 0, "it has no routes")
    past = [r for r in grid if not 0 <= r < len(routes)]
    _require(not past, f"its routing table points at route {past[:1]} of {len(routes)}")
    names = {candidate["name"] for candidate in candidates}
    for route in routes:
        group = route["group"]
        _require(route["candidate"] in names, f"no candidate {route['candidate'][:40]!r} serves")
        _require(group is None or 0 <= group < groups, f"a route is for group {group} of {groups}")
        _require(0 < route["strength"] <= 1, f"a route has the strength {route['strength']}")
        for report in (route.get("report"), *(part["report"] for part in route.get("parts", []))):
            known = report is None or 0 < report < reports
            _require(known, f"a route is for report {report} of {reports}")
    for g, record in enumerate(records):
        told = []
        for texts in reversed(schema["levels"]):
            g, level = divmod(g, len(texts))
            told.append(texts[level])
        _require(record["report"] == told[::-1], "its records are not those of its groups")
    for record in (*records, *table.get("partial", [])):
        _check_gains([record["gain"], record["low"], record["high"], *record["risks"].values()])
        for gain in record.get("further", {}).values():
            _check_gains(gain)
            _require(len(gain) == 3, "a further gain is no gain with its interval")
    for change in table.get("history", []):
        _check_gains([change["gain"], change["low"], change["high"]])


def _check_beside(parts: Mapping[str, Any]) -> None:
    """What is kept for audits must fit the groups, the classes and the candidates."""
    counts, classes, compared = (parts[key] for key in ("class_counts", "classes", "compared"))
    if counts is not None:
        width = 0 if classes is None else len(classes["labels"])
        fit = all(row is None or (len(row) == width and min(row) >= 0) for row in counts)
        whole = len(counts) == len(parts["routing_table"]["groups"])
        _require(bool(width) and fit and whole, "its class counts are not those of its groups")
    if compared is not None:
        held = {candidate["name"] for candidate in parts["candidates"]}
        _require(set(compared) <= held, "it compares candidates that it does not hold")


def _check_gains(values: Sequence[Any]) -> None:
    for value in values:
        _require(not isinstance(value, str) or value in ("inf", "-inf"), f"a gain is {value!r}")
