"""``python -m fairuse_router``: the command line."""

import sys

from fairuse_router.cli import main

if __name__ == "__main__":
    sys.exit(main())
