"""The clinic's guide runs as it stands."""

import doctest
from pathlib import Path

GUIDE = Path(__file__).parents[1] / "docs" / "clinic.md"


def test_the_clinics_guide_runs():
    found = doctest.testfile(str(GUIDE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 20
    assert not found.failed


def test_its_pictures_are_there():
    for line in GUIDE.read_text(encoding="utf-8").splitlines():
        if line.startswith("!["):
            assert (GUIDE.parent / line.split("(")[-1].rstrip(")")).exists()
