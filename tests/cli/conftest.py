"""Small photographs, and what the command leaves of them, made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import jaxloc.run.demo
from jaxloc.data.demo import Composed, compose
from tests.cli import cli
from tests.run import helpers
from tests.run.conftest import real_network, small_cache

__all__ = ["real_network", "small_cache"]


@pytest.fixture(autouse=True, scope="package")
def cheap_jobs(small_cache: Path) -> Iterator[None]:
    """The small network on one device: batches for seven more would only cost time."""
    with helpers.one_device(), helpers.small_network(small_cache):
        yield


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """Three small images of a motorcycle, of one shape; nothing may be written to the folder."""
    folder = tmp_path_factory.mktemp("photos") / "motorcycle"
    folder.mkdir()
    for image in compose(with_object=3, without=0):
        helpers.shrunk(image, (128, 128)).image.save(folder / image.name, quality=95)
    return folder


@pytest.fixture(scope="session")
def fitted(photos, small_cache, tmp_path_factory) -> Path:
    """What ``colocalize`` left of ``photos``."""
    out = tmp_path_factory.mktemp("fitted")
    with helpers.one_device(), helpers.small_network(small_cache):
        assert cli.invoke("colocalize", photos, "--out", out)[0] == 0
    return out


def small_demo(*, seed: int) -> list[Composed]:
    """Seven images with the motorcycle and two without, each shrunk to one shape."""
    return [helpers.shrunk(image, (128, 128)) for image in compose(with_object=7, without=2, seed=seed)]


@pytest.fixture(scope="session")
def demo(vgg16, weights_cache, tmp_path_factory) -> tuple[Path, str]:
    """The demo with nine small images, once: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    with helpers.one_device(), helpers.real_network(weights_cache), pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxloc.run.demo, "compose", small_demo)
        status, out, err = cli.invoke("demo", "--out", folder)
    assert status == 0, err
    return folder, out
