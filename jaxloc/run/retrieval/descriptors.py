"""The descriptors by name: what each needs, and how it is made of one image's feature maps."""

import dataclasses
from typing import Literal, NamedTuple

import jax
from jax.typing import ArrayLike

from jaxloc import crow, encoding, pooling, rmac, scda, spoc
from jaxloc.clustering import KMeans
from jaxloc.errors import UsageError
from jaxloc.grids import valid_cells
from jaxloc.mixture import GaussianMixture
from jaxloc.models import FeatureMap

Needs = Literal["kmeans", "mixture", "regions"]


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a descriptor is and needs.

    Attributes:
        title: as a table calls it.
        selects: whether it is made of the selected cells only, and zero where there are none.
        lower: whether it needs the lower layer.
        flip: whether it needs the mirrored image.
        top: whether it needs a classifier's output (fc8).
        explanation: one line for ``--help`` and tables.
    """

    title: str
    explanation: str
    selects: bool = False
    lower: bool = False
    flip: bool = False
    top: bool = False


KINDS: dict[str, Kind] = {
    "fc8": Kind("fc8_im", "the classifier's output for the whole image at 224×224", top=True),
    "fc8_box": Kind("fc8_predBBox", "the classifier's output for SCDA's box", top=True),
    "fc8_truth": Kind("fc8_gtBBox", "the classifier's output for the true box", top=True),
    "pool5": Kind("Pool5", "average and max of all cells, without selection"),
    "fv": Kind("selectFV", "Fisher vector of the selected cells", selects=True),
    "vlad": Kind("selectVLAD", "VLAD of the selected cells", selects=True),
    "spoc": Kind("SPoC (w/o cen.)", "sum of all cells"),
    "spoc_center": Kind("SPoC (with cen.)", "sum of all cells, those near the centre counting more"),
    "crow": Kind("CroW", "sum of all cells, weighted over cells and channels"),
    "mac": Kind("MAC", "max of all cells"),
    "rmac": Kind("R-MAC", "max of regions at several scales, summed"),
    "gem": Kind("GeM", "generalized mean of all cells"),
    "avg": Kind("avgPool", "average of the selected cells", selects=True),
    "max": Kind("maxPool", "max of the selected cells", selects=True),
    "scda": Kind("SCDA", "average and max of the selected cells", selects=True),
    "scda+": Kind("SCDA+", "SCDA of two layers", selects=True, lower=True),
    "scda_flip+": Kind("SCDA_flip+", "SCDA+ of the image and of its mirror image", selects=True, lower=True, flip=True),
}
"""In the order of the paper's table 3."""

NAMES = tuple(name for name in KINDS if name != "fc8_truth")
"""Descriptors that need nothing but images."""


def check_descriptor(name: str) -> None:
    """Raise ``UsageError`` naming the descriptors unless this is one of them."""
    if name not in NAMES:
        raise UsageError(f"unknown descriptor {name!r}; choose one of {', '.join(NAMES)}")


class Codebooks(NamedTuple):
    """What some descriptors must be fitted with first; ``None`` where nothing needs it.

    Attributes:
        kmeans: VLAD's centres.
        mixture: the Fisher vector's Gaussians.
        regions: R-MAC's whitening of regions, ``(mean [d], projection [k, d])``.
    """

    kmeans: KMeans | None = None
    mixture: GaussianMixture | None = None
    regions: tuple[jax.Array, jax.Array] | None = None


def needed_codebook(name: str, *, region_whiten: int) -> Needs | None:
    """Which of the codebooks a descriptor needs."""
    if name == "vlad":
        return "kmeans"
    if name == "fv":
        return "mixture"
    return "regions" if name == "rmac" and region_whiten else None


class Selected(NamedTuple):
    """One image's feature maps and which of their cells are object.

    Attributes:
        top: of the upper layer.
        mask: bool ``[h, w]`` of the upper layer.
        lower: of the lower layer, or ``None``.
        lower_mask: bool ``[h', w']`` of the lower layer, or ``None``.
    """

    top: FeatureMap
    mask: jax.Array
    lower: FeatureMap | None = None
    lower_mask: jax.Array | None = None


def select(top: FeatureMap, mask: jax.Array, lower: FeatureMap | None) -> Selected:
    """Add the lower layer's selection to the upper layer's."""
    if lower is None:
        return Selected(top, mask)
    below = scda.lower_mask(mask, scda.aggregation_map(lower.features), size=top.size, size_lower=lower.size)
    return Selected(top, mask, lower, below)


def describe(
    name: str,
    image: Selected,
    mirrored: Selected | None,
    codebooks: Codebooks,
    *,
    weight: ArrayLike,
    power: float,
    levels: int,
    region_global: bool,
) -> jax.Array:
    """The vector of one image; pure, so it jits and vmaps.

    Args:
        name: the descriptor, any but the classifier's (static).
        image: its features and selection.
        mirrored: those of its mirror image, for SCDA_flip+.
        codebooks: those that ``needed_codebook`` asks for.
        weight: of SCDA+'s lower layer.
        power: of GeM (static).
        levels: of R-MAC (static).
        region_global: whether R-MAC adds the whole image (static).

    Returns:
        float32 ``[d]``; zeros for a descriptor of selected cells where there are none.

    Raises:
        ValueError: what the descriptor needs is not there.
    """
    (features, size), mask = image.top, image.mask
    everywhere = valid_cells(size, (features.shape[0], features.shape[1]))
    match name:
        case "scda":
            return scda.descriptor(features, mask)
        case "scda+":
            return _plus(image, weight)
        case "scda_flip+":
            if mirrored is None:
                raise ValueError("scda_flip+ needs the mirrored image")
            return scda.descriptor_flip_plus(_plus(image, weight), _plus(mirrored, weight))
        case "pool5":
            return pooling.average_max_pool(features, everywhere)
        case "avg":
            return pooling.l2_normalize(pooling.average_pool(features, mask))
        case "max":
            return pooling.l2_normalize(pooling.max_pool(features, mask))
        case "mac":
            return pooling.l2_normalize(pooling.max_pool(features, everywhere))
        case "gem":
            return pooling.l2_normalize(pooling.generalized_mean_pool(features, everywhere, power=power))
        case "spoc":
            return spoc.descriptor(features, size=size, center=False)
        case "spoc_center":
            return spoc.descriptor(features, size=size)
        case "crow":
            return crow.descriptor(features, size=size)
        case "rmac":
            return rmac.descriptor(
                features, size=size, levels=levels, include_global=region_global, whitening=codebooks.regions
            )
        case "vlad" if codebooks.kmeans is not None:
            return encoding.vlad(codebooks.kmeans, features, mask)
        case "fv" if codebooks.mixture is not None:
            return encoding.fisher_vector(codebooks.mixture, features, mask)
    raise ValueError(f"{name} is unknown, or lacks its codebook")


def _plus(image: Selected, weight: ArrayLike) -> jax.Array:
    if image.lower is None or image.lower_mask is None:
        raise ValueError("scda+ needs the lower layer")
    return scda.descriptor_plus(image.top.features, image.mask, image.lower.features, image.lower_mask, weight=weight)
