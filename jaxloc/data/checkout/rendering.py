"""Light, focus and noise of a checkout's camera, simulated."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage


def board(rng: np.random.Generator, side: int) -> np.ndarray:
    """A checkout's light board with faint patches: uint8 ``[side, side, 3]``."""
    colour = rng.uniform(205, 245) + rng.uniform(-6, 6, 3)
    patches = Image.fromarray(rng.normal(0, 3, (7, 7)).astype(np.float32))
    texture = np.asarray(patches.resize((side, side), Image.Resampling.BICUBIC))[..., None]
    return np.rint(np.clip(colour + texture, 0, 255)).astype(np.uint8)


def simulate(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """An image under uneven, tinted light, a little out of focus, with a sensor's noise: uint8 like ``pixels``.

    Args:
        rng: decides the strengths.
        pixels: uint8 ``[h, w, 3]``.
    """
    rows, columns = pixels.shape[:2]
    angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.2)
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)
    light = (1 + fall * (x * np.cos(angle) + y * np.sin(angle)))[..., None] * rng.uniform(0.85, 1.08)
    lit = pixels * light * (1 + rng.uniform(-0.04, 0.04, 3))
    blurred = ndimage.gaussian_filter(lit.astype(np.float32), (sigma := rng.uniform(0, 1), sigma, 0))
    noisy = blurred + rng.normal(0, rng.uniform(0, 5), pixels.shape)
    return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)


def to_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """A JPEG of uint8 ``[h, w, 3]``."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()
