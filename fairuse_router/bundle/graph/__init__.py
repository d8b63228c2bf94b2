"""The graph: nodes and constants, blocks of columns, and the table of routes as nodes.

Here lives what every plan writes with. Nothing here knows a kind of model.
"""
