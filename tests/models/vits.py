"""Vision transformers of two blocks of sixteen channels, registered as ``tiny-FAMILY``, and arrays that fill them."""

import functools
import math
import os
import zlib
from pathlib import Path

import numpy as np

from jaxloc.models import BACKBONES, Backbone, Weights, save, vit, weights_file

DIMENSIONS = {"width": 16, "patch": 4, "depth": 2, "heads": 2}
SIZES = ((12, 12), (8, 20))
"""Images of the golden arrays: of the native size, and not square."""

for family in vit.FAMILIES:
    BACKBONES[f"tiny-{family}"] = vit.backbone(f"tiny-{family}", family, **DIMENSIONS)


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The same random array for a name and shape each time, of a size that keeps activations in range."""
    random = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
    if len(shape) == 1 and not name.endswith("bias"):
        return 1 + random / 10
    fan_in = 4 if len(shape) < 2 or "token" in name or "pos" in name else math.prod(shape[1:])
    return random / np.float32(math.sqrt(fan_in))


def image(size: tuple[int, int]) -> np.ndarray:
    """A random image ``[h, w, 3]`` in [0, 1]."""
    return np.random.default_rng(size[1]).random((*size, 3), np.float32)


@functools.cache
def weights(family: str = "dinov2", **variant: int) -> Weights:
    """Random parameters of a tiny network whose positions are a grid of 3×3."""
    variant |= {} if vit.FAMILIES[family].rotary else {"grid": 3}
    backbone: Backbone = BACKBONES[f"tiny-{family}"].varied(variant)
    flat = {
        name: np.moveaxis(values(name, shape[::-1]), range(len(shape)), range(len(shape))[::-1])
        for name, shape in backbone.all_shapes(head=True).items()
    }
    return weights_file.make_weights(flat, backbone, "random", "tiny")


def write(path: str | os.PathLike[str], family: str = "dinov2") -> Path:
    """Write a weights file of such parameters."""
    save(path, weights(family))
    return Path(path)
