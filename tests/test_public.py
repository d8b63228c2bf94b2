"""What is public is what a package names in ``__all__``; benchmarks and models use nothing else."""

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

import fairuse_router

PROJECT = Path(fairuse_router.__file__).parent.parent
DOORS = (
    "router",
    "audit",
    "bundle",
    "card",
    "routing",
    "groups",
    "metrics",
    "inference",
    "datasets",
    "displays",
    "engines.dask",
    "engines.mlflow",
    "engines.skops",
    "engines.spark",
)
# parts that are measured alone, on purpose; this list may get shorter
INSIDE = {
    ("failure_modes", "fairuse_router.candidates.injection", "inject"),
    ("multilevel_cost", "fairuse_router.candidates.multilevel", "fit_multilevel"),
    ("multilevel_cost", "fairuse_router.candidates.recipes", "fit_candidate"),
    ("multilevel_cost", "fairuse_router.candidates.recipes", "make_recipes"),
    ("multilevel_cost", "fairuse_router.rows", "TrainingRows"),
    ("pool", "fairuse_router.candidates.blended", "blend"),
    ("pool", "fairuse_router.candidates.blended", "is_blend"),
    ("pool", "fairuse_router.candidates.candidate", "ServedModel"),
    ("pool", "fairuse_router.candidates.crossfit", "Training"),
    ("pool", "fairuse_router.candidates.crossfit", "fit_pool"),
    ("pool", "fairuse_router.candidates.lattice", "Lattice"),
    ("pool", "fairuse_router.candidates.lattice", "Reports"),
    ("pool", "fairuse_router.candidates.names", "halves"),
    ("pool", "fairuse_router.candidates.recipes", "make_recipes"),
    ("pool", "fairuse_router.rows", "TrainingRows"),
    ("real_data", "fairuse_router.candidates.candidate", "as_classes"),
    ("serving", "fairuse_router.bundle.plans", "dispatch"),
}
SERVED = ("starlette", "uvicorn", "h11")  # without them, what serves cannot be looked at
DOORS += ("serving",) if all(map(find_spec, SERVED)) else ()
PUBLIC = {"fairuse_router", *(f"fairuse_router.{door}" for door in DOORS)}


def imports():
    """Who imports what from where in benchmarks and models."""
    for folder in ("benchmarks", "models"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    if node.module.split(".")[0] == "fairuse_router":
                        yield from ((path.stem, node.module, alias.name) for alias in node.names)
                elif isinstance(node, ast.Import):
                    for alias in node.names:
                        if alias.name.startswith("fairuse_router."):
                            yield path.stem, alias.name, ""


@pytest.mark.parametrize("door", sorted(PUBLIC))
def test_every_public_name_is_there(door):
    module = importlib.import_module(door)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


def test_benchmarks_and_models_use_what_is_public():
    found = set(imports())
    assert len(found) > 50
    beyond = {
        (who, module, name)
        for who, module, name in found
        if f"{module}.{name}" not in PUBLIC
        and (module not in PUBLIC or name not in importlib.import_module(module).__all__)
    }
    assert beyond - INSIDE == set(), "import it from a public path, or make it public there"
    assert INSIDE - beyond == set(), "no longer used: take it off the list"


def test_every_public_name_has_an_example():
    named = {
        (value.__module__.removeprefix("fairuse_router."), name): value
        for door in PUBLIC
        for name, value in vars_of(door).items()
        if callable(value)
    }
    texts = {".".join(key): value.__doc__ or "" for key, value in named.items()}
    assert [key for key, text in texts.items() if ">>>" not in text] == []
    assert [key for key, text in texts.items() if "+SKIP" in text] == [], "let it run"
    assert len(texts) > 100


def vars_of(door):
    """What a package names in `__all__`."""
    module = importlib.import_module(door)
    return {name: getattr(module, name) for name in module.__all__}
