"""How the documentation is built: ``sphinx-build -W -n --keep-going docs OUT``.

Needs no network and no files of one's own: cells run on images that ship inside scikit-image. Formulas become
MathML while building, and its font lies beside the pages, so that they need no network to be read either.
"""

import os
import sys
from pathlib import Path

import ziamath

import jaxloc

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "jaxloc"
author = "the jaxloc authors"
release = version = jaxloc.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "mathml",
    "command_pages",
    "public_names",
    "shared_example",
    "short_types",
]
exclude_patterns = ["_extensions", "_static"]

# Pages with cells. Kernels run in the folder of their page and find ``examples`` by this path.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
nb_execution_mode = "force"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

# The reference. Other libraries' names have no page here, and nothing is fetched to find theirs.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
nitpick_ignore_regex = [("py:.*", r"(?!jaxloc|weights_convert).*")]
nitpick_ignore = [("py:class", "jaxloc.clustering.Sums")]  # a type variable

html_theme = "furo"
html_title = "jaxloc"
html_static_path = ["_static", str(Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["jaxloc.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
