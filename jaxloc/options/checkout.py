"""Options of ``checkout``."""

import dataclasses
import os
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.options.localize import LocalizeOptions
from jaxloc.options.network import NetworkOptions
from jaxloc.options.option import Options, option, same_as
from jaxloc.refiners import REFINEMENTS
from jaxloc.report.exports.formats import FORMATS

_LOOKS = "How the images look"
_CUT = "How products are cut out"
LEAST_PRODUCT = 24
"""Pixels that a product's longer side must have, so that kinds can be told apart."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CutOptions(LocalizeOptions):
    """How products are found in images whose border is not uniform."""

    max_side: int = option(
        448,
        "Shrink images to find products in whose shorter side is longer than this, in pixels; 0 never shrinks.",
        panel=_CUT,
        setting="shorter side at most",
    )
    refine: str = option(
        "crf",
        "Fit a product's mask to its edges by a dense CRF, a guided filter or GrabCut.",
        choices=("none", *REFINEMENTS),
        panel=_CUT,
        setting="pixels",
    )
    report_limit: int = option(0, "Maximum number of images in the report of this job.", only_python=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComposeOptions(Options):
    """How product images become checkout images.

    ``cutting`` is how products are found in images whose border is not uniform.
    """

    levels: tuple[str, ...] = option(
        ("easy", "medium", "hard"),
        "Clutter, as in RPC: easy has 3 to 5 kinds of product and 3 to 10 items, medium 5 to 8 and 10 to 15, hard 8 to "
        "10 and 15 to 20; single has one item. Repeat it for several; the images are dealt to them in turn.",
        "--level",
        metavar="LEVEL",
        setting="levels",
        text=", ".join,
        first=True,
    )
    images: int = option(
        300,
        "Number of images; with a greater one, the same command adds images.",
        "--images",
        "-n",
        least=1,
        first=True,
    )
    format: str = option(
        "coco",
        "Format of the set, in OUT/dataset.",
        "--format",
        "-f",
        choices=[name for name, format in FORMATS.items() if format.holds_boxes],
        first=True,
    )
    render: Literal["simulated", "none"] = option(
        "simulated",
        "simulated varies shadows, light, focus, noise and the JPEG's quality; none only pastes, as the paper's Syn.",
        panel=_LOOKS,
        setting="render",
        first=True,
    )
    side: int = option(800, "Side of the square images, in pixels.", least=32, panel=_LOOKS, setting="side", first=True)
    product_side: float = option(
        0.24,
        "Longer side of a product, as a share of the image's side; sizes vary by a fifth.",
        above=0,
        below=0.7,
        panel=_LOOKS,
        setting="product side",
        first=True,
    )
    backgrounds: tuple[str, ...] = option(
        (),
        "Images of the empty checkout to paste onto, or folders of them; repeatable. [default: light boards]",
        "--background",
        metavar="IMAGES",
        panel=_LOOKS,
        setting="backgrounds",
        text=", ".join,
        first=True,
    )
    seed: int = option(0, "Decides kinds, places, angles and light.", least=0, setting="seed", first=True)
    report_limit: int = option(200, "Maximum number of images in report.html.", least=0)
    cutting: CutOptions = dataclasses.field(default_factory=CutOptions)

    def __post_init__(self) -> None:
        from jaxloc.data.checkout.levels import LEVELS

        super().__post_init__()
        if unknown := set(self.levels).difference(LEVELS):
            raise UsageError(f"no level {min(unknown)!r}: there are {', '.join(LEVELS)}")
        if not self.levels or len(set(self.levels)) < len(self.levels):
            raise UsageError("name one or more levels, each once")
        longest = self.side * self.product_side
        if longest < LEAST_PRODUCT:
            raise UsageError(
                f"a canvas of {self.side} pixels is too small for {self.levels[-1]}: products would be "
                f"{longest:.0f} pixels long, and {LEAST_PRODUCT} are the least: raise --side or --product-side"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainCounterOptions(Options):
    """How to learn to find and count products."""

    weights: str | os.PathLike[str] = same_as(NetworkOptions, "weights")
    layer: str | None = option(
        None,
        "Layer whose features the head reads. [default: the deepest of 8 pixels a cell or fewer, relu4_3 of VGG-16]",
        setting="layer",
    )
    side: int = option(
        448,
        "Shrink images whose longer side is longer than this, in pixels; products should then be about 100 long.",
        "--longer-side",
        "--side",
        least=64,
        setting="longer side at most",
        first=True,
    )
    steps: int = option(600, "Number of training steps.", least=1, setting="steps", first=True)
    batch: int = option(8, "Number of images in a training step.", least=1, setting="batch", first=True)
    learning_rate: float = option(
        1e-3, "Highest learning rate, which falls along a cosine.", above=0, setting="learning rate", first=True
    )
    weight_decay: float = option(1e-4, "Weight decay of AdamW.", least=0, only_python=True, setting="weight decay")
    validation_share: float = option(
        0.2,
        "Share of the images held out to choose the best state and the threshold of scores, unless the set has a split "
        "val.",
        above=0,
        below=1,
        setting="validation share",
        first=True,
    )
    validation_steps: int = option(
        50,
        "Steps from one validation and checkpoint to the next.",
        "--validation-steps",
        "--every",
        least=1,
        setting="steps between validations",
    )
    seed: int = option(0, "Seed of the head, the held-out images and the order.", least=0, setting="seed", first=True)
    devices: int | None = same_as(NetworkOptions, "devices")
    dtype: str = same_as(NetworkOptions, "dtype")
    conv: str = same_as(NetworkOptions, "conv")
    allow_download: bool | None = same_as(NetworkOptions, "allow_download")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountOptions(Options):
    """How to count products in images."""

    threshold: float | None = option(
        None,
        "The least score of an item that is counted. [default: the model's, chosen on its validation images]",
        least=0,
        first=True,
    )
    weights: str | os.PathLike[str] = option(
        NetworkOptions().weights,
        "Network weights, where they are not found by the name that the model keeps.",
        "--weights",
        "-w",
    )
    devices: int | None = same_as(NetworkOptions, "devices")
    dtype: str = same_as(NetworkOptions, "dtype")
    conv: str = same_as(NetworkOptions, "conv")
    allow_download: bool | None = same_as(NetworkOptions, "allow_download")
    report_limit: int = option(200, "Maximum number of images in report.html.", least=0)
