"""The site: Sphinx reads the Markdown of this folder by MyST, and the docstrings of the package by autodoc."""

from __future__ import annotations

import inspect
import re
from typing import Any

from sphinx.pycode import ModuleAnalyzer

import scalefit

project = "scalefit"
author = "The scalefit developers"
release = version = scalefit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_templates"]
templates_path = ["_templates"]
default_role = "code"
myst_heading_anchors = 3
smartquotes_action = "D"  # dashes alone

autodoc_typehints = "none"  # the docstrings say types, shapes and units
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "exclude-members": "set_fit_request, set_predict_request, set_score_request",  # scikit-learn's, on every model
}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = "scalefit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = html_show_copyright = False
html_copy_source = False


def plain(lines: list[str]) -> list[str]:
    """Footnotes as a list, for several stand on one page as [1]; no full stop within a first sentence."""
    lines = [re.sub(r"\[(\d+)\]_", r"[\1]", re.sub(r"^\.\. (\[\d+\])", r"-  \1", line)) for line in lines]
    return [line.replace("Eq. ", "equation ") for line in lines]


def before_napoleon(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Plain references."""
    lines[:] = plain(lines)


def after_napoleon(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Prose of values and properties as it was written: napoleon takes what stands before a colon for a type."""
    if what == "data" and name.count(".") == 1:
        lines[:] = plain(comment_of(name.rpartition(".")[2]))
    elif what == "property":
        lines[:] = [*plain(inspect.cleandoc(value.__doc__).splitlines()), ""]


def comment_of(name: str) -> list[str]:
    """What stands beside a value where it is written, not the docstring of its class."""
    for room in ("laws", "datasets"):
        comments = ModuleAnalyzer.for_module(f"scalefit.{room}").find_attr_docs()
        if ("", name) in comments:
            return [*(line.strip() for line in comments["", name]), ""]
    raise LookupError(f"{name} is written in none of the rooms that have values: name its room here.")


def no_private_arguments(app: Any, what: str, name: str, value: Any, options: Any, signature: str, returns: str) -> Any:
    """Results come from verbs: a signature with private arguments is of no use."""
    return ("", None) if signature and re.search(r"[(\s]_\w", signature) else None


def setup(app: Any) -> None:
    """Connect these to Sphinx."""
    app.connect("autodoc-process-docstring", before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", after_napoleon, priority=600)
    app.connect("autodoc-process-signature", no_private_arguments)
