"""Damaged files of every kind are read, or refused in one line; ``benchmarks/fuzz.py`` tries many more of them."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from jaxloc.errors import JaxlocError
from tests import fuzzing

EACH = 4


def complaint(kind: fuzzing.Kind, folder: Path, file: Path) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.read(folder, file)
    except JaxlocError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", fuzzing.KINDS)
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, name):
    kind = fuzzing.KINDS[name]
    (tmp_path / "seeds").mkdir()
    paths = kind.write(tmp_path / "seeds")
    contents = [path.read_bytes() for path in paths]
    for number in range(EACH * len(paths)):
        folder = shutil.copytree(tmp_path / "seeds", tmp_path / str(number))
        content, other = contents[number % len(paths)], contents[number % 3 % len(paths)]
        file = folder / paths[number % len(paths)].relative_to(tmp_path / "seeds")
        file.write_bytes(fuzzing.damage(content, other, np.random.default_rng([3, number])))
        assert len(complaint(kind, folder, file).splitlines()) <= 1


def test_without_damage_they_are_read(tmp_path):
    for name, kind in fuzzing.KINDS.items():
        (tmp_path / name).mkdir()
        said = [complaint(kind, tmp_path / name, path) for path in kind.write(tmp_path / name)]
        if name == "weights":  # of a network of few channels
            assert all("not the weights of vgg16" in one or "refuses to run" in one or "npz" in one for one in said)
        else:
            assert [one for one in said if "no labels there" not in one] == [""] * (len(said) - (name == "archives"))
