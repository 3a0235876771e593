"""CAM: the cells of an image that speak for a class.

Zhou, Khosla, Lapedriza, Oliva & Torralba, "Learning deep features for discriminative localization", CVPR 2016. For a
classifier whose head averages the last feature map and is linear, the class's score is the mean of ``Σ_c w_c x_c`` over
the cells, ``activation_map``.

Two steps are ours. ``fuse`` averages the maps of several sizes of the image: a small one sees the whole object, a large
one its outline. A class map peaks at what tells the class from others, such as a head; ``spread`` extends it to cells
that look alike. ``localization.of_peak`` makes an object of the map.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._jit import jitted
from jaxloc.crops import crop_resize


@jitted()
def activation_map(features: ArrayLike, weights: ArrayLike) -> jax.Array:
    """What each cell adds to a class's score, ``Σ_c w_c x_c``, float32 ``[h, w]``.

    Args:
        features: ``[h, w, d]``, the map that the head averages.
        weights: ``[d]``, the head's weights of the class; a weighted sum of several classes' for all of them.

    Raises:
        ValueError: ``features`` is not one map, or ``weights`` are of another length.
    """
    features = as_array("features", features, "[h, w, d]")
    weights = as_array("weights", weights, "[d]")
    if weights.shape != features.shape[2:]:
        raise ValueError(f"weights must be [{features.shape[2]}], one for each channel, got shape {weights.shape}")
    return (features.astype(jnp.float32) * weights.astype(jnp.float32)).sum(-1)


@jitted()
def fuse(maps: Sequence[ArrayLike]) -> jax.Array:
    """Mean of the class maps of one image at several sizes, on the cells of the last, float32 ``[h, w]``.

    The positive part of each counts, divided by its maximum; maps are enlarged bilinearly.

    Args:
        maps: each ``[h, w]``, the largest last.

    Raises:
        ValueError: one of ``maps`` is not one map.
    """
    each = [jnp.maximum(as_array("maps", one, "[h, w]", jnp.float32), 0)[..., None] for one in maps]
    rows, columns, _ = each[-1].shape
    whole = jnp.full(4, jnp.nan)
    scaled = [one / jnp.where(one.max() > 0, one.max(), 1) for one in each]
    return jnp.stack([crop_resize(one, whole, (rows, columns))[..., 0] for one in scaled]).mean(0)


@jitted()
def spread(cells: ArrayLike, features: ArrayLike) -> jax.Array:
    """Mean of a class map over all cells, for each cell weighted by how alike they look, float32 ``[h, w]``.

    ``⟨x, Σ_j a_j x_j⟩ / ⟨x, Σ_j x_j⟩`` with descriptors ``x`` of unit length. A cell without activation gets 0.

    Args:
        cells: ``a``, ``[h, w]``, not negative.
        features: ``[h, w, d]``, not negative: the descriptors of the same cells.

    Raises:
        ValueError: ``cells`` is not one map, or ``features`` are not of the same cells.
    """
    cells, features = as_array("cells", cells, "[h, w]", jnp.float32), as_array("features", features, "[h, w, d]")
    if features.shape[:2] != cells.shape:
        raise ValueError(f"features must be of the {cells.shape} cells of the map, got shape {features.shape}")
    squared = jnp.square(features := features.astype(jnp.float32)).sum(-1, keepdims=True)
    lit = squared > 0
    unit = jnp.where(lit, features * jax.lax.rsqrt(jnp.where(lit, squared, 1)), 0)
    highest = jax.lax.Precision.HIGHEST
    alike = jnp.einsum("yxd,d->yx", unit, (cells[..., None] * unit).sum((0, 1)), precision=highest)
    every = jnp.einsum("yxd,d->yx", unit, unit.sum((0, 1)), precision=highest)
    return jnp.where(lit[..., 0], alike / jnp.where(lit[..., 0], every, 1), 0)
