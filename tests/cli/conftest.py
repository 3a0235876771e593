"""Small photographs, and what the command leaves of them, made once."""

from pathlib import Path

import pytest

from tests.cli import cli
from tests.run import helpers


@pytest.fixture(autouse=True, scope="package")
def one_device():
    """Batches for seven more devices would only cost time."""
    with helpers.one_device():
        yield


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """Three small images of a motorcycle; nothing may be written to the folder."""
    folder = tmp_path_factory.mktemp("photos") / "motorcycle"
    helpers.write_photographs(folder, with_object=3, without=0)
    return folder


@pytest.fixture(scope="session")
def fitted(photos, tmp_path_factory) -> Path:
    """What ``colocalize`` left of ``photos``."""
    out = tmp_path_factory.mktemp("fitted")
    with helpers.one_device():
        assert cli.invoke("colocalize", photos, "--out", out)[0] == 0
    return out


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> tuple[Path, str]:
    """The demo as it is, once: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    with helpers.one_device():
        status, out, err = cli.invoke("demo", "--out", folder)
    assert (status, err) == (0, "")
    return folder, out
