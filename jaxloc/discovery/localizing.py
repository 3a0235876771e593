"""The object of one image as the heaviest region of its saliency."""

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import boxes
from jaxloc._checks import as_array
from jaxloc._jit import jitted
from jaxloc.discovery.egm import SETTINGS, Setting, find_regions
from jaxloc.discovery.objects import ObjectModel, object_saliency
from jaxloc.discovery.saliency import feature_saliency
from jaxloc.grids import box_cells, map_size, valid_cells
from jaxloc.localization import Localization, Objects


@jitted("setting", nan=True)
def localize(
    features: ArrayLike,
    image_size: ArrayLike,
    *,
    size: ArrayLike | None = None,
    setting: Setting = SETTINGS["features"],
) -> Localization:
    """The heaviest region of feature saliency (FS.EGM).

    The response is the saliency less the threshold, as a share of its maximum. The score is ``1 − s̄ / s̃`` with the
    saliency's mean ``s̄``, and ``s̃`` inside the region.

    Args:
        features: ``[h, w, d]``, non-negative (after a ReLU).
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the box is.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        setting: one of ``SETTINGS``, or another (static).
    """
    return heaviest_region(feature_saliency(features, size=size), image_size, size=size, setting=setting)


@jitted("setting", "side", nan=True)
def localize_object(
    model: ObjectModel,
    features: ArrayLike,
    image_size: ArrayLike,
    *,
    size: ArrayLike | None = None,
    setting: Setting = SETTINGS["objects"],
    side: int = 5,
) -> Localization:
    """The heaviest region of object saliency (OS.EGM): of what the image shares with the model's set.

    Args:
        model: from ``fit_objects``.
        features: ``[h, w, d]``, non-negative (after a ReLU).
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the box is.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        setting: one of ``SETTINGS``, or another (static).
        side: odd, cells of the square patch (static): 5 at relu5_3, 3 at pool5.
    """
    saliency = object_saliency(model, features, feature_saliency(features, size=size), size=size, side=side)
    return heaviest_region(saliency, image_size, size=size, setting=setting)


@jitted("setting", nan=True)
def heaviest_region(
    saliency: ArrayLike,
    image_size: ArrayLike,
    *,
    size: ArrayLike | None = None,
    setting: Setting = SETTINGS["features"],
) -> Localization:
    """The heaviest region of a saliency map, as ``localize`` gives it.

    Args:
        saliency: ``[h, w]``, 0 or more.
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the box is.
        size: int ``[2]``, valid rows and columns of ``saliency``; ``None`` means all.
        setting: one of ``SETTINGS``, or another (static).
    """
    saliency = as_array("saliency", saliency, "[h, w]", jnp.float32)
    regions = find_regions(saliency, setting=setting, size=size)
    box = boxes.cells_to_pixels(regions.edges, image_size, size=map_size(size, saliency.shape))
    box, found = jnp.where(regions.valid[:, None], box, jnp.nan), regions.valid[0]
    valid = valid_cells(size, saliency.shape)
    saliency = jnp.where(valid, saliency, 0)
    largest = saliency.max()
    share = saliency / jnp.where(largest > 0, largest, 1)
    mask = box_cells(regions.cells[0], saliency.shape)
    mean = share.sum() / jnp.maximum(valid.sum(), 1)
    inside = jnp.where(mask, share, 0).sum() / jnp.maximum(mask.sum(), 1)
    return Localization(
        response=share - setting[0],
        mask=mask,
        box=box[0],
        found=found,
        score=jnp.where(found, jnp.maximum(1 - mean / jnp.where(inside > 0, inside, 1), 0), 0),
        positive_share=(valid & (share > setting[0])).sum() / jnp.maximum(valid.sum(), 1),
        objects=Objects(box, regions.weights),
    )
