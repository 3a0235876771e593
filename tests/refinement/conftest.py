"""A real photograph made small, and a rough map of its object."""

import numpy as np
import pytest
import skimage.transform


@pytest.fixture(scope="session")
def small_cat(cat):
    """uint8 ``[24, 32, 3]``."""
    return (skimage.transform.resize(cat, (24, 32), anti_aliasing=True) * 255).round().astype(np.uint8)


@pytest.fixture(scope="session")
def indicator():
    """Float ``[6, 8]``, positive in the middle."""
    y, x = np.indices((6, 8))
    wave = np.sin(np.arange(48).reshape(6, 8) * 2.3)
    return (1.5 - np.hypot((y - 2.5) / 1.5, (x - 3.0) / 2) + 0.3 * wave).astype(np.float32)
