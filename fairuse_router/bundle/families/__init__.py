"""Families: one module for every kind of model; each matches it, folds it, and emits nodes.

How routes share nodes is not decided here, but in `plans`; nothing here reads a routing table.
"""
