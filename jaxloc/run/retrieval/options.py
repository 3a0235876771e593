"""What a retrieval job is asked to do, checked once."""

import dataclasses
import re
from typing import Any, Literal

from jaxloc.errors import UsageError
from jaxloc.models.architectures import BLOCKS, check_layers
from jaxloc.run.options import Reading
from jaxloc.run.retrieval.descriptors import check_descriptor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Describing(Reading):
    """What an image's vector depends on, beside the weights: a gallery remembers it.

    Attributes:
        layer: the layer whose descriptors are selected and pooled.
        lower_layer: the second layer of SCDA+; ``None`` is the convolution before the last (``relu5_2`` of VGG-16).
        weight: SCDA+'s α on the lower layer's blocks, 0.5 for retrieval and 1 for classification.
        power: the exponent of GeM.
        levels: scales of R-MAC's regions.
        region_global: add the whole image to R-MAC's regions.
        region_whiten: dimensions to which R-MAC's regions are whitened before they are summed; 0 does not.
        clusters: K of VLAD and Fisher vectors.
        seed: decides the sample and the start of k-means and the Gaussian mixture.
    """

    max_side: int = 700
    layer: str = "pool5"
    lower_layer: str | None = None
    weight: float = 0.5
    power: float = 3.0
    levels: int = 3
    region_global: bool = False
    region_whiten: int = 0
    clusters: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, least in (
            ("levels", self.levels, 1),
            ("region whitening", self.region_whiten, 0),
            ("clusters", self.clusters, 1),
            ("seed", self.seed, 0),
        ):
            if value < least:
                raise UsageError(f"{name} must be at least {least}, not {value}")
        if not 0 <= self.weight < float("inf"):
            raise UsageError(f"the weight of the lower layer must be 0 or more, not {self.weight}")
        if not 0 < self.power < float("inf"):
            raise UsageError(f"the power of GeM must be above 0, not {self.power}")

    def lower(self, architecture: str) -> str:
        """The lower layer: the one asked for, or the convolution before the network's last."""
        lower = self.lower_layer or f"relu5_{BLOCKS[architecture][-1] - 1}"
        check_layers(architecture, [lower])
        return lower

    def fingerprint(self) -> dict[str, Any]:
        """What vectors depend on, as plain values."""
        return {name: getattr(self, name) for name in _FINGERPRINT}


_FINGERPRINT = (
    "layer",
    "lower_layer",
    "weight",
    "power",
    "levels",
    "region_global",
    "region_whiten",
    "clusters",
    "seed",
    "max_side",
    "connectivity",
    "dtype",
)

_IMAGES_EACH = 10
"""Images that a whitened dimension takes, at full power."""

Post = Literal["pca", "svd", "supervised"]


@dataclasses.dataclass(frozen=True)
class WhitenSpec:
    """A post-processing, written ``svd-256`` (whitened) or ``svd-256:0`` (rotated and cut only).

    Attributes:
        kind: ``"pca"`` (centred), ``"svd"`` (not centred) or ``"supervised"`` (by labels).
        dimension: of the result.
        power: how far the spectrum is flattened, from 0 (not at all) to 1 (whitening).
    """

    kind: Post
    dimension: int
    power: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "WhitenSpec | None":
        """Read ``KIND-DIMENSION[:POWER]``; ``"none"`` is ``None``.

        Raises:
            UsageError: it reads otherwise.
        """
        if text == "none":
            return None
        match = re.fullmatch(r"(pca|svd|supervised)-([1-9]\d{0,5})(?::(\d+(?:\.\d+)?|\.\d+))?", text)
        power = 1.0 if match is None or match[3] is None else float(match[3])
        if match is None or power > 1 or (match[1] == "supervised" and match[3] is not None):
            raise UsageError(
                f"cannot read the whitening {text!r}: write none, pca-256, svd-256 or supervised-256; a power from 0 "
                "(only rotate and cut) to 1 (whiten, the default) may follow pca and svd, as in svd-256:0.5"
            )
        return cls(match[1], int(match[2]), power)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.kind}-{self.dimension}" + ("" if self.power == 1 else f":{self.power:g}")

    def doubt(self, images: int) -> str:
        """Why so few images do not carry this whitening; empty if they do.

        Whitening makes every dimension kept count the same. Those that few images determine are noise, and at full
        power they drown the others: with 340 images, 256 dimensions halve what is found.
        """
        if self.kind == "supervised" or images >= _IMAGES_EACH * self.power * self.dimension:
            return ""
        fewer = max(8, 1 << max(0, (images // (2 * _IMAGES_EACH)).bit_length() - 1))
        other = f", or with fewer dimensions, such as {self.kind}-{fewer}" if fewer < self.dimension else ""
        return (
            f"{self} is fitted on {images:,} images only: most of what it raises is noise; compare with "
            f"{self.kind}-{self.dimension}:0, which does not whiten{other}"
        )

    @property
    def title(self) -> str:
        """As the paper's table calls it."""
        if self.kind == "supervised":
            return f"supervised whitening {self.dimension}"
        name = self.kind.upper()
        if self.power == 0:
            return f"{name} {self.dimension}"
        return f"{name}+whitening {self.dimension}" + ("" if self.power == 1 else f", power {self.power:g}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class IndexOptions(Describing):
    """Everything ``index`` can be told.

    Attributes:
        descriptor: one of ``descriptors.NAMES``.
        whiten: post-processing fitted on the gallery, such as ``"svd-256"``, or ``"none"``.
        refit: fit the whitening again on all images, if more have come.
        shard_size: images in a shard: what a kill can cost.
    """

    descriptor: str = "scda"
    whiten: str = "none"
    refit: bool = False
    shard_size: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        check_descriptor(self.descriptor)
        WhitenSpec.parse(self.whiten)
        if self.shard_size < 1:
            raise UsageError(f"a shard must hold at least 1 image, not {self.shard_size}")
