"""Documents that are shown as one page, and written as their file's ending says."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from fairuse_router.card.page import Page
from fairuse_router.documents import Document, check_path, check_target, write_whole


class Paged(Document):
    """A document with a `page`."""

    def page(self) -> Page:
        """Return the page that Markdown and HTML are written from."""
        raise NotImplementedError

    def to_markdown(self) -> str:
        """Return the card as Markdown."""
        return self.page().to_markdown()

    def to_html(self) -> str:
        """Return the card as one HTML page."""
        return self.page().to_html()

    def _repr_html_(self) -> str:
        return self.to_html()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the card as its file's ending says: .md, .html or .json.

        Raises
        ------
        ValueError
            For another ending.
        """
        json = partial(self.to_json, indent=1)
        writers: dict[str, Callable[[], str]] = {
            ".md": self.to_markdown,
            ".html": self.to_html,
            ".json": json,
        }
        ending = check_path(path).suffix.lower()
        if ending not in writers:
            raise ValueError(
                f"path={os.fspath(path)!r} ends in {ending!r}; allowed: {', '.join(writers)}."
            )
        write_whole(writers[ending]().encode("utf-8", "backslashreplace"), check_target(path))
