"""A small network, and data sets whose figures are known, made once."""

from pathlib import Path

import pytest

from tests.run.reproduce import made
from tests.run.retrieval import small


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """Random parameters of the small network."""
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors", seed=2)


@pytest.fixture(scope="session")
def voc(tmp_path_factory, weights) -> Path:
    """See ``made.voc``; nothing may be written here."""
    return made.voc(tmp_path_factory.mktemp("voc") / "set", weights)
