"""What ``docs/example.py`` makes is computed once while building, and kernels of all pages read it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SAVE = """
import pickle, sys
from example import images, maps, photos, sizes
with open(sys.argv[1], "wb") as file:
    pickle.dump((images, photos, sizes, maps), file)
"""


def save_example(app: "Sphinx") -> None:
    """Run the example in a process of its own, as this one forks later, and tell kernels where its values are."""
    if app.config.nb_execution_mode != "off":
        path = Path(app.doctreedir, "example.pickle")
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-c", SAVE, str(path)], check=True)
        os.environ["JAXLOC_EXAMPLE"] = str(path)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Hook into the start of a build."""
    app.connect("builder-inited", save_example)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
