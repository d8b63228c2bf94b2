"""Writing the page: a folder of static files that any web server serves, and none needs to know."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from fairuse_router.bundle import Bundle
from fairuse_router.card import Card
from fairuse_router.documents import check_path, read_json, write_json, write_whole
from fairuse_router.serving.asking import form_data
from fairuse_router.serving.runtime import runtime_files

_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)


def write_page(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    title: str = "Your prediction",
    description: str = "",
    choices: Mapping[str, Sequence[str]] | None = None,
    texts: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    runtime: str | os.PathLike[str] | None = None,
) -> list[Path]:
    """Write a page that asks only what helps and computes on the device of whoever is asked.

    The form follows the disclosure plan; predictions and what each report changed are computed by
    onnxruntime-web in the browser. A content security policy keeps everything on the device. A
    second tab shows reviewers the card.

    Parameters
    ----------
    source : str or path
        The bundle.
    folder : str or path
        Where to write; it is made if it is not there.
    title, description : str
    choices : mapping of str to sequence of str, default=None
        Texts to offer for features of texts, by column; others are typed.
    texts : str, path or mapping, default=None
        Texts that replace those of the page, to translate it, as its ``texts.json`` has them; a
        path of such a file, or what it holds.
    runtime : str or path, default=None
        Folder of npm's onnxruntime-web; None: npm fetches it.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ImportError
        Without Jinja2: ``pip install "fairuse-router[page]"``.
    ValueError
        If the bundle cannot be read, the texts are no such JSON, choices are of other columns, or
        the runtime is not there.
    OSError
        If npm is missing, or cannot fetch the runtime.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/heart.onnx", X)
    ...     written = write_page(
    ...         f"{folder}/heart.onnx", f"{folder}/form", runtime="tests/clients/browser")
    >>> written[-1].name, len(written)
    ('index.html', 9)
    """
    try:
        import jinja2
    except ImportError as error:
        raise ImportError('the page needs Jinja2: pip install "fairuse-router[page]".') from error
    source, home = check_path(source, "source"), check_path(folder, "folder")
    bundle, content = Bundle.load(source), source.read_bytes()
    form = files("fairuse_router.serving") / "form"
    words = _texts(read_json((form / "texts.json").read_text("utf-8")), texts)
    data = form_data(bundle, content, choices or {})
    words = _named(words, bundle)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    card = Card.of(bundle, title=title, description=description)
    html = template.from_string((form / "index.html.j2").read_text("utf-8")).render(
        title=title,
        description=description,
        texts=words,
        policy=_POLICY,
        folder=str(home),
        review=card.page().to_fragment(),
    )
    contents = {
        "router.onnx": content,
        "plan.json": write_json(data).encode(),
        "texts.json": write_json(words, indent=1).encode(),
        "app.js": (form / "app.js").read_bytes(),
        "style.css": (form / "style.css").read_bytes(),
        **{f"ort/{name}": file for name, file in runtime_files(runtime).items()},
        "index.html": html.encode(
            "utf-8", "backslashreplace"
        ),  # last: a page is whole or not there
    }
    (home / "ort").mkdir(parents=True, exist_ok=True)
    for name, file in contents.items():
        write_whole(file, home / name)
    return [home / name for name in contents]


def _texts(own: dict[str, Any], texts: Any) -> dict[str, Any]:
    """The page's texts, some replaced by others."""
    if texts is None:
        return own
    given, told = texts, "a mapping"
    if not isinstance(texts, Mapping):
        path = check_path(texts, "texts")
        told = repr(str(path))
        try:
            given = read_json(path.read_text("utf-8"))
        except (ValueError, OSError) as error:
            raise ValueError(f"texts={told} cannot be read: {error}.") from None
    kinds = {name: type(value) for name, value in own.items()}
    if not isinstance(given, Mapping):
        raise ValueError(f"texts={told} is no object; begin with a page's own texts.json.")
    wrong = sorted(name for name, value in given.items() if kinds.get(name) is not type(value))
    if wrong:
        raise ValueError(
            f"texts={told} has {wrong[:5]}, which the page does not have, or not of this "
            "kind; begin with a page's own texts.json."
        )
    return {**own, **given}


def _named(words: dict[str, Any], bundle: Bundle) -> dict[str, Any]:
    """Texts with an entry for every name of the bundle, for whoever translates them."""
    schema = bundle.schema
    features = {column.name: column.name for column in bundle.layout.columns}
    labels = [] if bundle.classes_ is None else map(str, bundle.classes_.tolist())
    levels: dict[str, Any] = {
        name: {text: text for text in texts} | words["levels"].get(name, {})
        for name, texts in zip(schema.attributes, schema.levels, strict=True)
    }
    return {
        **words,
        "attributes": {name: name for name in schema.attributes} | words["attributes"],
        "features": features | words["features"],
        "levels": words["levels"] | levels,
        "classes": {label: label for label in labels} | words["classes"],
    }
