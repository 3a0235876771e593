"""What a method that localises returns for one image, the same for all of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import boxes, components
from jaxloc._checks import as_array, as_size
from jaxloc._jit import jitted
from jaxloc.grids import map_size, valid_cells


class Objects(NamedTuple):
    """Every region of an image that a method takes for an object, the first the one that it chooses.

    Attributes:
        box: float32 ``[r, 4]``, ``x0, y0, x1, y1`` in pixels of the original image; NaN in unused slots.
        weight: float32 ``[r]``, share of the image's saliency or of its object cells; 0 in unused slots.
    """

    box: jax.Array
    weight: jax.Array


class Localization(NamedTuple):
    """One image's object.

    Attributes:
        response: float32 ``[h, w]``, the map the decision was made on; meaningless outside the valid cells.
        mask: bool ``[h, w]``, True = object, at the resolution of the feature map.
        box: float32 ``[4]``, ``x0, y0, x1, y1`` in pixels of the original image; NaN where nothing was found.
        found: bool ``[]``, whether the mask holds any cell.
        score: float32 ``[]`` in [0, 1), how far the object stands out; 0 where nothing was found.
        positive_share: float32 ``[]``, share of valid cells above the method's threshold, before any component
            step: DDT's noise score, small where the common object is absent.
        deviation: float32 ``[d]``, DDT's: how the positive cells deviate from the set's mean, see ``ddt.deviation``;
            ``None`` for others.
        label: int32 ``[]``, class that a classifier was asked for; ``None`` for methods that ask none.
        probability: float32 ``[]``, of that class in the whole image; ``None`` likewise.
        point: float32 ``[2]``, ``x, y`` in pixels of the original image, where the class is seen most; NaN where
            nothing was found, and ``None`` for methods that look for no peak.
        passes: int32 ``[]``, images that the network was asked about; ``None`` likewise.
        regions: float32 ``[T + 1, 6]``, of methods that go from region to region: ``x0, y0, x1, y1`` of each in pixels
            of the original image, and the scores of the region cropped and of the image with it erased; NaN after the
            last. ``None`` for others.
        objects: all of them, for methods that may find several; ``None`` for others.
    """

    response: jax.Array
    mask: jax.Array
    box: jax.Array
    found: jax.Array
    score: jax.Array
    positive_share: jax.Array
    deviation: jax.Array | None = None
    label: jax.Array | None = None
    probability: jax.Array | None = None
    point: jax.Array | None = None
    passes: jax.Array | None = None
    regions: jax.Array | None = None
    objects: Objects | None = None


@jitted("most", "connectivity", "backend", nan=True)
def every_component(
    candidates: ArrayLike,
    image_size: ArrayLike,
    *,
    within: ArrayLike | None = None,
    size: ArrayLike | None = None,
    most: int = 16,
    connectivity: int = 8,
    backend: components.Backend = "auto",
) -> Objects:
    """Each component of an image's candidate cells as an object, in order of size; ties in raster order.

    The first is ``components.largest_component``, so that it is the object of methods that choose that one.

    Args:
        candidates: bool ``[h, w]``, cells that may be object; False outside ``size``.
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the boxes are.
        within: bool ``[h, w]``, cells that a box is drawn around, such as those DDT+'s lower layer confirms; a
            component without any has no box. ``None`` means all.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
        most: number of slots; smaller components are left out (static).
        connectivity: 8 or 4 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).
    """
    labels = components.label(candidates, connectivity=connectivity, backend=backend)
    inside = labels > 0 if within is None else (labels > 0) & jnp.asarray(within)
    counts = jnp.zeros(max(labels.size + 1, most), jnp.int32).at[labels.ravel()].add(1).at[0].set(0)
    cells, numbers = jax.lax.top_k(counts, most)

    def box(number: jax.Array) -> jax.Array:
        return boxes.mask_to_box(inside & (labels == number), image_size, size=size)

    each = jax.vmap(box)(numbers)  # NaN in unused slots, whose numbers no cell has
    weight = cells / jnp.maximum(counts.sum(), 1)
    return Objects(each, jnp.where(jnp.isnan(each[:, 0]), 0, weight))


@jitted("connectivity", "backend", nan=True)
def of_peak(
    response: ArrayLike,
    image_size: ArrayLike,
    *,
    threshold: ArrayLike,
    size: ArrayLike | None = None,
    connectivity: int = 8,
    backend: components.Backend = "auto",
) -> Localization:
    """The object of a map with a peak: the largest component of the cells above a share of the maximum.

    The response is the map's positive part less the threshold. The score is ``1 − ā / ã``, with the mean ``ā`` of that
    part, and ``ã`` inside the object.

    Args:
        response: ``[h, w]``; only values above 0 count.
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the box is.
        threshold: share of the maximum that a cell must exceed.
        size: int ``[2]``, valid rows and columns of ``response``; ``None`` means all.
        connectivity: 8 or 4 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).
    """
    response = as_array("response", response, "[h, w]", jnp.float32)
    valid = valid_cells(size, response.shape)
    cells = jnp.maximum(valid.sum(), 1)
    heat = jnp.where(valid, jnp.maximum(response, 0), 0)
    least = threshold * heat.max()
    above = heat > least
    mask = components.largest_component(above, connectivity=connectivity, backend=backend)
    found = mask.any()
    inside = jnp.where(mask, heat, 0).sum() / jnp.maximum(mask.sum(), 1)
    return Localization(
        response=heat - least,
        mask=mask,
        box=boxes.mask_to_box(mask, image_size, size=size),
        found=found,
        score=jnp.where(found, 1 - heat.sum() / cells / jnp.where(found, inside, 1), 0),
        positive_share=above.sum() / cells,
        point=peak(heat, image_size, size=size, backend=backend),
    )


@jitted("backend", nan=True)
def peak(
    response: ArrayLike, image_size: ArrayLike, *, size: ArrayLike | None = None, backend: components.Backend = "auto"
) -> jax.Array:
    """Where a map is greatest: the centre of the largest 8-connected component at the maximum.

    Args:
        response: ``[h, w]``; only values above 0 count.
        image_size: int ``[2]``, rows and columns of the original image.
        size: int ``[2]``, valid rows and columns of ``response``; ``None`` means all.
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).

    Returns:
        float32 ``[2]``: ``x, y`` in pixels of the original image; NaN for a map without a value above 0.
    """
    response = as_array("response", response, "[h, w]", jnp.float32)
    heat = jnp.where(valid_cells(size, response.shape), response, 0)
    top = components.largest_component((heat > 0) & (heat >= heat.max() * (1 - 1e-6)), backend=backend)
    y, x = (jnp.arange(cells, dtype=jnp.float32) + 0.5 for cells in top.shape)
    place = jnp.stack([(top * x).sum(), (top * y[:, None]).sum()]) / jnp.maximum(top.sum(), 1)
    pixels = as_size("image_size", image_size, jnp.float32)[::-1] / map_size(size, response.shape)[::-1]
    return jnp.where(top.any(), place * pixels, jnp.nan)
