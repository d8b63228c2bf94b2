"""Write a page only where it changed, so that Sphinx need not read it again."""

from pathlib import Path


def write_page(path: Path, lines: list[str]) -> None:
    """Write lines as a file."""
    text = "\n".join(lines) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def title(text: str, sign: str = "=") -> list[str]:
    """Return a heading in reStructuredText."""
    return [text, sign * len(text), ""]
