"""Options of the jobs that describe images, index and search them."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from jaxloc.descriptors import DESCRIPTORS, INDEXED
from jaxloc.errors import UsageError
from jaxloc.options.network import RUN, NetworkOptions
from jaxloc.options.option import Options, option

if TYPE_CHECKING:
    from jaxloc.models import Backbone

DESCRIPTION = "What a vector is made of"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DescribeOptions(NetworkOptions):
    """What an image's vector depends on, beside the weights: a gallery remembers it."""

    max_side: int = option(
        700,
        "Shrink images whose shorter side is longer than this, in pixels; 0 never shrinks.",
        first=True,
        setting="shorter side at most",
    )
    layer: str | None = option(
        None,
        "Layer whose cells are selected and pooled. [default: the network's own, pool5 of VGG]",
        panel=DESCRIPTION,
        setting="layer",
    )
    lower_layer: str | None = option(
        None,
        "Second layer of SCDA+. [default: the network's own, relu5_2 of VGG-16]",
        panel=DESCRIPTION,
        setting="lower layer",
    )
    weight: float = option(
        0.5,
        "Weight of SCDA+'s second layer (α in the paper): 0.5 for retrieval, 1 for classification.",
        least=0,
        label="the weight of the lower layer",
        panel=DESCRIPTION,
        setting="weight",
    )
    power: float = option(
        3.0,
        "Exponent of GeM.",
        "--gem-power",
        above=0,
        label="the power of GeM",
        panel=DESCRIPTION,
        setting="GeM's power",
    )
    levels: int = option(3, "Number of scales of R-MAC's regions.", least=1, panel=DESCRIPTION, setting="levels")
    region_global: bool = option(
        False,
        "Add the whole image to R-MAC's regions.",
        "--region-global/--no-region-global",
        panel=DESCRIPTION,
        setting="global region",
    )
    region_whiten: int = option(
        0,
        "Whiten R-MAC's regions to this number of dimensions before they are summed; 0 does not whiten.",
        least=0,
        label="region whitening",
        panel=DESCRIPTION,
        setting="region whitening",
    )
    region_weights: Literal["weight", "equal"] = option(
        "weight",
        "What the vectors of fs-egm's and os-egm's regions are multiplied by in their sum: the region's share of the "
        "saliency, or 1 as in the paper.",
        panel=DESCRIPTION,
        setting="region weights",
    )
    patch: int | None = option(
        None,
        "Side in cells of the patches that os-egm compares with the set's regions, an odd number. [default: 5, or 3 of "
        "layers with a stride above 16, such as pool5]",
        least=1,
        panel=DESCRIPTION,
        setting="patch",
    )
    clusters: int = option(
        2, "K of VLAD and Fisher vectors; 2 is the paper's.", least=1, panel=DESCRIPTION, setting="clusters"
    )
    seed: int = option(
        0, "Seed of the codebook of VLAD and Fisher vectors.", least=0, panel=DESCRIPTION, setting="seed"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch is not None and self.patch % 2 == 0:
            raise UsageError(f"the patch has a middle cell, so its side is odd, not {self.patch}")

    def resolved(self, backbone: "Backbone") -> Self:
        """The options with the backbone's layers in place of ``None``.

        Raises:
            UsageError: the backbone has no such layer.
        """
        layer = self.layer or backbone.defaults.retrieval
        patch = self.patch or (3 if backbone.layer(layer).stride > 16 else 5)
        lower = self.lower_layer or backbone.defaults.retrieval_lower
        backbone.check_layers([layer, lower])
        return dataclasses.replace(self, layer=layer, lower_layer=lower, patch=patch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class IndexOptions(DescribeOptions):
    """What ``index`` can be told."""

    descriptor: str = option(
        "scda", "What an image's vector is made of.", "--descriptor", "-d", choices=INDEXED, first=True
    )
    whiten: str = option(
        "auto",
        "Post-processing fitted on the gallery: none, pca-256, svd-256, shrunk-256 or supervised-256 (by labels). A "
        "power may follow pca and svd: svd-256:0 only rotates and cuts, svd-256:0.5 half whitens. These need about 10 "
        "images for each dimension, shrunk any number. auto is shrunk-512 for the descriptor auto, else none.",
        first=True,
    )
    projection: Path | None = option(
        None,
        "Compare by a projection that `jaxloc reid train` learnt; its file brings the network, the layer and "
        "--max-side along.",
        first=True,
    )
    refit: bool = option(False, "Fit the whitening again on all images, after images were added.", first=True)
    shard_size: int = option(
        128,
        "Images in a shard: what a kill can cost. A gallery keeps the size that it was made with.",
        least=1,
        panel=RUN,
    )

    def __post_init__(self) -> None:
        from jaxloc.whitenings import WhitenSpec

        super().__post_init__()
        if self.whiten != "auto":
            WhitenSpec.parse(self.whiten)

    def resolved(self, backbone: "Backbone") -> Self:
        """The options with the backbone's layers in place of ``None``, and the descriptor's post-processing.

        The layer is the finer one where the descriptor takes it.
        """
        descriptor = DESCRIPTORS[self.descriptor]
        whiten = descriptor.whiten if self.whiten == "auto" else self.whiten
        layer = self.layer or (backbone.defaults.localization if descriptor.fine else None)
        chosen = dataclasses.replace(self, layer=layer, whiten=whiten)
        return super(IndexOptions, chosen).resolved(backbone)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions(Options):
    """How the images of a gallery are ranked for a query."""

    top: int | None = option(
        None,
        "Results for each query. [default: 10, or all if the gallery holds fewer]",
        "--top",
        "-k",
        least=1,
        first=True,
    )
    expand: bool = option(
        False, "Average each query with its first results (α-query expansion) and search again.", first=True
    )
    expand_with: int = option(10, "Number of results that --expand takes.", least=1, label="--expand-with")
    alpha: float = option(3.0, "Power of the cosine that weighs the results of --expand.", least=0)
    rerank: str = option(
        "none",
        "Rank again: reciprocal ranks the first results by k-reciprocal neighbours. diffusion ranks by diffusion on "
        "the gallery's graph, which is made in memory; regions and regional-diffusion compare regions instead of "
        "images, in galleries of fs-egm and os-egm.",
        choices=("none", "reciprocal", "diffusion", "regions", "regional-diffusion"),
        first=True,
    )
    neighbors: int | None = option(
        None,
        "Neighbours of each vector in diffusion's graph. [default: a quarter of the other images of a kind, at most "
        "50; where labels are unknown, a quarter of the square root of the number of images]",
        least=1,
    )
    candidates: int = option(100, "Number of first results that --rerank reciprocal ranks again.", least=1)
    approximate: bool = option(False, "Use the index that `jaxloc approximate` built.", first=True)
