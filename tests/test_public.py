"""What is public is what a package names in ``__all__``; benchmarks and models use nothing else."""

import ast
import importlib
from pathlib import Path

import pytest

import fairuse_router

PROJECT = Path(fairuse_router.__file__).parent.parent
DOORS = (
    "router",
    "audit",
    "bundle",
    "card",
    "routing",
    "groups",
    "metrics",
    "inference",
    "datasets",
    "displays",
    "engines.dask",
    "engines.mlflow",
    "engines.skops",
    "engines.spark",
)
# parts that are measured alone, on purpose; this list may get shorter
INSIDE = {
    ("failure_modes", "fairuse_router.candidates.injection", "inject"),
    ("multilevel_cost", "fairuse_router.candidates.multilevel", "fit_multilevel"),
    ("multilevel_cost", "fairuse_router.candidates.recipes", "fit_candidate"),
    ("multilevel_cost", "fairuse_router.candidates.recipes", "make_recipes"),
    ("multilevel_cost", "fairuse_router.rows", "TrainingRows"),
    ("pool", "fairuse_router.candidates.blended", "blend"),
    ("pool", "fairuse_router.candidates.blended", "is_blend"),
    ("pool", "fairuse_router.candidates.candidate", "ServedModel"),
    ("pool", "fairuse_router.candidates.crossfit", "Training"),
    ("pool", "fairuse_router.candidates.crossfit", "fit_pool"),
    ("pool", "fairuse_router.candidates.lattice", "Lattice"),
    ("pool", "fairuse_router.candidates.lattice", "Reports"),
    ("pool", "fairuse_router.candidates.names", "halves"),
    ("pool", "fairuse_router.candidates.recipes", "make_recipes"),
    ("pool", "fairuse_router.rows", "TrainingRows"),
    ("real_data", "fairuse_router.candidates.candidate", "as_classes"),
    ("serving", "fairuse_router.bundle.plans", "dispatch"),
}
PUBLIC = {"fairuse_router", *(f"fairuse_router.{door}" for door in DOORS)}


def imports():
    """Who imports what from where in benchmarks and models."""
    for folder in ("benchmarks", "models"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    if node.module.split(".")[0] == "fairuse_router":
                        yield from ((path.stem, node.module, alias.name) for alias in node.names)
                elif isinstance(node, ast.Import):
                    for alias in node.names:
                        if alias.name.startswith("fairuse_router."):
                            yield path.stem, alias.name, ""


@pytest.mark.parametrize("door", sorted(PUBLIC))
def test_every_public_name_is_there(door):
    module = importlib.import_module(door)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


def test_benchmarks_and_models_use_what_is_public():
    found = set(imports())
    assert len(found) > 50
    beyond = {
        (who, module, name)
        for who, module, name in found
        if f"{module}.{name}" not in PUBLIC
        and (module not in PUBLIC or name not in importlib.import_module(module).__all__)
    }
    assert beyond - INSIDE == set(), "import it from a public path, or make it public there"
    assert INSIDE - beyond == set(), "no longer used: take it off the list"


# records and parts that have no example of their own yet; this list may get shorter
WITHOUT_EXAMPLE = {
    "audit.arguments.AuditSettings",
    "audit.arguments.read_metrics",
    "audit.between.Between",
    "audit.build.Routing",
    "audit.build.count_rows",
    "audit.calibrating.Calibration",
    "audit.federated.Federation",
    "audit.federated.SiteRecord",
    "audit.gain_table.Counts",
    "audit.gain_table.GainRecord",
    "audit.net_benefit.DecisionCurve",
    "audit.queue.Ranking",
    "audit.records.InterventionRecord",
    "audit.records.RiskRecord",
    "audit.records.SummaryRecord",
    "audit.temptation.Temptation",
    "audit.temptation.temptation_text",
    "card.figure.plot_corrections",
    "card.figure.plot_gains",
    "card.page.Page",
    "card.page.Section",
    "datasets.law.PopulationLaw",
    "datasets.populations.Population",
    "datasets.worked.Example",
    "datasets.worked.ExampleRows",
    "datasets.worked.Outcome",
    "engines.dask.predict",
    "engines.mlflow.load_model",
    "engines.mlflow.log_model",
    "engines.mlflow.save_model",
    "engines.spark.predict",
    "grids.Column",
    "groups.Cells",
    "inference.auc.AucParts",
    "inference.auc.delong_gains",
    "inference.bbc.CorrectedGains",
    "inference.calibration.Recalibration",
    "inference.calibration_slope.SlopeEvidence",
    "inference.partial_pooling.MultilevelFit",
    "inference.samplesize.SampleSize",
    "inference.shrinkage.TwoPrior",
    "metrics.built_in.is_built_in",
    "metrics.built_in.named_metric",
    "metrics.metric.check_probabilities",
    "metrics.own.settle",
    "metrics.threshold.Cut",
    "metrics.threshold.at_threshold",
    "routing.asking.settled",
    "routing.collapse.Price",
    "routing.plan.Step",
    "routing.policies.evidence.Choice",
    "routing.policies.evidence.Evidence",
    "routing.policies.rules.choose",
    "routing.policies.rules.choose_reports",
    "routing.records.Change",
    "routing.records.GroupRecord",
    "routing.records.Part",
    "routing.records.Route",
    "routing.routed.RoutedRows",
}


def test_every_public_name_has_an_example():
    named = {
        (value.__module__.removeprefix("fairuse_router."), name): value
        for door in PUBLIC
        for name, value in vars_of(door).items()
        if callable(value)
    }
    lacking = {".".join(key) for key, value in named.items() if ">>>" not in (value.__doc__ or "")}
    assert lacking - WITHOUT_EXAMPLE == set(), "give it an example that runs"
    assert WITHOUT_EXAMPLE - lacking == set(), "it has one: take it off the list"
    assert len(named) > 2 * len(lacking)


def vars_of(door):
    """What a package names in `__all__`."""
    module = importlib.import_module(door)
    return {name: getattr(module, name) for name in module.__all__}
