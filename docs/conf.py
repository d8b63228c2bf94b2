"""The site: `make docs`. Warnings are errors; nothing is fetched from anywhere."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import fairuse_router  # noqa: E402
from site_parts import api, benchmark_tables, bundle_schema, command_line, policies  # noqa: E402

project = "FairUseRouter"
author = "The FairUseRouter developers"
release = version = fairuse_router.__version__
language = "en"

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "examples", "site_parts", "**/GALLERY_HEADER.rst"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_url_schemes = ("http", "https")

autodoc_default_options = {
    "members": True,
    "inherited-members": "BaseEstimator, MetaEstimatorMixin, dict, tuple, str, Mapping",
    "exclude-members": "get_metadata_routing, set_fit_request, set_score_request, count, index",
}
autodoc_typehints = "none"  # the docstrings say what is taken
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
suppress_warnings = ["config.cache"]

# links to scikit-learn and others need their inventories from the network: only where asked for
if os.environ.get("FAIRUSE_ROUTER_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
    }

sphinx_gallery_conf = {
    "examples_dirs": ["examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"[\\/]plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "reset_modules_order": "both",
}

html_theme = "furo"
html_title = f"FairUseRouter {release}"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False


def setup(app):
    """Write the pages that are made from the package itself."""
    folder = HERE / "reference" / "generated"
    folder.mkdir(exist_ok=True)
    for part in (api, command_line, bundle_schema, policies, benchmark_tables):
        part.write(folder)
