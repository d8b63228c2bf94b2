"""``fairuse-router export-serving``: a bundle as other servers want it."""

from __future__ import annotations

import argparse

from fairuse_router.cli.console import paragraph
from fairuse_router.serving.manifest import export_serving


def run(args: argparse.Namespace) -> None:
    """Write it, and say what for."""
    written = export_serving(args.bundle, args.out, name=args.name, storage_uri=args.storage_uri)
    files = ", ".join(str(path) for path in written)
    print(
        paragraph(
            f"Wrote {files}. Triton serves the folder by --model-repository={args.out}; for KServe "
            f"put it where {args.storage_uri} leads, and apply the manifest."
        )
    )
