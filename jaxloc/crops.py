"""Cut a box out of an image and resize it, on the device and for boxes known only there.

The weights are those of Pillow's bilinear filter, which widens with the reduction (anti-aliasing), and only pixels
of the box take part: a box with whole corners gives what Pillow gives for the crop, resized. A pixel that a box covers
in part counts by the share covered, so the result depends continuously on the box.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._jit import jitted
from jaxloc.grids import map_size, valid_cells


@jitted("shape")
def crop_resize(
    image: ArrayLike, box: ArrayLike, shape: tuple[int, int], *, size: ArrayLike | None = None
) -> jax.Array:
    """Resize one box of one image, bilinear and anti-aliased.

    Args:
        image: ``[h, w, channels]``; values keep their scale.
        box: ``[4]``, ``x0, y0, x1, y1`` in pixels of ``image``, half-open; its part outside the image is cut off. NaN
            anywhere means the whole image.
        shape: rows and columns of the result (static).
        size: int ``[2]``, valid rows and columns of ``image``; ``None`` means all.

    Returns:
        float32 ``[rows, columns, channels]``; zeros for a box without area inside the image.
    """
    image = as_array("image", image, "[h, w, channels]")
    box = as_array("box", box, "[4]", jnp.float32)
    if box.shape != (4,):
        raise ValueError(f"box must be [4] (x0, y0, x1, y1), got shape {box.shape}")
    height, width = image.shape[:2]
    valid = valid_cells(size, (height, width))[..., None]
    pixels = jnp.where(valid, image.astype(jnp.float32), 0)
    edges = jnp.tile(map_size(size, (height, width))[::-1].astype(jnp.float32), 2)
    whole = edges * jnp.array([0.0, 0.0, 1.0, 1.0])
    x0, y0, x1, y1 = jnp.where(jnp.isnan(box).any(), whole, jnp.clip(box, 0, edges))
    down = _weights(y0, y1, height, shape[0])
    across = _weights(x0, x1, width, shape[1])
    highest = jax.lax.Precision.HIGHEST
    narrow = jnp.einsum("yh,hwc->ywc", down, pixels, precision=highest)
    return jnp.einsum("xw,ywc->yxc", across, narrow, precision=highest)


def _weights(low: jax.Array, high: jax.Array, length: int, number: int) -> jax.Array:
    """Weights ``[number, length]`` of ``length`` pixels in ``number`` equal parts of ``[low, high)``."""
    pixel = jnp.arange(length, dtype=jnp.float32) - low
    covered = jnp.clip(jnp.minimum(pixel + 1, high - low) - jnp.maximum(pixel, 0), 0, 1)
    scale = (high - low) / number
    centre = (jnp.arange(number, dtype=jnp.float32) + 0.5) * scale
    distance = jnp.abs(pixel[None, :] + 0.5 - centre[:, None]) / jnp.maximum(scale, 1)
    weights = jnp.maximum(1 - distance, 0) * covered
    total = weights.sum(1, keepdims=True)
    return weights / jnp.where(total > 0, total, 1)
