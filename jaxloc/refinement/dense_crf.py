"""Dense conditional random field: every pixel agrees with all others that are near and of its colour.

Krähenbühl & Koltun, "Efficient inference in fully connected CRFs with Gaussian edge potentials", NIPS 2011: mean field
inference (algorithm 1) of two labels under the Potts model, with an appearance kernel over place and colour and a
smoothness kernel over place (equation 3). With two labels the state is one probability, and each update is
``logit Q = unary + Σₘ wₘ k̃ₘ ∗ (2Q − 1)``, all pixels at once.

As in the authors' released code, each kernel is normalised symmetrically, ``k̃ᵢⱼ = kᵢⱼ / √(Σₗ kᵢₗ Σₗ kⱼₗ)``, and a
pixel's own vote is not taken out of the sum. The smoothness kernel is exact here; the appearance kernel is filtered on
a bilateral grid in place of the permutohedral lattice: on photographs its messages, which lie in [-1, 1], differ from
the exact ones by 0.013 in the mean and by less than 0.1 anywhere.

The weights and the deviation of colour are those of the authors' released example. Its deviations over place, 60 and 3
pixels, and its 10 iterations are smaller here, chosen on photographs whose longer side was 320 pixels: see
``benchmarks/refinement.py``.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses
from jaxloc.grids import valid_cells
from jaxloc.refinement import bilateral_grid
from jaxloc.refinement._arguments import check_image

_HIGHEST = jax.lax.Precision.HIGHEST
_LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1, where no vote could change them."""


@jitted(
    "iterations",
    "appearance_weight",
    "appearance_deviation",
    "colour_deviation",
    "smoothness_weight",
    "smoothness_deviation",
)
@compiler_chooses()
def crf(
    image: ArrayLike,
    probabilities: ArrayLike,
    *,
    size: ArrayLike | None = None,
    iterations: int = 5,
    appearance_weight: float = 10.0,
    appearance_deviation: float = 40.0,
    colour_deviation: float = 20.0,
    smoothness_weight: float = 3.0,
    smoothness_deviation: float = 2.0,
) -> jax.Array:
    """Mean field probabilities of one image's pixels.

    Args:
        image: RGB ``[h, w, 3]``; uint8 (0–255) or float in [0, 1].
        probabilities: float ``[h, w]`` of being object, from ``object_probabilities``: the unary potentials.
        size: int ``[2]``, valid rows and columns of both; ``None`` means all.
        iterations: updates of the mean field (static).
        appearance_weight: ``w⁽¹⁾``.
        appearance_deviation: ``θ_α``, in pixels (static).
        colour_deviation: ``θ_β``, in levels of 0–255 (static).
        smoothness_weight: ``w⁽²⁾``.
        smoothness_deviation: ``θ_γ``, in pixels (static).

    Returns:
        float32 ``[h, w]`` in [0, 1], the object above 1/2; 0 outside ``size``.

    Raises:
        ValueError: not one image and its map, a deviation not above 0 or too small for a grid, negative iterations.
    """
    colours, values = check_image(image, probabilities)
    if not min(appearance_deviation, colour_deviation, smoothness_deviation) > 0 or iterations < 0:
        raise ValueError(
            "deviations must be above 0 and iterations at least 0, got "
            f"{appearance_deviation}, {colour_deviation}, {smoothness_deviation} and {iterations}"
        )
    shape = values.shape[:2]
    valid = valid_cells(size, shape)
    colours, values = jnp.where(valid[..., None], colours, 0), jnp.where(valid, values, 0.5)
    place = None if size is None else jnp.asarray(size)
    grid = bilateral_grid.make_grid(colours, place, deviation=appearance_deviation, colour_deviation=colour_deviation)
    down, across = (jnp.asarray(_gaussian(side, smoothness_deviation)) for side in shape)

    def smooth(x: jax.Array) -> jax.Array:
        return jnp.einsum("yh,hw,wx->yx", down, x, across, precision=_HIGHEST)

    def share(kernel_sums: jax.Array) -> jax.Array:
        return jnp.where(valid, jax.lax.rsqrt(jnp.where(valid, kernel_sums, 1)), 0)

    ones = jax.lax.optimization_barrier(valid.astype(jnp.float32))  # or XLA sums up a whole image's while compiling
    by_appearance, by_place = share(bilateral_grid.filter_on(grid, ones)), share(smooth(ones))
    clipped = jnp.clip(values, _LEAST, 1 - _LEAST)
    unary = jnp.log(clipped) - jnp.log1p(-clipped)

    def update(_: int, log_odds: jax.Array) -> jax.Array:
        votes = jnp.tanh(log_odds / 2)  # 2Q − 1
        appearance = by_appearance * bilateral_grid.filter_on(grid, by_appearance * votes)
        smoothness = by_place * smooth(by_place * votes)
        return unary + appearance_weight * appearance + smoothness_weight * smoothness

    return jnp.where(valid, jax.nn.sigmoid(jax.lax.fori_loop(0, iterations, update, unary)), 0)


def _gaussian(length: int, deviation: float) -> np.ndarray:
    distance = np.subtract.outer(np.arange(length), np.arange(length)) / deviation
    return np.exp(-(distance**2) / 2).astype(np.float32)
