"""``fairuse-router serve``: bundles over HTTP."""

from __future__ import annotations

import argparse
import logging
import sys


def run(args: argparse.Namespace) -> None:
    """Serve until told to stop; what was asked is said on standard error, never of whom."""
    from fairuse_router.serving.app import Limits
    from fairuse_router.serving.run import serve

    if not args.quiet:
        log = logging.getLogger("fairuse_router.access")
        log.setLevel(logging.INFO)
        log.addHandler(logging.StreamHandler(sys.stderr))
    limits = Limits(int(args.max_mb * 2**20), args.max_rows, timeout=args.timeout)
    where = {"host": args.host, "port": args.port}
    serve(args.bundles, **where, limits=limits, min_cell=args.min_cell, threads=args.threads)
