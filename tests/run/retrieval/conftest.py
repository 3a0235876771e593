"""Images and galleries that the tests of retrieval look at, made once with a small network."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jaxloc.run.retrieval.index import index
from tests.run.retrieval import small


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """Sixteen images of three kinds; in one of them nothing is selected. Nothing may be written here."""
    return small.write_images(tmp_path_factory.mktemp("images") / "photos")


@pytest.fixture(scope="session")
def queries(tmp_path_factory) -> Path:
    """Other images of the same kinds."""
    return small.write_images(tmp_path_factory.mktemp("queries") / "asked", range(7, 9), empty=False)


@pytest.fixture(scope="session")
def made(weights, images, tmp_path_factory) -> Callable[..., Path]:
    """The gallery of ``images`` with some options, made once; copy it before writing to it."""
    done: dict[tuple[tuple[str, object], ...], Path] = {}

    def gallery(**options: object) -> Path:
        key = tuple(sorted(options.items()))
        if key not in done:
            folder = tmp_path_factory.mktemp("gallery") / "gallery"
            index([images], folder, small.index_options(weights, **options))
            done[key] = folder
        return done[key]

    return gallery


@pytest.fixture
def gallery(made, tmp_path) -> Path:
    """A gallery of the default descriptor, to be spoilt."""
    return small.copy(made(), tmp_path / "gallery")


@pytest.fixture(scope="session")
def query(queries) -> list[Path]:
    return [queries / "cat" / "7.png"]
