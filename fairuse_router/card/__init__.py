"""Cards: a router with its audit, or an audit of any models, on one page, and as pictures.

Here lives what a page says and how it is written: Markdown, HTML or JSON. Nothing is measured
here: every number stands in a routing table or an audit, so that a page can be made from their JSON
alone.
"""

from fairuse_router.card.audited import AuditCard
from fairuse_router.card.card import Card
from fairuse_router.card.figure import plot_corrections, plot_gains
from fairuse_router.card.page import Page, Section
from fairuse_router.grids import Column, Grid

__all__ = [
    "AuditCard",
    "Card",
    "Column",
    "Grid",
    "Page",
    "Section",
    "plot_corrections",
    "plot_gains",
]
