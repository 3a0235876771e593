"""A remote place for the tests of sources."""

import fsspec
import pytest


@pytest.fixture
def bucket():
    """Put files into fsspec's memory; a folder of this test's own."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]

    def put(**files: bytes) -> None:
        for name, data in files.items():
            system.pipe_file(name, data)

    yield put
    system.store.clear()
    system.pseudo_dirs[:] = [""]
