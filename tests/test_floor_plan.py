"""The floor plan: imports run downwards only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fairuse_router

ROOT = Path(fairuse_router.__file__).parent

# a module may import from lower floors, and from the modules named before it on its own floor
FLOORS = [
    ["files", "documents", "frames", "levels", "groups", "metrics", "inference", "datasets"],
    [
        "routing.promises",
        "routing.routed",
        "routing.asking",
        "routing.records",
        "routing.collapse",
        "routing.display",
        "routing.picture",
        "routing.plan",
        "routing.table",
        "audit",
        "corrected",
        "routing.evidence",
        "routing.shrunken",
        "routing.tested",
        "routing.slope",
        "routing.policies",
        "routing",
        "candidates",
        "misreports",
        "percolumn",
        "injection",
        "pruning",
        "weighting",
        "splitting",
        "recipes",
        "multilevel",
        "fitting",
        "prefit",
        "auditing",
        "honest",
        "choosing",
        "checks",
        "convertible",
        "encoding",
        "explaining",
        "retabling",
        "shifts",
        "reauditing",
        "training",
    ],
    ["router", "fitted"],
    ["bundle", "card"],
    ["cli"],
]
RANK = {name: (floor, i) for floor, names in enumerate(FLOORS) for i, name in enumerate(names)}


def place(module: str) -> str:
    """Longest known prefix of a module below the package."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        if name in RANK:
            return name
    raise AssertionError(f"{module} has no place in the floor plan")


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and parts != ("__main__",):
            yield ".".join(parts), path


def imported(path: Path):
    """Modules of the package that a file imports when it runs."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fairuse_router"):
            below = (node.module or "").removeprefix("fairuse_router").lstrip(".")
            for alias in node.names:
                name = f"{below}.{alias.name}".lstrip(".")
                yield name if name in RANK else below or alias.name


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda v: str(v)[-30:])
def test_imports_run_downwards(module, path):
    home = place(module)
    for other in imported(path):
        target = place(other)
        same_package = target.split(".")[0] == home.split(".")[0]
        if target == home or (same_package and RANK[target] <= RANK[home]):
            continue
        if same_package and path.name == "__init__.py":
            continue
        assert RANK[target][0] <= RANK[home][0], f"{module} imports {other} from a higher floor"
        if RANK[target][0] == RANK[home][0]:
            assert RANK[target] < RANK[home], f"{module} imports {other}, which comes after it"


def test_benchmarks_and_models_use_public_names_only():
    for folder in ("benchmarks", "models"):
        for path in (ROOT.parent / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and "fairuse_router" in (node.module or ""):
                    private = [a.name for a in node.names if a.name.startswith("_")]
                    assert not private, f"{path} imports {private}"


def test_files_stay_readable():
    folders = ("fairuse_router/**", "tests", "benchmarks", "models/**")
    paths = [path for folder in folders for path in ROOT.parent.glob(f"{folder}/*.py")]
    assert len(paths) > 200
    long = {p.name: n for p in paths if (n := len(p.read_text().splitlines())) > 460}
    assert not long, f"one idea a file, under about 450 lines: {long}"


def test_serving_a_bundle_loads_no_scikit_learn():
    code = (
        "import sys; from fairuse_router import Bundle; import fairuse_router.bundle.reader; "
        "import fairuse_router.bundle.arguments, fairuse_router.bundle.verify; "
        "sys.exit(any(m in sys.modules for m in ('sklearn', 'skl2onnx', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
