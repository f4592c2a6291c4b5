"""The documentation: `make docs`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# The reference imports Airflow, which makes files in its home.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="leads-docs-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
# Signatures show defaults, and this one is read from the environment.
os.environ.pop("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", None)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import rooms

from airflow_providers_leads import __version__

# Drawn anew from the code whenever the documentation is made, so that it can't grow old.
BUILD = Path(__file__).resolve().parent / "_build"
BUILD.mkdir(exist_ok=True)
(BUILD / "rooms.svg").write_text(rooms.draw(), encoding="utf-8")

project = "airflow-providers-leads"
version = release = __version__
copyright = "the contributors of airflow-providers-leads, Apache License 2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
root_doc = "index"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "none"
autodoc_preserve_defaults = True

# Cross references within this package must lead somewhere; those into Airflow and Python have no inventory offline.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!airflow_providers_leads\b).*"),
    ("py:.*", r".*\._[A-Za-z].*"),
    # The inside of a CRM's room has no page.
    ("py:.*", r"airflow_providers_leads\.hooks\.(hubspot|perspective|persistiq)\.[a-z]+\..*"),
    # Nor has how operators declare their arguments.
    ("py:.*", r"airflow_providers_leads\.operators\.signatures\..*"),
    ("py:.*", r"airflow_providers_leads\.tasks\.arguments\..*"),
]

html_theme = "furo"
html_title = f"airflow-providers-leads {release}"
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
