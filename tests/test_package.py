"""What is published: one version, one list of needs, wherever they are written."""

import importlib
import re
import tomllib
from pathlib import Path

from engines_needed import need

import fairuse_router

ROOT = Path(fairuse_router.__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RECIPE = (ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8")
CITATION = (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def listed(section):
    """The entries of a list in the recipe."""
    block = re.search(rf"^  {section}:\n((?:    - .*\n)+)", RECIPE, re.M)
    return [line.removeprefix("    - ") for line in block[1].splitlines()]


def test_the_version_is_the_same_everywhere():
    version = fairuse_router.__version__
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    dated = next(heading for heading in headings if heading != "Unreleased")
    date = re.search(r"^date-released: (\S+)$", CITATION, re.M)[1]
    assert dated == f"{version} ({date})"
    assert re.search(r"^version: (\S+)$", CITATION, re.M)[1] == version
    assert re.search(r"^  version: (\S+)$", RECIPE, re.M)[1] == version
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "fairuse_router/__init__.py"


def test_the_recipe_needs_what_the_package_needs():
    needs = [need.replace(">=", " >=") for need in PROJECT["project"]["dependencies"]]
    python = f"python {PROJECT['project']['requires-python']}"
    assert listed("run") == [python, *needs]
    assert listed("host") == [
        python,
        "pip",
        PROJECT["build-system"]["requires"][0].replace(">=", " >="),
    ]
    (script,) = PROJECT["project"]["scripts"].items()
    assert f"- {script[0]} = {script[1]}\n" in RECIPE


def test_rattler_build_reads_the_recipe_as_it_is_meant():
    need("rattler_build")
    from rattler_build import Stage0Recipe

    (variant,) = Stage0Recipe.from_yaml(RECIPE).render()
    told = variant.recipe.to_dict()
    assert told["package"] == {"name": "fairuse-router", "version": fairuse_router.__version__}
    assert told["requirements"] == {"host": listed("host"), "run": listed("run")}
    assert told["build"]["noarch"] == "python"
    assert told["about"]["license"] == PROJECT["project"]["license"]
    assert (ROOT / "conda" / told["source"][0]["path"] / told["about"]["license_file"][0]).is_file()
    (imports,) = (test["python"]["imports"] for test in told["tests"] if "python" in test)
    for name in imports:
        importlib.import_module(name)


def test_what_the_sdist_names_is_there():
    for name in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]:
        assert (ROOT / name).exists()
