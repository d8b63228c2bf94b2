"""The floor plan: imports run downwards only, and never in a circle."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import fairuse_router

ROOT = Path(fairuse_router.__file__).parent
PROJECT = ROOT.parent

# from the ground up; on one floor a room may import those named before it
FLOORS = [
    ["tables", "documents", "grids", "metrics"],
    ["levels", "inference", "datasets"],
    ["groups"],
    ["rows"],
    ["candidates"],
    ["routing"],
    ["audit", "bundle"],
    ["arguments", "card", "serving", "displays", "engines"],
    ["router"],
    ["cli"],
]
RANK = {name: (floor, i) for floor, names in enumerate(FLOORS) for i, name in enumerate(names)}
# a bundle is served by what these load, and they load no scikit-learn
LIGHT = ("bundle", "bundle.reader", "bundle.file.arguments", "bundle.verify", "audit", "routing")
FACES = ("", "__main__")  # the package's own door, which imports on first use


def modules():
    """Dotted names below the package, and their files."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name not in FACES:
            yield name, path


MODULES = dict(modules())


# libraries that one idea hides from all others
HIDDEN = {
    "json": {"documents"},
    "textwrap": {"grids", "cli.console"},
    "html": {"grids"},
}


def imported(path: Path):
    """Modules of the package that a file imports anywhere, also for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fairuse_router"):
            below = (node.module or "").removeprefix("fairuse_router").lstrip(".")
            for alias in node.names:
                inner = f"{below}.{alias.name}".lstrip(".")
                yield inner if inner in MODULES else below or alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("fairuse_router."):
                    yield alias.name.removeprefix("fairuse_router.")


ARROWS = {name: sorted(set(imported(path)) - {name}) for name, path in MODULES.items()}


def test_every_module_has_a_room():
    rooms = {name.split(".")[0] for name in MODULES}
    assert rooms == set(RANK)
    packages = {room for room in rooms if (ROOT / room).is_dir()}
    assert len(packages) <= 13
    assert len(rooms - packages) <= 8


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module):
    home = module.split(".")[0]
    for other in ARROWS[module]:
        target = other.split(".")[0]
        assert target == home or RANK[target] < RANK[home], (
            f"{module} imports {other}, which does not lie below it"
        )


def test_no_import_runs_in_a_circle():
    count = sum(map(len, ARROWS.values()))
    print(f"{count} imports read in {len(MODULES)} modules")
    assert count > 500
    # a package's door only hands on what lies in it
    inside = {
        name: {o for o in others if not (name.startswith(f"{o}.") or o == name)}
        for name, others in ARROWS.items()
    }
    try:
        tuple(graphlib.TopologicalSorter(inside).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_no_module_comes_through_the_door_of_its_own_package():
    for name, others in ARROWS.items():
        own = [other for other in others if name.startswith(f"{other}.")]
        assert not own, f"{name} imports {own}: name the module in it"


def defined(path: Path):
    """Names of the functions, classes and constants of a file, without their underscores."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name.lstrip("_")
        elif isinstance(node, ast.Assign):
            yield from (t.id.lstrip("_") for t in node.targets if isinstance(t, ast.Name))


@pytest.mark.parametrize("library", HIDDEN)
def test_tables_and_documents_are_written_in_one_place(library):
    users = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.module == library)
        or (isinstance(node, ast.Import) and library in (alias.name for alias in node.names))
    }
    assert users == HIDDEN[library]


@pytest.mark.parametrize("name", ["WIDTH", "clip", "Grid", "plain", "write_json", "read_json"])
def test_helpers_are_defined_once(name):
    homes = [module for module, path in MODULES.items() if name in defined(path)]
    assert len(homes) == 1, homes


def functions():
    """Every function of the package: where it stands, and its tree."""
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{name}.{node.name}", node


def parameters(node):
    given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return [a for a in given if a.arg not in ("self", "cls")]


def test_functions_stay_small():
    counts = {name: len(parameters(node)) for name, node in functions()}
    many = {name: n for name, n in counts.items() if n > 6 and not name.startswith("router.")}
    assert len(many) <= len(counts) / 100, many
    assert {name for name, n in counts.items() if n > 12} == {"router.__init__"}
    lengths = {
        name: node.end_lineno - node.lineno + 1 - documented(node) for name, node in functions()
    }
    assert not {name: n for name, n in lengths.items() if n > 60}


def documented(node):
    """Lines of a docstring."""
    first = node.body[0]
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return first.end_lineno - first.lineno + 1 if text else 0


def test_only_the_router_takes_itself_apart():
    untyped = [
        name
        for name, node in functions()
        for a in parameters(node)
        if a.arg == "router" and (a.annotation is None or ast.unparse(a.annotation) == "Any")
    ]
    assert len(untyped) <= 3, untyped
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                assert ast.unparse(node.value) != "router", f"{name} writes {ast.unparse(node)}"


def test_files_stay_readable():
    folders = ("fairuse_router", "tests", "benchmarks", "models")
    paths = [path for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    assert len(paths) > 200
    long = {
        p.name: n for p in paths if (n := len(p.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert not long, f"one idea a file, under about 450 lines: {long}"


@pytest.mark.parametrize("module", LIGHT)
def test_serving_a_bundle_loads_no_scikit_learn(module):
    code = (
        f"import sys; from fairuse_router import Bundle; import fairuse_router.{module}; "
        "sys.exit(any(m in sys.modules for m in ('sklearn', 'skl2onnx', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
