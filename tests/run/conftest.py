"""Photographs and finished jobs that the tests look at, made once."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from jaxloc import models
from jaxloc.models import Weights
from jaxloc.report.records import Findings
from jaxloc.run import Options, colocalize
from tests.run import helpers


class Job(NamedTuple):
    """A finished job: where it wrote, and what it returned."""

    folder: Path
    findings: Findings


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which a small network is VGG-16."""
    folder = tmp_path_factory.mktemp("small")
    with helpers.small_network(folder):
        return folder


@pytest.fixture(scope="session")
def small_vgg16(small_cache: Path) -> Weights:
    """The network that jobs compute with here, unless a test asks for ``vgg16``."""
    return models.load(small_cache / "vgg16.safetensors")


@pytest.fixture(autouse=True, scope="package")
def cheap_jobs(small_cache: Path) -> Iterator[None]:
    """The small network on one device: batches for seven more would only cost time."""
    with helpers.one_device(), helpers.small_network(small_cache):
        yield


@pytest.fixture(autouse=True)
def real_network(request: pytest.FixtureRequest, weights_cache: Path) -> Iterator[None]:
    """Jobs of tests that ask for ``vgg16`` compute with it."""
    with helpers.real_network(weights_cache) if "vgg16" in request.fixturenames else contextlib.nullcontext():
        yield


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six small images; the last lacks the motorcycle. Nothing may be written to it."""
    folder = tmp_path_factory.mktemp("photos") / "motorcycle"
    helpers.write_photographs(folder)
    return folder


@pytest.fixture(scope="session")
def job(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Job]:
    """The finished job of a method on ``photos``, with overlays; nothing may be written to its folder."""
    done: dict[str, Job] = {}

    def finished(method: str) -> Job:
        if method not in done:
            folder = tmp_path_factory.mktemp("job") / "out"
            done[method] = Job(folder, colocalize([photos], folder, Options(method=method, overlays=True)))
        return done[method]

    return finished


SIZES = {0: (128, 128), 1: (96, 128)}
"""Rows and columns of the even and the odd images in ``photos``."""


@pytest.fixture(scope="session")
def paths(photos):
    return sorted(photos.iterdir())


@pytest.fixture(scope="session")
def sizes(paths):
    return [SIZES[number % 2] for number in range(len(paths))]


@pytest.fixture(scope="session")
def maps(small_vgg16, paths):
    """Features of ``photos``, by layer."""
    return helpers.features(small_vgg16, paths, ["relu5_3", "relu5_2", "pool5", "relu4_3"])
