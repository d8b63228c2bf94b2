"""Data sets: embedded clinical data, generators with known truth, the paper's worked examples.

Here lives what can be had without a network, with its source and its licence. Nothing here knows
routers or audits; data that must be asked for are read by the benchmarks.
"""

from fairuse_router.datasets.examples import EXAMPLES, load_example
from fairuse_router.datasets.heart import load_heart
from fairuse_router.datasets.populations import Population, PopulationLaw, make_population
from fairuse_router.datasets.worked import Example, ExampleRows, Outcome

__all__ = [
    "EXAMPLES",
    "Example",
    "ExampleRows",
    "Outcome",
    "Population",
    "PopulationLaw",
    "load_example",
    "load_heart",
    "make_population",
]
