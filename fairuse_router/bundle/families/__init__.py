"""Families: one module for every kind of model that a bundle can write by itself.

Each matches an estimator, folds what stands around it into numbers, and emits nodes.
How routes share nodes is not decided here, but in `plans`.
"""
