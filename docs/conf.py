"""How Sphinx builds the documentation; it needs no network."""

from __future__ import annotations

import apscheduler

project = "apscheduler"
author = "The apscheduler maintainers"
copyright = author
release = apscheduler.release
version = apscheduler.version

# doctest: hides the blocks that only set up what the visible code needs
extensions = ["sphinx.ext.autodoc", "sphinx.ext.doctest"]
exclude_patterns = ["_build", "newsfragments"]

html_theme = "furo"
html_title = f"{project} {version}"

# In the signature: among the parameters, autodoc shows the types of attributes of the same name.
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
autodoc_member_order = "bysource"
