"""Methods, sign rules, refinements, descriptors and whitenings as values: named once, listed without JAX."""

import subprocess
import sys

import pytest

from jaxloc.descriptors import DESCRIPTORS, INDEXED
from jaxloc.localizers import METHODS
from jaxloc.refiners import REFINEMENTS
from jaxloc.signs import SIGN_RULES
from jaxloc.whitenings import WHITENINGS


def test_names_are_listed_without_jax():
    names = ["localizers", "signs", "refiners", "descriptors", "whitenings"]
    code = f"import sys, {', '.join(f'jaxloc.{name}' for name in names)}; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_names():
    assert list(METHODS)[:5] == ["ddt", "ddt+", "ddt-spread", "scda", "fs-egm"]
    assert list(METHODS)[5:] == ["lost", "tokencut", "cam", "eiss", "beam"]
    assert list(SIGN_RULES) == ["aggregation", "loading", "minority", "border", "attention", "none"]
    assert list(REFINEMENTS) == ["crf", "guided", "grabcut"]
    assert list(WHITENINGS) == ["pca", "svd", "shrunk", "supervised"]
    assert DESCRIPTORS.keys() - INDEXED.keys() == {"fc8_truth"}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_registered_under_its_name(name):
    assert METHODS[name].name == name
