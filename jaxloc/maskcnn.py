"""Mask-CNN: rectangles of parts as targets of a segmentation, and boxes of parts from its scores.

Wei, Xie, Wu & Shen, "Mask-CNN: localizing parts and selecting descriptors for fine-grained bird species
categorization", Pattern Recognition 2018. The smallest rectangle round a part's key points is its target, and where
two overlap the head wins. The predicted scores, in [0, 1], are soft masks: their sum over the parts is the object's,
and ``pooling.average_max_pool`` weighs descriptors by them. Ours: a part's box surrounds its largest component; one
without a pixel takes the object's box, and without an object the whole image.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._jit import jitted
from jaxloc.boxes import mask_to_box
from jaxloc.components import Backend, largest_component
from jaxloc.grids import map_size, valid_cells


class PartBoxes(NamedTuple):
    """Boxes of one image's parts.

    Attributes:
        box: float32 ``[k, 4]``, ``x0, y0, x1, y1`` in pixels of the original image.
        found: bool ``[k]``, whether the part has a pixel of its own.
        object_box: float32 ``[4]``, around the boxes of the parts found; the whole image without any.
    """

    box: jax.Array
    found: jax.Array
    object_box: jax.Array


@jitted("shape", "stride")
def part_targets(boxes: ArrayLike, shape: tuple[int, int], *, stride: int) -> jax.Array:
    """Share of each cell that the background and each part's rectangle cover: float32 ``[h, w, 1 + k]``.

    Args:
        boxes: ``[k, 4]``, ``x0, y0, x1, y1`` in pixels; NaN for a part that is not seen. Where rectangles overlap, the
            first one takes the pixel.
        shape: rows and columns of cells (static).
        stride: pixels of a cell's side (static).
    """
    boxes = as_array("boxes", boxes, "[k, 4]", jnp.float32)
    y, x = (jnp.arange(length * stride) + 0.5 for length in shape)
    x0, y0, x1, y1 = (edge[:, None] for edge in boxes.T)
    inside = ((y >= y0) & (y < y1))[:, :, None] & ((x >= x0) & (x < x1))[:, None, :]
    before = jnp.cumsum(inside, 0) - inside
    own = inside & (before == 0)
    pixels = jnp.concatenate([~inside.any(0, keepdims=True), own]).astype(jnp.float32)
    down, across = (jnp.repeat(jnp.eye(length), stride, axis=1) / stride for length in shape)
    return jnp.einsum("hy,wx,pyx->hwp", down, across, pixels)


@jitted("largest", "backend")
def part_boxes(
    scores: ArrayLike,
    image_size: ArrayLike,
    *,
    size: ArrayLike | None = None,
    largest: bool = True,
    backend: Backend = "auto",
) -> PartBoxes:
    """The smallest rectangle round the cells in which each part has the highest score.

    Args:
        scores: ``[h, w, 1 + k]``, of the background and ``k`` parts.
        image_size: int ``[2]``, rows and columns of the original image.
        size: int ``[2]``, valid rows and columns of ``scores``; ``None`` means all.
        largest: look at the largest component only (static).
        backend: where components are labelled (static).
    """
    scores = as_array("scores", scores, "[h, w, c]")
    best = jnp.where(valid_cells(size, scores.shape[:2]), scores.argmax(-1), 0)

    def box_of(mask: jax.Array) -> jax.Array:
        kept = largest_component(mask, backend=backend) if largest else mask
        return mask_to_box(kept, image_size, size=size)

    height, width = map_size(image_size, ())
    whole = jnp.array([0, 0, width, height], jnp.float32)
    masks = jnp.stack([best == part for part in range(1, scores.shape[-1])])
    found = masks.any((1, 2))
    own = jnp.stack([box_of(mask) for mask in masks])
    edges = jnp.where(found[:, None], own, whole[jnp.array([2, 3, 0, 1])])
    around = jnp.concatenate([edges[:, :2].min(0), edges[:, 2:].max(0)])
    everything = jnp.where(found.any(), around, whole)
    return PartBoxes(jnp.where(found[:, None], own, everything), found, everything)
