"""Export formats as values: named once, listed without the libraries that write them."""

import importlib
import subprocess
import sys

import pytest

from jaxloc.options import ExportOptions
from jaxloc.report.exports.formats import FORMATS


def test_names_are_listed_without_jax_and_writers():
    code = "import sys, jaxloc.report.exports.formats; print({'jax', 'pyarrow', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


def test_names():
    assert list(FORMATS) == ["coco", "voc", "yolo", "tfds", "parquet", "masks", "crops"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_a_writer_of_its_name_and_options_that_there_are(name):
    assert FORMATS[name].name == name
    assert callable(importlib.import_module(f"jaxloc.report.exports.{name}").write)
    assert all(hasattr(ExportOptions(), option) for option in FORMATS[name].options)
