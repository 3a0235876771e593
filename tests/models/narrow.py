"""A VGG-16 of a few channels: everything about the real one but its size."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxloc.models import Network, Weights, architectures, save, weights_file

WIDTHS = (6, 6, 6, 6, 8)


def weights(monkeypatch: pytest.MonkeyPatch, *, seed: int = 4, top: bool = False) -> Weights:
    """Random parameters, and from here to the end of the test an architecture that expects them."""
    monkeypatch.setattr(architectures, "WIDTHS", WIDTHS)
    rng = np.random.default_rng(seed)
    flat = {}
    for name, shape in weights_file.expected_shapes("vgg16", top=top).items():
        fan_in = np.prod(shape[:-1])
        flat[name] = rng.normal(size=shape) * np.sqrt(2 / fan_in) if name.endswith("kernel") else np.full(shape, 0.1)
    return weights_file.make_weights(flat, Network(), "random", "narrow")


def write(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of such weights."""
    save(path, weights(monkeypatch))
    return path


def flat(params) -> dict[str, np.ndarray]:
    """Arrays by ``layer/name``."""
    return {f"{path[0].key}/{path[1].key}": np.asarray(a) for path, a in jax.tree.leaves_with_path(params)}
