"""What every refiner asks of its arguments."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array


def check_image(image: ArrayLike, probabilities: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """One image, uint8 or float in [0, 1], as float32 in 0–255, and its probabilities ``[h, w]`` as float32."""
    image = as_array("image", image, "[h, w, 3]")
    probabilities = as_array("probabilities", probabilities, "[h, w]", jnp.float32)
    if image.shape[2] != 3:
        raise ValueError(f"image must be RGB [h, w, 3], got shape {image.shape}")
    if image.shape[:2] != probabilities.shape:
        raise ValueError(
            f"image and probabilities must have one size, got {image.shape[:2]} and {probabilities.shape}: "
            "make them with object_probabilities(indicator, image.shape[:2])"
        )
    scale = 255.0 if jnp.issubdtype(image.dtype, jnp.floating) else 1.0
    return image.astype(jnp.float32) * scale, probabilities
