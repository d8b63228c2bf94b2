"""What only some systems have, as marks of tests."""

import os
import sys

import pytest

POSIX = pytest.mark.skipif(os.name != "posix", reason="rights, links, pipes or a shell of POSIX")
FORKS = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks that are safe")
