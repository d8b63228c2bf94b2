"""The tables of `benchmarks/results`, as they were printed."""

from pathlib import Path

from site_parts.pages import title, write_page

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
SHOWN = {
    "known_truth_logistic": "What each policy gains and whom it harms, logistic regression",
    "known_truth_boosting": "The same with boosting",
    "real_data_logistic": "Real data, logistic regression",
    "cost": "What the router costs beside its fits and predictions",
    "serving_1_thread": "Serving bundles, one thread",
    "validity": "Whether tests keep their level",
    "disclosure": "Asking less",
    "reaudit": "Re-auditing deployed routes",
    "peers": "Beside other packages",
    "converters": "Which estimators can be exported",
}
MODULES = ("known_truth", "real_data", *(name.split("_")[0] for name in SHOWN))


def write(folder: Path) -> None:
    """Write one page with the tables that are there."""
    lines = [*title("Benchmarks")]
    lines += [
        "Every figure in these pages comes from a command in ``benchmarks/``. These are the tables",
        "that the commands printed, whole, losses included; ``benchmarks/README.md`` has all of",
        "them, how each was made, and which are older than the present default policy.",
        "",
    ]
    for name, text in SHOWN.items():
        path = RESULTS / f"{name}.txt"
        if path.is_file():
            module = next(m for m in MODULES if name.startswith(m))
            command = f"python -m benchmarks.{module}"
            lines += [*title(text, "-"), f"``{command}``", "", ".. code-block:: none", ""]
            printed = path.read_text(encoding="utf-8").rstrip().splitlines()
            lines += [f"   {line}".rstrip() for line in printed]
            lines.append("")
    write_page(folder / "benchmarks.rst", lines)
