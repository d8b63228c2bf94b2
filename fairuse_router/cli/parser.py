"""The grammar of the command line."""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable

import fairuse_router
from fairuse_router.candidates.names import CANDIDATES
from fairuse_router.cli.grammar import add_bundle, limited, new_command
from fairuse_router.cli.serving import add_serving
from fairuse_router.metrics import decision_metric

ESTIMATORS = ("logistic", "forest", "boosting", "mlp")
METRICS = ("error", "log_loss", "brier", "auc", "ece")
MEASURES = ("squared_error", "absolute_error")  # of regressions

_DESCRIPTION = """\
Give every group the model that serves it. A router trains a generic model,
personalized models and one model per group, finds out which of them serves
each group, and says what need not be asked at all.
"""
_DATA = "table with a header line: CSV, TSV (also .gz) or Parquet; - reads standard input"
_EXAMPLES = """\
examples:
  fairuse-router demo
  fairuse-router fit heart.csv --target num --groups sex,age_band
  fairuse-router predict router.onnx new.csv --out predictions.csv
  fairuse-router inspect router.onnx
  fairuse-router reaudit router.onnx labelled.csv --target num
  fairuse-router audit scores.parquet --target y --groups sex,age \\
      --predictions generic=p0,personalized=p1
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; ``args.module`` names the module that runs the command."""
    parser = argparse.ArgumentParser(
        prog="fairuse-router",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"fairuse-router {fairuse_router.__version__}"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_fit(commands)
    _add_predict(commands)
    _add_inspect(commands)
    _add_labelled(commands)
    _add_verify(commands)
    _add_card(commands)
    add_serving(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction) -> None:
    text = "the whole job on the embedded heart disease data, in a minute"
    parser = new_command(commands, "demo", text)
    _add_bundle_out(parser, "heart_router.onnx")
    parser.add_argument(
        "--estimator", choices=ESTIMATORS, default="logistic", help="model to train (%(default)s)"
    )
    _add_model(parser)


def _add_fit(commands: argparse._SubParsersAction) -> None:
    text = "train and audit a router on a table, and write it as a bundle"
    parser = new_command(commands, "fit", text)
    parser.epilog = (
        "Group attributes are texts to the letter: 01 and 1 are two levels. A feature whose cells "
        "are all numbers is a number, any other a category; columns that look like dates or "
        "identifiers are left out, and what was done is said. Names with commas: quote them as in "
        "a CSV file, --groups '\"height, cm\",sex', or use --group."
    )
    parser.add_argument("data", metavar="DATA", help=_DATA)
    parser.add_argument("--target", required=True, metavar="COLUMN", help="column to predict")
    _add_names(parser, "--groups", "group attributes: columns people may withhold")
    parser.add_argument(
        "--group",
        dest="groups",
        action="append",
        metavar="COLUMN",
        help="one group attribute, its name taken as it is; may be repeated",
    )
    _add_bundle_out(parser, "router.onnx")
    parser.add_argument(
        "--estimator",
        choices=("logistic", "ridge", *ESTIMATORS[1:]),
        default=None,
        help="model to train (logistic for classes, ridge for measurements)",
    )
    _add_model(parser, MEASURES)
    _add_rows(parser)
    _add_names(parser, "--drop", "columns to leave out")
    _add_names(parser, "--categories", "columns of categories, whatever they look like")
    _add_reading(parser, "column that tells whose row it is, no feature")


def _add_predict(commands: argparse._SubParsersAction) -> None:
    parser = new_command(commands, "predict", "predict the rows of a table from a bundle alone")
    parser.epilog = (
        "Cells are read as fairuse-router fit read them; what is said here goes before. A level "
        "that training knew is never missing. Text that a spreadsheet would compute is written "
        "with an apostrophe before it."
    )
    add_bundle(parser)
    parser.add_argument("data", metavar="DATA", help=_DATA)
    parser.add_argument(
        "--out", default=None, metavar="FILE", help="CSV file to write (standard output)"
    )
    _add_reading(parser, "column to keep beside the predictions (that of fit)")


def _add_inspect(commands: argparse._SubParsersAction) -> None:
    text = "show the routing table and all else a bundle says of itself"
    add_bundle(new_command(commands, "inspect", text))


def _metric_of(measures: tuple[str, ...]) -> Callable[[str], str]:
    """Return what reads the name of a metric."""

    def metric(text: str) -> str:
        if text in (*METRICS, *measures) or decision_metric(text) is not None:
            return text
        listed = ", ".join(map(repr, (*METRICS, "net_benefit@0.2", *measures)))
        raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (choose from {listed})")

    return metric


def _add_labelled(commands: argparse._SubParsersAction) -> None:
    """Add what asks a bundle about rows whose labels are known."""
    texts = {
        "reaudit": "which routes of a bundle still hold, on labelled rows from deployment",
        "update": "re-audit, and write the bundle without the routes that are violated",
    }
    _add_audit(commands)
    for name, text in texts.items():
        parser = new_command(commands, name, text)
        add_bundle(parser)
        parser.add_argument("data", metavar="DATA", help=_DATA)
        parser.add_argument("--target", required=True, metavar="COLUMN", help="column of labels")
        parser.add_argument(
            "--metric",
            type=_metric_of(MEASURES),
            default=None,
            metavar="METRIC",
            help="what a group is to gain (that of the bundle)",
        )
        parser.add_argument(
            "--alpha", type=_level, default=None, metavar="A", help="level (that of the bundle)"
        )
        if name == "update":
            parser.add_argument("--out", required=True, metavar="FILE", help="bundle to write")
        _add_reading(parser, "column that tells whose row it is")


def _add_audit(commands: argparse._SubParsersAction) -> None:
    text = "what groups gain, on labelled rows that training never saw"
    parser = new_command(commands, "audit", text)
    parser.usage = (
        "fairuse-router audit [-h] ROUTER.onnx DATA --target COLUMN [options]\n"
        "       fairuse-router audit SCORES ... --target COLUMN --groups A,B\n"
        "                            --predictions M=C,... [options]\n"
        "       fairuse-router audit SUMS.json ... [options]"
    )
    parser.epilog = (
        "With --predictions it audits any models by their predictions: in CSV and TSV files, which "
        "are read whole, or in Parquet files of any size, which DuckDB or polars adds up where "
        "they are. Sums that --sums wrote at several "
        "sites hold no rows; they are audited together and compared."
    )
    what = "bundle; with --predictions a table; or sums of a site"
    parser.add_argument("bundle", metavar="ROUTER.onnx", help=what)
    parser.add_argument("data", nargs="*", metavar="DATA", help=f"{_DATA}; or more of these files")
    parser.add_argument("--target", metavar="COLUMN", help="column of labels")
    one = _metric_of(MEASURES)
    parser.add_argument(
        "--metric",
        type=lambda given: [one(name) for name in split_names(given)],
        default=None,
        metavar="A,B",
        help="what a group is to gain (that of the bundle, or error)",
    )
    parser.add_argument(
        "--alpha", type=_level, default=None, metavar="A", help="level (that of the bundle, or 0.1)"
    )
    parser.add_argument("--out", default=None, metavar="FILE", help="JSON to write as well")
    parser.add_argument(
        "--card", default=None, metavar="FILE", help="page to write as well: .html, .md or .json"
    )
    _add_texts(parser, None, "of the card")
    _add_reading(parser, "column that tells whose row it is")
    scores = parser.add_argument_group("predictions in tables, and sums")
    scores.add_argument(
        "--predictions",
        type=split_names,
        action="extend",
        default=[],
        metavar="M=C,...",
        help="models and their columns: labels, or probabilities of the second of two classes",
    )
    _add_names(scores, "--groups", "columns of the group attributes")
    scores.add_argument(
        "--baseline", default="generic", metavar="M", help="model that gains are over (%(default)s)"
    )
    scores.add_argument("--weight", metavar="COLUMN", help="column of the weights of rows")
    scores.add_argument("--clusters", metavar="COLUMN", help="column of whose rows belong together")
    scores.add_argument("--sums", metavar="FILE", help="JSON of sums to write, for other sites")
    scores.add_argument(
        "--min-cell",
        type=_cell,
        default=5,
        metavar="N",
        help="fewest rows that --sums and --card tell of (%(default)s)",
    )


def _add_verify(commands: argparse._SubParsersAction) -> None:
    text = "check that a bundle answers here as it did where it was written"
    parser = new_command(commands, "verify", text)
    add_bundle(parser)
    parser.add_argument("data", metavar="DATA", help=_DATA)
    _add_reading(parser, "column that tells whose row it is")


def _add_card(commands: argparse._SubParsersAction) -> None:
    parser = new_command(
        commands, "card", "write what a bundle is, and what was measured, as a page"
    )
    add_bundle(parser)
    parser.add_argument(
        "--out", default="card.html", metavar="FILE", help=".html, .md or .json (%(default)s)"
    )
    _add_texts(parser, "FairUseRouter", "of the page")


def _add_texts(parser: argparse.ArgumentParser, title: str | None, what: str) -> None:
    """Add what a card says beside its numbers."""
    parser.add_argument("--title", default=title, metavar="TEXT", help=what)
    parser.add_argument(
        "--description", default="", metavar="TEXT", help="of what, for whom, from which data"
    )


def _add_model(parser: argparse.ArgumentParser, measures: tuple[str, ...] = ()) -> None:
    """Add what the router's own arguments are; `measures` are metrics of regressions, if any."""
    parser.add_argument(
        "--candidates",
        type=split_names,
        default=",".join(CANDIDATES),
        metavar="A,B",
        help="models to compare, generic always among them; multilevel is added by itself but for "
        "policies best and assign_generic (%(default)s)",
    )
    more = f"; to predict measurements: {', '.join(measures)}" if measures else ""
    parser.add_argument(
        "--metric",
        type=_metric_of(measures),
        default="error",
        metavar="METRIC",
        help=f"what a group is to gain: {', '.join(METRICS)}, net_benefit@0.2 and other metrics "
        f"that act above a threshold{more} (%(default)s)",
    )
    parser.add_argument(
        "--policy",
        default="priced",
        metavar="POLICY",
        help="how routes are chosen: priced weighs the gain that is expected against harm, tested "
        "and certified are stricter, best takes the largest gain seen (%(default)s)",
    )
    parser.add_argument(
        "--price",
        type=_price,
        default=None,
        metavar="POINTS",
        help="points of everybody's gain that one harmed group is worth: 2 is careful, 1 bold (2)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of splits and models (%(default)s)"
    )
    parser.add_argument(
        "--jobs", type=_jobs, default=None, metavar="N", help="parallel tasks; -1: all cores (1)"
    )


def _add_rows(parser: argparse.ArgumentParser) -> None:
    """Add which rows serve for what, and how their groups are read."""
    parser.add_argument(
        "--cv", type=_folds, default=5, metavar="K", help="folds for choosing (%(default)s)"
    )
    parser.add_argument(
        "--test",
        type=_share,
        default=0.2,
        metavar="SHARE",
        help="rows held out for the audit, 0 for none (%(default)s)",
    )
    parser.add_argument(
        "--withheld",
        default="?",
        metavar="TEXT",
        help="text that withholds a group attribute; missing cells always do (%(default)s)",
    )
    parser.add_argument(
        "--handle-unknown",
        choices=("error", "withhold"),
        default="error",
        help="level of a group attribute that training did not hold (%(default)s)",
    )


def _add_names(parser: argparse._ActionsContainer, flag: str, text: str) -> None:
    parser.add_argument(
        flag, type=split_names, action="extend", default=[], metavar="A,B", help=text
    )


def _add_bundle_out(parser: argparse.ArgumentParser, name: str) -> None:
    text = "bundle to write, - for standard output (%(default)s)"
    parser.add_argument("--out", default=name, metavar="FILE", help=text)


def _add_reading(parser: argparse.ArgumentParser, whose: str) -> None:
    """Add how the cells of a file are read."""
    parser.add_argument(
        "--sep",
        type=_separator,
        default=None,
        metavar="CHAR",
        help="column separator (found where only one of , ; | and tab fits)",
    )
    parser.add_argument(
        "--decimal",
        choices=(".", ","),
        default=None,
        metavar="CHAR",
        help="what parts decimals, . or , (found column by column at fit, and kept)",
    )
    parser.add_argument(
        "--encoding", default=None, metavar="NAME", help="of the text (utf-8, or as its mark says)"
    )
    parser.add_argument(
        "--missing",
        type=split_names,
        default=None,
        metavar="TEXT,...",
        help="texts that are missing cells, as empty cells always are; '' for no other (?, NA, "
        "NaN, null, None and the like)",
    )
    parser.add_argument("--id", default=None, metavar="COLUMN", help=whose)


def split_names(text: str) -> list[str]:
    """Split column names at commas; quotes protect, as in a CSV file.

    Examples
    --------
    >>> split_names('sex, "height, cm",age')
    ['sex', 'height, cm', 'age']
    """
    (names,) = csv.reader([text], skipinitialspace=True) if text.strip() else [[]]
    return [name.strip() for name in names]


_folds = limited(int, lambda v: v >= 2, "a whole number of at least 2")
_jobs = limited(int, lambda v: v != 0, "a whole number other than 0")
_price = limited(float, lambda v: 0 < v < math.inf, "a number of points above 0, such as 2")
_level = limited(float, lambda v: 0 < v < 0.5, "a level above 0 and below 0.5, such as 0.1")
_cell = limited(int, lambda v: v >= 0, "a whole number of rows")
_share = limited(float, lambda v: 0 <= v < 1, "a share from 0 to below 1, such as 0.2")


def _separator(text: str) -> str:
    """One character; a tab may be written as backslash and t."""
    char = "\t" if text == "\\t" else text
    if len(char) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: give one character, such as ;")
    return char
