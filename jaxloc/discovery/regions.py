"""Vectors of regions and of the image that they make up (sections 3.5 and 3.9)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import rmac
from jaxloc._checks import as_array, as_flags, check_choice
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses
from jaxloc.discovery.egm import Regions
from jaxloc.grids import box_cells, map_size
from jaxloc.pooling import average_pool, l2_normalize, max_pool

_LEVELS = 2  # of the squares inside a region, in the paper


class InnerRegions(NamedTuple):
    """Boxes and weights of many regions, in slots.

    Attributes:
        cells: int32 ``[r, 4]``, ``x0, y0, x1, y1``, half-open; zeros in unused slots.
        weights: float32 ``[r]``; zeros in unused slots.
        valid: bool ``[r]``, True where a slot holds a region.
    """

    cells: jax.Array
    weights: jax.Array
    valid: jax.Array


class WeightedVectors(NamedTuple):
    """What an image's vector is the sum of.

    Attributes:
        vectors: float32 ``[r, d]``, of unit length; zeros in unused slots.
        weights: float32 ``[r]``; zeros in unused slots.
    """

    vectors: jax.Array
    weights: jax.Array


@jitted()
def region_vectors(features: ArrayLike, cells: ArrayLike, *, valid: ArrayLike | None = None) -> jax.Array:
    """Largest value of each channel in every region (equation 10), of unit length, float32 ``[r, d]``.

    Args:
        features: ``[h, w, d]``.
        cells: int ``[r, 4]``, ``x0, y0, x1, y1``, half-open.
        valid: bool ``[r]``, False for slots without a region, whose vectors are zeros; ``None`` means all are valid.
    """
    features, cells = as_array("features", features, "[h, w, d]"), as_array("cells", cells, "[r, 4]", jnp.int32)
    valid = as_flags(valid, cells.shape[:1], "region")

    def pool(box: jax.Array) -> jax.Array:
        return max_pool(features, box_cells(box, features.shape[:2]))

    return l2_normalize(jax.lax.map(pool, jnp.where(valid[:, None], cells, 0)))


@jitted()
def region_saliency(saliency: ArrayLike, cells: ArrayLike) -> jax.Array:
    """Mean saliency of every region (equation 9), float32 ``[r]``.

    Args:
        saliency: ``[h, w]``, before contrast.
        cells: int ``[r, 4]``, ``x0, y0, x1, y1``, half-open.
    """
    saliency = as_array("saliency", saliency, "[h, w]")[..., None]
    cells = as_array("cells", cells, "[r, 4]", jnp.int32)
    return jax.lax.map(lambda box: average_pool(saliency, box_cells(box, saliency.shape[:2]))[0], cells)


@jitted()
def inner_regions(regions: Regions) -> InnerRegions:
    """Each region followed by R-MAC's squares of two levels inside it (the paper's Δ), 24 slots a region.

    The weight of a region is also that of its squares.
    """
    cells = as_array("regions.cells", regions.cells, "[r, 4]", jnp.int32)

    def inside(box: jax.Array) -> rmac.Regions:
        squares = rmac.regions(box[::-1][:2] - box[:2][::-1], levels=_LEVELS)
        return squares._replace(boxes=squares.boxes + jnp.tile(box[:2], 2))

    squares = jax.vmap(inside)(cells)
    boxes = jnp.concatenate([cells[:, None], squares.boxes], 1)
    valid = jnp.concatenate([jnp.ones((len(cells), 1), bool), squares.valid], 1) & regions.valid[:, None]
    weights = jnp.where(valid, regions.weights[:, None], 0)
    return InnerRegions(jnp.where(valid[..., None], boxes, 0).reshape(-1, 4), weights.reshape(-1), valid.reshape(-1))


@jitted("weigh")
@compiler_chooses()
def image_regions(
    features: ArrayLike, regions: Regions | InnerRegions, *, size: ArrayLike | None = None, weigh: str = "weight"
) -> WeightedVectors:
    """Vectors and weights of an image's regions; the whole map's, MAC, where there is no region.

    Args:
        features: ``[h, w, d]``.
        regions: of ``find_regions`` or ``inner_regions``.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        weigh: ``"weight"`` takes each region's share of the saliency, so that specks count for little; ``"equal"`` is
            the paper's (static).
    """
    features = as_array("features", features, "[h, w, d]")
    check_choice("weigh", weigh, ("weight", "equal"))
    shape = features.shape[:2]
    rows, columns = map_size(size, shape)
    whole = jnp.zeros_like(regions.cells).at[0].set(jnp.stack([0, 0, columns, rows]))
    found = regions.valid.any()
    cells = jnp.where(found, regions.cells, whole)
    valid = jnp.where(found, regions.valid, jnp.arange(len(cells)) == 0)
    weights = jnp.where(found & (weigh == "weight"), regions.weights, 1)
    return WeightedVectors(region_vectors(features, cells, valid=valid), jnp.where(valid, weights, 0))


@jitted()
def descriptor(regions: WeightedVectors) -> jax.Array:
    """The vector of an image: the weighted sum of its regions', of unit length, float32 ``[d]``.

    Args:
        regions: of ``image_regions``.
    """
    vectors = as_array("regions.vectors", regions.vectors, "[r, d]", jnp.float32)
    return l2_normalize((vectors * regions.weights[:, None]).sum(0))
