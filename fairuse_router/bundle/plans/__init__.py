"""Plans: a product, merged trees, or a partition of the rows; `assemble` writes the whole graph.

How the models of all routes share one graph is decided here; nothing here opens a file.
"""
