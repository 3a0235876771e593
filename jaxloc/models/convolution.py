"""3×3 convolutions of stride 1, by the platform or by Winograd's filtering; other kernels by the platform.

The shape of a kernel selects the algorithm: ``[3, 3, c, d]`` the platform's own convolution, ``[36, c, d]`` or
``[16, c, d]``, which ``prepare`` makes, Winograd's filtering in tiles of 4×4 or 2×2.

Winograd's transformed inputs and results are several times as large as the features and exceed the processor's cache,
so the image is processed in bands of rows. A band of the result depends on the same rows of the input and a few more
at either side. If kernels are small, several convolutions are computed for one band before the next: intermediate
results are never whole in memory, and the rows that two bands share are computed twice.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxloc._jit import standard_promotion
from jaxloc.models import winograd

_BAND_BYTES = 8 << 20
"""Transformed inputs and results of one band; from 8 to 12 MiB was fastest with 32 MiB of level-3 cache."""

_SMALL_KERNEL_BYTES = 4 << 20
"""Convolutions are chained while each one's kernel is no larger: VGG's first two blocks."""


class Convolution(NamedTuple):
    """Kernel ``[kh, kw, c, d]``, or ``[36, c, d]`` or ``[16, c, d]`` made by ``prepare``, and bias ``[d]``."""

    kernel: jax.Array
    bias: jax.Array


def direct(x: jax.Array, layer: Convolution, *, padding: str) -> jax.Array:
    """The platform's own convolution of ``[n, h, w, c]`` with a plain kernel, plus the bias."""
    x = lax.conv_general_dilated(x, layer.kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return x + layer.bias


def pool(x: jax.Array, sizes: jax.Array | None, *, first_row: jax.Array | int = 0) -> jax.Array:
    """Max-pool 2×2 cells; an odd last row or column is dropped.

    ``sizes`` are the valid rows and columns before pooling; ``first_row``, even, is that of ``x`` in the whole.
    """
    x = nn.max_pool(x, (2, 2), (2, 2), "VALID")
    return x if sizes is None else inside(x, sizes // 2, first_row=first_row // 2)


def inside(
    x: jax.Array, sizes: jax.Array | None, *, first_row: jax.Array | int = 0, first_column: int = 0
) -> jax.Array:
    """Set values outside the images' valid corners to zero.

    Args:
        x: ``[n, h, w, c]``, a part of the images that begins at ``first_row`` and ``first_column``.
        sizes: int ``[n, 2]``, valid rows and columns of the whole images; ``None`` means that all is valid.
        first_row: of ``x`` in the whole.
        first_column: likewise.
    """
    if sizes is None:
        return x
    rows, columns = first_row + jnp.arange(x.shape[1]), first_column + jnp.arange(x.shape[2])
    valid_rows = (rows >= 0) & (rows < sizes[:, :1])
    valid_columns = (columns >= 0) & (columns < sizes[:, 1:])
    return jnp.where((valid_rows[:, :, None] & valid_columns[:, None, :])[..., None], x, 0)


def chained(layer: Convolution, following: Convolution) -> bool:
    """Whether to pass two convolutions to ``convolve`` together, if nothing else needs the result between them."""
    return following.kernel.ndim == 3 and max(layer.kernel.nbytes, following.kernel.nbytes) <= _SMALL_KERNEL_BYTES


@standard_promotion()
def convolve(x: jax.Array, layers: Sequence[Convolution], sizes: jax.Array | None, *, pooled: bool) -> jax.Array:
    """Apply 3×3 convolutions with bias, ReLU and zero padding to the same size, and pooling if it follows.

    Args:
        x: ``[n, h, w, c]``, zero outside each image's valid corner, as is the result.
        layers: one, or several that are ``chained``.
        sizes: int ``[n, 2]``, valid rows and columns of each image; ``None`` means all of them.
        pooled: halve the sides of the result.
    """
    if layers[-1].kernel.ndim == 3:
        return _convolve_bands(x, layers, sizes, pooled)
    (layer,) = layers
    x = nn.relu(direct(x, layer, padding="SAME"))
    return pool(x, sizes) if pooled else inside(x, sizes)


def _convolve_bands(x: jax.Array, layers: Sequence[Convolution], sizes: jax.Array | None, pooled: bool) -> jax.Array:
    """``convolve`` by Winograd's filtering; kernels before the last may be plain ones.

    The padding of all layers is put around the input, once. Results between the layers are set back to zero where
    they lie in that padding. Rows and columns that only fill the last tile are cut off.
    """
    n, height, width, _ = x.shape
    tile = winograd.tile_side(layers[-1].kernel)
    band = _band_rows(n, height, width, layers)
    bands = -(-height // band)
    halo = len(layers)
    rows, columns = _input_side(layers, band), _input_side(layers, -(-width // tile) * tile)
    below = (bands - 1) * band + rows - halo - height
    x = jnp.pad(x, ((0, 0), (halo, below), (halo, columns - halo - width), (0, 0)))
    between = jnp.array([[height, width]]) if sizes is None else sizes

    def compute(number: jax.Array | int) -> jax.Array:
        first = number * band
        y = lax.dynamic_slice_in_dim(x, first, rows, axis=1)
        for around, layer in zip(reversed(range(halo)), layers, strict=True):
            y = nn.relu(_convolve_valid(y, layer))
            if around:
                y = inside(y, between, first_row=first - around, first_column=-around)
        y = y[:, : min(band, height), :width]
        return pool(y, sizes, first_row=first) if pooled else inside(y, sizes, first_row=first)

    if bands == 1:
        return compute(0)
    shrink = 2 if pooled else 1
    found = jnp.zeros((n, bands * band // shrink, width // shrink, layers[-1].bias.size), x.dtype)

    def add(number: jax.Array, found: jax.Array) -> jax.Array:
        return lax.dynamic_update_slice_in_dim(found, compute(number), number * band // shrink, axis=1)

    return lax.fori_loop(0, bands, add, found)[:, : height // shrink]


def _band_rows(n: int, height: int, width: int, layers: Sequence[Convolution]) -> int:
    """Rows of a band whose transforms in the last layer, the widest, fill the cache.

    Each band reads all filters, so its transforms are no smaller than they are.
    """
    tile = winograd.tile_side(layers[-1].kernel)
    tile_rows = -(-height // tile)
    places, channels, features = layers[-1].kernel.shape
    row_bytes = n * -(-width // tile) * places * (channels + features) * 4
    bound = max(_BAND_BYTES, places * channels * features * 4)
    bands = min(tile_rows, -(-tile_rows * row_bytes // bound))
    return -(-tile_rows // bands) * tile


def _input_side(layers: Sequence[Convolution], side: int) -> int:
    """Rows (or columns) of input that ``side`` rows of the last layer's result depend on."""
    for layer in reversed(layers):
        if layer.kernel.ndim == 3:
            tile = winograd.tile_side(layer.kernel)
            side = -(-side // tile) * tile
        side += 2
    return side


def _convolve_valid(x: jax.Array, layer: Convolution) -> jax.Array:
    if layer.kernel.ndim == 4:
        return direct(x, layer, padding="VALID")
    tile = winograd.tile_side(layer.kernel)
    rows, columns = ((side - 2) // tile * tile + 2 for side in x.shape[1:3])
    return winograd.convolve(x[:, :rows, :columns], layer.kernel) + layer.bias
