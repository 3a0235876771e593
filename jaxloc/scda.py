"""SCDA: find the object of a single image by selecting the descriptors that fire, and describe it.

Wei, Luo, Wu & Zhou, "Selective convolutional descriptor aggregation for fine-grained image retrieval", IEEE TIP
2017. Every function takes one image; ``jax.vmap`` makes it a batch. Settled as in the authors' released code where
the paper is silent: the largest component is 8-connected at feature resolution, the comparison with the mean is
strict, and the average and max blocks of the descriptor are ℓ2-normalised separately. The paper ℓ2-normalises
SCDA+ once more; as in the released code, its blocks keep their lengths and the concatenation is not normalised.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import boxes, components, pooling
from jaxloc._checks import as_array, check_rank
from jaxloc._jit import jitted
from jaxloc.grids import upsample_nearest, valid_cells
from jaxloc.localization import Localization


@jitted()
def aggregation_map(features: ArrayLike) -> jax.Array:
    """Sum of the activations over channels, ``A = Σ_c x`` (section III-A), float32 ``[h, w]``.

    Args:
        features: ``[h, w, d]``.
    """
    features = as_array("features", features, "[h, w, d]")
    return features.astype(jnp.float32).sum(-1)


@jitted()
def mean_mask(aggregation: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Cells whose aggregation exceeds the mean over the valid cells, ``M = A > ā`` (equation 2).

    Args:
        aggregation: ``[h, w]``.
        size: int ``[2]``, valid rows and columns; ``None`` means all.

    Returns:
        bool ``[h, w]``; empty for a constant map.
    """
    aggregation = as_array("aggregation", aggregation, "[h, w]", jnp.float32)
    valid = valid_cells(size, aggregation.shape[:2])
    # Measured from the smallest value, so that rounding of the mean cannot select cells of a constant map.
    above = aggregation - jnp.where(valid, aggregation, jnp.inf).min(initial=jnp.inf)
    mean = jnp.where(valid, above, 0).sum() / jnp.maximum(valid.sum(), 1)
    return valid & (above > mean)


@jitted("connectivity", "backend")
def object_mask(
    aggregation: ArrayLike,
    *,
    size: ArrayLike | None = None,
    connectivity: int = 8,
    backend: components.Backend = "auto",
) -> jax.Array:
    """Largest component of the cells above the mean, ``M̃`` (algorithm 1), bool ``[h, w]``.

    Args:
        aggregation: ``[h, w]``.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
        connectivity: 8 (the released code) or 4 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).
    """
    mask = mean_mask(aggregation, size=size)
    return components.largest_component(mask, connectivity=connectivity, backend=backend)


@jitted()
def descriptor(features: ArrayLike, mask: ArrayLike) -> jax.Array:
    """The selected descriptors as one vector: average and max, each ℓ2-normalised, concatenated (section III-C).

    Args:
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, from ``object_mask``.

    Returns:
        float32 ``[2 d]`` (1024 for VGG); zeros for an empty mask.
    """
    return pooling.average_max_pool(features, mask)


@jitted()
def lower_mask(
    mask: ArrayLike, aggregation_lower: ArrayLike, *, size: ArrayLike | None = None, size_lower: ArrayLike | None = None
) -> jax.Array:
    """Cells of a lower layer that lie in the object and exceed their own mean (section 3.3, relu5_2 under pool5).

    The object mask is spread over the lower map, whatever the ratio of their sizes; no component is taken after.

    Args:
        mask: bool ``[h, w]``, the upper layer's object mask ``M̃``, from ``object_mask``.
        aggregation_lower: ``[h', w']``, the lower layer's aggregation map.
        size: int ``[2]``, valid rows and columns of ``mask``; ``None`` means all.
        size_lower: int ``[2]``, valid rows and columns of ``aggregation_lower``; ``None`` means all.

    Returns:
        bool ``[h', w']``.
    """
    mask, aggregation_lower = jnp.asarray(mask), jnp.asarray(aggregation_lower)
    if mask.dtype != jnp.bool_:
        raise ValueError(f"mask must be bool, got {mask.dtype}")
    selected = mean_mask(aggregation_lower, size=size_lower)
    shape = aggregation_lower.shape[:2]
    return selected & upsample_nearest(mask, shape, size=size, target_size=size_lower)


@jitted()
def descriptor_plus(
    features: ArrayLike, mask: ArrayLike, features_lower: ArrayLike, mask_lower: ArrayLike, *, weight: ArrayLike = 0.5
) -> jax.Array:
    """SCDA+: the descriptors of two layers side by side, ``[SCDA, α · SCDA_lower]`` (equation 3).

    The four blocks are ℓ2-normalised one by one and the concatenation is not normalised again.

    Args:
        features: ``[h, w, d]``, of the upper layer (pool5).
        mask: bool ``[h, w]``, from ``object_mask``.
        features_lower: ``[h', w', d']``, of the lower layer (relu5_2).
        mask_lower: bool ``[h', w']``, from ``lower_mask``.
        weight: ``α``: 0.5 for retrieval, 1 for classification.

    Returns:
        float32 ``[2 d + 2 d']`` (2048 for VGG).
    """
    lower = descriptor(features_lower, mask_lower)
    return jnp.concatenate([descriptor(features, mask), jnp.asarray(weight, jnp.float32) * lower])


@jitted()
def descriptor_flip_plus(plus: ArrayLike, plus_of_flip: ArrayLike) -> jax.Array:
    """SCDA_flip+: an image's SCDA+ followed by that of its mirror image (section 3.3).

    The mirrored image goes through the network and its own selection; flipping features is not the same. Both parts
    keep their lengths.

    Args:
        plus: ``[n]``, the image's vector, from ``descriptor_plus``.
        plus_of_flip: ``[n]``, the vector of the image mirrored by ``grids.flip_columns``.

    Returns:
        float32 ``[2 n]`` (4096 for VGG).
    """
    parts = [jnp.asarray(part, jnp.float32) for part in (plus, plus_of_flip)]
    for name, part in zip(("plus", "plus_of_flip"), parts, strict=True):
        check_rank(name, part, "[n]")
    if parts[0].shape != parts[1].shape:
        raise ValueError(f"plus and plus_of_flip differ in length: {parts[0].shape[0]} and {parts[1].shape[0]}")
    return jnp.concatenate(parts)


@jitted("connectivity", "backend", nan=True)
def localize(
    features: ArrayLike,
    image_size: ArrayLike,
    *,
    size: ArrayLike | None = None,
    connectivity: int = 8,
    backend: components.Backend = "auto",
) -> Localization:
    """Aggregation map, object mask and box of one image.

    The score is ``1 − ā / Ã``, with ``Ã`` the mean aggregation inside the mask. Where the aggregation map is negative
    somewhere, as features without a ReLU make it, both are measured from its smallest value.

    Args:
        features: ``[h, w, d]``.
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the box is.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        connectivity: 8 or 4 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).
    """
    aggregation = aggregation_map(features)
    selected = mean_mask(aggregation, size=size)
    mask = components.largest_component(selected, connectivity=connectivity, backend=backend)
    valid = valid_cells(size, mask.shape[:2])
    cells = jnp.maximum(valid.sum(), 1)
    response = aggregation - jnp.where(valid, aggregation, 0).min(initial=0)
    mean = jnp.where(valid, response, 0).sum() / cells
    inside = jnp.where(mask, response, 0).sum() / jnp.maximum(mask.sum(), 1)
    found = mask.any()
    return Localization(
        response=aggregation,
        mask=mask,
        box=boxes.mask_to_box(mask, image_size, size=size),
        found=found,
        score=jnp.where(found, jnp.maximum(1 - mean / jnp.where(inside > 0, inside, 1), 0), 0),
        positive_share=selected.sum() / cells,
    )
