"""The one function through which every convolution of every network goes."""

from typing import Protocol

import jax
from jax import lax


class Convolution(Protocol):
    """``(x [n, h, w, c], kernel [kh, kw, c, d], padding) -> [n, h', w', d]``, stride 1."""

    def __call__(self, x: jax.Array, kernel: jax.Array, *, padding: str) -> jax.Array:
        """Convolve a batch."""


def direct(x: jax.Array, kernel: jax.Array, *, padding: str) -> jax.Array:
    """The platform's own convolution.

    Args:
        x: ``[n, h, w, c]``.
        kernel: ``[kh, kw, c, d]`` of the same dtype.
        padding: ``"SAME"`` or ``"VALID"`` (static).

    Returns:
        ``[n, h', w', d]``.
    """
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
