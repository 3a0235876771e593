"""A small network and images of three kinds."""

from pathlib import Path

import pytest

from tests.run.retrieval import small


@pytest.fixture(scope="package")
def weights(tmp_path_factory) -> Path:
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="package")
def images(tmp_path_factory) -> Path:
    """Five images of each of three kinds, each in its folder; nothing may be written here."""
    return small.write_images(tmp_path_factory.mktemp("images") / "photos", empty=False)


@pytest.fixture(scope="package")
def asked(tmp_path_factory) -> Path:
    """Other images of the same kinds."""
    return small.write_images(tmp_path_factory.mktemp("asked") / "asked", range(7, 9), empty=False)


@pytest.fixture(scope="package")
def given(weights) -> dict[str, object]:
    """Options of every job here."""
    return {"weights": weights, "side": 64, "dimension": 4}
