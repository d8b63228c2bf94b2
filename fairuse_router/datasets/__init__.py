"""Data sets: embedded clinical data and generators with known truth."""
