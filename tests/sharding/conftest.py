"""Meshes of eight devices, as users make them."""

import jax
import pytest
from jax.sharding import AxisType, Mesh

DEVICES = 8


@pytest.fixture(scope="package")
def auto_mesh() -> Mesh:
    """Axes that the compiler divides as it sees fit."""
    return _mesh(AxisType.Auto)


@pytest.fixture(scope="package")
def explicit_mesh() -> Mesh:
    """Axes that are part of every array's type, as ``jax.make_mesh`` makes them by default."""
    return _mesh(AxisType.Explicit)


def _mesh(kind: AxisType) -> Mesh:
    if jax.device_count() < DEVICES:
        pytest.skip(f"{DEVICES} devices are needed and there are {jax.device_count()}: XLA_FLAGS was set beforehand")
    return jax.make_mesh((DEVICES,), ("data",), axis_types=(kind,), devices=jax.devices()[:DEVICES])
