"""A remote place and a real image for the tests of sources."""

import fsspec
import numpy as np
import pytest
import skimage.data
from PIL import Image


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


@pytest.fixture
def upright() -> np.ndarray:
    """A real image without any symmetry: uint8 ``[48, 72, 3]``."""
    return np.asarray(Image.fromarray(skimage.data.chelsea()).resize((72, 48)))
