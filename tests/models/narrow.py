"""A VGG-16 of a few channels, registered as ``vgg16-narrow``: the real one in everything but its size.

Import this module to load its weights files: ``write(path)`` makes one, ``Options(weights=path)`` reads it.
"""

import functools
import os
from pathlib import Path

import jax
import numpy as np

from jaxloc.models import BACKBONES, Backbone, Weights, save, vgg, weights_file

WIDTHS = (6, 6, 6, 6, 8)


def register(name: str, widths: tuple[int, ...], **options: int) -> Backbone:
    """A VGG-16 of these widths, under a name of its own."""
    BACKBONES[name] = vgg.backbone("vgg16", name=name, widths=widths, **options)
    return BACKBONES[name]


BACKBONE = register("vgg16-narrow", WIDTHS, dense=12, classes=10)


@functools.cache
def weights(backbone: Backbone = BACKBONE, *, seed: int = 4, top: bool = False) -> Weights:
    """Random parameters that keep activations in range."""
    rng = np.random.default_rng(seed)
    flat = {}
    for name, shape in backbone.all_shapes(head=top).items():
        fan_in = np.prod(shape[:-1])
        flat[name] = rng.normal(size=shape) * np.sqrt(2 / fan_in) if name.endswith("kernel") else np.full(shape, 0.1)
    return weights_file.make_weights(flat, backbone, "random", "narrow")


def write(path: str | os.PathLike[str], backbone: Backbone = BACKBONE, *, seed: int = 4, top: bool = False) -> Path:
    """Write a weights file of such parameters; equal calls write equal bytes."""
    save(path, weights(backbone, seed=seed, top=top))
    return Path(path)


def flat(params) -> dict[str, np.ndarray]:
    """Arrays by ``layer/name``."""
    return {f"{path[0].key}/{path[1].key}": np.asarray(a) for path, a in jax.tree.leaves_with_path(params)}
