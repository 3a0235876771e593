"""Images, weights and unbroken runs that the tests of batch runs look at, made once with a small network."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.run import helpers
from tests.run.batches import runs
from tests.run.retrieval import small


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """Six images in three sets, and one that cannot be read. Nothing may be written here."""
    return runs.write_images(tmp_path_factory.mktemp("batches") / "images")


@pytest.fixture(scope="session")
def unbroken(weights, images, tmp_path_factory) -> Callable[..., dict[str, bytes]]:
    """Every file of an unbroken run over ``images`` with some options, made once."""
    done: dict[tuple[tuple[str, object], ...], dict[str, bytes]] = {}

    def files(**values: object) -> dict[str, bytes]:
        key = tuple(sorted(values.items()))
        if key not in done:
            folder = tmp_path_factory.mktemp("unbroken") / "out"
            runs.run(images, folder, weights, **values)
            done[key] = helpers.every_file(folder)
        return dict(done[key])

    return files


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> dict[str, str]:
    """An environment whose processes share their compiled programs."""
    folder = tmp_path_factory.mktemp("programs")
    folder.chmod(0o700)
    return {"JAX_ENABLE_COMPILATION_CACHE": "true", "JAXLOC_CACHE": str(folder)}


@pytest.fixture
def asked(unbroken, images, weights, tmp_path):
    """A finished run, and how to ask for it again."""
    for name, data in unbroken().items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return images, tmp_path / "out", weights


@pytest.fixture
def broken(images, weights, tmp_path):
    """A run that was stopped in its second shard while it located, and how to ask for it again."""
    asked = images, tmp_path / "out", weights
    assert runs.stopped(10, *asked, feature_cache=0)
    return asked
