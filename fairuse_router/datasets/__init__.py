"""Data sets: embedded clinical data and generators with known truth."""

from fairuse_router.datasets.heart import load_heart
from fairuse_router.datasets.populations import Population, PopulationLaw, make_population

__all__ = ["Population", "PopulationLaw", "load_heart", "make_population"]
