"""The policies and what each promises, as cards say it."""

from pathlib import Path

from fairuse_router.routing.policies.promises import PROMISES
from site_parts.pages import write_page


def write(folder: Path) -> None:
    """Write the table, to be included."""
    lines = ["| `policy=` | rule | promise |", "|---|---|---|"]
    lines += [f'| `"{name}"` | {rule} | {promise} |' for name, (rule, promise) in PROMISES.items()]
    write_page(folder / "policies.inc", lines)
