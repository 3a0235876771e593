"""Descriptors of an image by name: each a value that states its needs and holds its function.

To add a descriptor, write its pure function in a module of its own and register it in ``DESCRIPTORS``. Importing this
module does not import JAX, so that commands can list names: ``jaxloc`` imports its modules at their first use.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jaxloc

if TYPE_CHECKING:
    from jax import Array

    from jaxloc.clustering import KMeans
    from jaxloc.discovery import ObjectModel, WeightedVectors
    from jaxloc.mixture import GaussianMixture
    from jaxloc.models.projection import Projection

Codebook = Literal["kmeans", "mixture", "regions", "objects", "projection"]


class Codebooks(NamedTuple):
    """What some descriptors must be fitted with; ``None`` where no descriptor needs it.

    Attributes:
        kmeans: centres of VLAD.
        mixture: Gaussians of the Fisher vector.
        regions: whitening of R-MAC's regions, ``(mean [d], projection [k, d])``.
        objects: regions of the set that object saliency looks for.
        projection: learnt from identities by ``jaxloc reid train``.
    """

    kmeans: "KMeans | None" = None
    mixture: "GaussianMixture | None" = None
    regions: "tuple[Array, Array] | None" = None
    objects: "ObjectModel | None" = None
    projection: "Projection | None" = None


class Inputs(NamedTuple):
    """One image as a descriptor sees it; ``jax.vmap`` over the arrays makes it a batch.

    Attributes:
        features: ``[h, w, d]``, zero outside the valid corner.
        size: int32 ``[2]``, valid rows and columns.
        mask: bool ``[h, w]``, the cells of the object.
        lower: features, size and mask of the lower layer, for descriptors with ``lower``.
        mirrored: the mirrored image, for descriptors with ``mirrored``.
        codebooks: with the one that the descriptor needs.
    """

    features: "Array"
    size: "Array"
    mask: "Array"
    lower: "Inputs | None" = None
    mirrored: "Inputs | None" = None
    codebooks: Codebooks = Codebooks()

    @property
    def valid(self) -> "Array":
        """All cells of the image, bool ``[h, w]``."""
        return jaxloc.grids.valid_cells(self.size, self.features.shape[:2])


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """A vector of an image.

    Attributes:
        title: as the SCDA paper's table 3 calls it.
        explanation: one line for help and tables.
        compute: ``compute(inputs, **parameters) -> float32 [d]``, pure: it may be jitted and vmapped. ``None`` for
            descriptors that are the class scores of the network's head, and for those of ``regions``.
        regions: likewise ``regions(inputs, **parameters) -> WeightedVectors``, whose sum is the vector; a gallery
            keeps them.
        parameters: names of the options that ``compute`` or ``regions`` takes (static).
        selects: whether it is made of the object's cells only, and zero if there are none.
        non_negative: whether it weighs by sums or powers of activations, which must not be negative; so does what
            selects cells, see ``presumes_signs``.
        lower: whether it needs the lower layer.
        mirrored: whether it needs the mirrored image.
        codebook: the codebook it needs.
        codebook_option: the option that must not be 0 for the codebook to be needed; empty if it always is.
        fine: whether it is made of the layer for localisation, where none is named.
        whiten: post-processing of a gallery where none is named, as ``--whiten`` takes it.
        crop: what the head sees: the whole image, the box of the object found, or the true box.
    """

    title: str
    explanation: str
    compute: "Callable[..., Array] | None" = None
    regions: "Callable[..., WeightedVectors] | None" = None
    parameters: tuple[str, ...] = ()
    selects: bool = False
    non_negative: bool = False
    lower: bool = False
    mirrored: bool = False
    codebook: Codebook | None = None
    codebook_option: str = ""
    fine: bool = False
    whiten: str = "none"
    crop: Literal["image", "object", "truth"] | None = None

    @property
    def presumes_signs(self) -> bool:
        """Whether it presumes activations that are never negative."""
        return self.selects or self.non_negative or self.crop == "object"

    def needed_codebook(self, options: Any) -> Codebook | None:
        """The codebook that it needs with these options."""
        unused = self.codebook_option and not getattr(options, self.codebook_option)
        return None if unused else self.codebook


def _scda_plus(inputs: Inputs, *, weight: float) -> "Array":
    if inputs.lower is None:
        raise ValueError("SCDA+ needs the lower layer")
    below = inputs.lower.features, inputs.lower.mask
    return jaxloc.scda.descriptor_plus(inputs.features, inputs.mask, *below, weight=weight)


def _scda_flip_plus(inputs: Inputs, *, weight: float) -> "Array":
    if inputs.mirrored is None:
        raise ValueError("SCDA_flip+ needs the mirrored image")
    both = _scda_plus(inputs, weight=weight), _scda_plus(inputs.mirrored, weight=weight)
    return jaxloc.scda.descriptor_flip_plus(*both)


def _average(inputs: Inputs) -> "Array":
    return jaxloc.pooling.l2_normalize(jaxloc.pooling.average_pool(inputs.features, inputs.mask))


def _max(inputs: Inputs) -> "Array":
    return jaxloc.pooling.l2_normalize(jaxloc.pooling.max_pool(inputs.features, inputs.mask))


def _gem(inputs: Inputs, *, power: float) -> "Array":
    pooled = jaxloc.pooling.generalized_mean_pool(inputs.features, inputs.valid, power=power)
    return jaxloc.pooling.l2_normalize(pooled)


def _spoc(inputs: Inputs, *, center: bool) -> "Array":
    return jaxloc.spoc.descriptor(inputs.features, size=inputs.size, center=center)


def _rmac(inputs: Inputs, *, levels: int, region_global: bool) -> "Array":
    whitening = inputs.codebooks.regions
    return jaxloc.rmac.descriptor(
        inputs.features, size=inputs.size, levels=levels, include_global=region_global, whitening=whitening
    )


def _auto(inputs: Inputs, *, levels: int, region_global: bool) -> "Array":
    import jax.numpy as jnp

    if inputs.lower is None:
        raise ValueError("R-MAC of two layers needs the lower layer")
    maxima = [_rmac(one, levels=levels, region_global=region_global) for one in (inputs, inputs.lower)]
    # Of networks whose features have signs CroW weighs the positive ones.
    return jnp.concatenate([*maxima, jaxloc.crow.descriptor(jnp.maximum(inputs.features, 0), size=inputs.size)])


def _vlad(inputs: Inputs) -> "Array":
    if inputs.codebooks.kmeans is None:
        raise ValueError("VLAD needs its codebook")
    return jaxloc.encoding.vlad(inputs.codebooks.kmeans, inputs.features, inputs.mask)


def _fisher(inputs: Inputs) -> "Array":
    if inputs.codebooks.mixture is None:
        raise ValueError("the Fisher vector needs its codebook")
    return jaxloc.encoding.fisher_vector(inputs.codebooks.mixture, inputs.features, inputs.mask)


def _salient(inputs: Inputs, *, region_weights: str) -> "WeightedVectors":
    discovery, size = jaxloc.discovery, inputs.size
    saliency = discovery.feature_saliency(inputs.features, size=size)
    found = discovery.find_regions(saliency, size=size, setting=discovery.SETTINGS["features, paper"])
    return discovery.image_regions(inputs.features, found, size=size, weigh=region_weights)


def _objects(inputs: Inputs, *, region_weights: str, patch: int, inner: bool) -> "WeightedVectors":
    discovery, size = jaxloc.discovery, inputs.size
    if inputs.codebooks.objects is None:
        raise ValueError("object saliency needs the regions of a set")
    saliency = discovery.feature_saliency(inputs.features, size=size)
    saliency = discovery.object_saliency(inputs.codebooks.objects, inputs.features, saliency, size=size, side=patch)
    found = discovery.find_regions(saliency, size=size, setting=discovery.SETTINGS["objects, paper"])
    chosen = discovery.inner_regions(found) if inner else found
    return discovery.image_regions(inputs.features, chosen, size=size, weigh=region_weights)


def _projected(inputs: Inputs) -> "Array":
    if inputs.codebooks.projection is None:
        raise ValueError("a learnt projection needs its file")
    return jaxloc.pooling.l2_normalize(inputs.codebooks.projection.look(inputs.features, inputs.size).vector)


DESCRIPTORS = {
    "fc8": Descriptor("fc8_im", "class scores of the whole image", crop="image"),
    "fc8_box": Descriptor("fc8_predBBox", "class scores of the box that SCDA finds", crop="object"),
    "fc8_truth": Descriptor("fc8_gtBBox", "class scores of the true box", crop="truth"),
    "pool5": Descriptor(
        "Pool5",
        "average and maximum of all cells",
        lambda inputs: jaxloc.pooling.average_max_pool(inputs.features, inputs.valid),
    ),
    "fv": Descriptor("selectFV", "Fisher vector of the object's cells", _fisher, selects=True, codebook="mixture"),
    "vlad": Descriptor("selectVLAD", "VLAD of the object's cells", _vlad, selects=True, codebook="kmeans"),
    "spoc": Descriptor("SPoC (w/o cen.)", "sum of all cells", functools.partial(_spoc, center=False)),
    "spoc_center": Descriptor(
        "SPoC (with cen.)", "sum of all cells, weighted towards the centre", functools.partial(_spoc, center=True)
    ),
    "crow": Descriptor(
        "CroW",
        "sum of all cells, weighted by cell and channel",
        lambda inputs: jaxloc.crow.descriptor(inputs.features, size=inputs.size),
        non_negative=True,
    ),
    "mac": Descriptor("MAC", "maximum of all cells", lambda inputs: _max(inputs._replace(mask=inputs.valid))),
    "rmac": Descriptor(
        "R-MAC",
        "sum of the maxima of regions at several scales",
        _rmac,
        parameters=("levels", "region_global"),
        codebook="regions",
        codebook_option="region_whiten",
    ),
    "auto": Descriptor(
        "R-MAC of two layers and CroW",
        "R-MAC of two layers and CroW, reduced to 512 numbers by the gallery's principal directions",
        _auto,
        parameters=("levels", "region_global"),
        lower=True,
        whiten="shrunk-512",
    ),
    "fs-egm": Descriptor(
        "FS.EGM",
        "sum of the maxima of salient regions",
        regions=_salient,
        parameters=("region_weights",),
        non_negative=True,
        fine=True,
    ),
    "os-egm": Descriptor(
        "OS.EGM",
        "sum of the maxima of regions that are salient in the image and frequent in the set",
        regions=functools.partial(_objects, inner=False),
        parameters=("region_weights", "patch"),
        non_negative=True,
        codebook="objects",
        fine=True,
    ),
    "os-egm-delta": Descriptor(
        "OS.EGM-Δ",
        "OS.EGM with squares of two scales inside each region",
        regions=functools.partial(_objects, inner=True),
        parameters=("region_weights", "patch"),
        non_negative=True,
        codebook="objects",
        fine=True,
    ),
    "gem": Descriptor("GeM", "generalized mean of all cells", _gem, parameters=("power",), non_negative=True),
    "avg": Descriptor("avgPool", "average of the object's cells", _average, selects=True),
    "max": Descriptor("maxPool", "maximum of the object's cells", _max, selects=True),
    "scda": Descriptor(
        "SCDA",
        "average and maximum of the object's cells",
        lambda inputs: jaxloc.scda.descriptor(inputs.features, inputs.mask),
        selects=True,
    ),
    "scda+": Descriptor("SCDA+", "SCDA of two layers", _scda_plus, parameters=("weight",), selects=True, lower=True),
    "scda_flip+": Descriptor(
        "SCDA_flip+",
        "SCDA+ of the image and its mirror image",
        _scda_flip_plus,
        parameters=("weight",),
        selects=True,
        lower=True,
        mirrored=True,
    ),
    "projection": Descriptor(
        "learnt projection",
        "what `jaxloc reid train` learnt, with --projection",
        _projected,
        codebook="projection",
    ),
}
"""Every descriptor by name, in the order of the SCDA paper's table 3."""

INDEXED = {name: descriptor for name, descriptor in DESCRIPTORS.items() if descriptor.crop != "truth"}
"""Descriptors that need nothing but images, or what was learnt, and so can be indexed."""

COMPARED = {name: descriptor for name, descriptor in DESCRIPTORS.items() if descriptor.codebook != "projection"}
"""Descriptors that are fitted on the images themselves, if at all, and so can be compared on them."""
