"""Families: one module for every kind of model; each matches it, folds it, and emits nodes.

How routes share nodes is decided in `plans`; nothing here knows a file or a routing table.
"""
