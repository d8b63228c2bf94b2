"""Cards: a router and its audit on one page, as Markdown, HTML or JSON, and as a picture."""

from fairuse_router.card.card import Card
from fairuse_router.card.figure import plot_corrections, plot_gains

__all__ = ["Card", "plot_corrections", "plot_gains"]
