"""Plans: how the models of all routes share one graph, and how rows reach them.

A product, merged trees, or a partition of the rows; `assemble` writes the whole graph.
Nothing here knows a file.
"""
