"""Options of the job that learns Mask-CNN's parts and streams."""

import dataclasses
import os

from jaxloc.options.network import NetworkOptions
from jaxloc.options.option import Options, option, same_as


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskCnnOptions(Options):
    """How parts are learnt, and classes from their streams."""

    weights: str | os.PathLike[str] = same_as(NetworkOptions, "weights")
    side: int = option(
        224,
        "Shrink images whose longer side is longer than this, in pixels, a multiple of 32. Crops of parts are always "
        "enlarged or shrunk to 224 pixels a side.",
        "--longer-side",
        "--side",
        least=64,
        first=True,
        setting="longer side at most",
    )
    steps: int = option(
        600,
        "Number of training steps of the parts, of 8 images each.",
        least=1,
        first=True,
        setting="steps of the parts",
    )
    classifier_steps: int = option(
        1000,
        "Number of training steps of each classifier, of 64 images each.",
        least=1,
        setting="steps of a classifier",
    )
    test_share: float = option(
        0.25,
        "Share of each class to test on, if the data has no test split.",
        above=0,
        below=1,
        label="the share to test on",
        setting="share to test on",
    )
    seed: int = option(0, "Seed of all that is drawn at random.", least=0, first=True, setting="seed")
    devices: int | None = same_as(NetworkOptions, "devices")
    dtype: str = same_as(NetworkOptions, "dtype")
    allow_download: bool | None = same_as(NetworkOptions, "allow_download")
    report_limit: int = same_as(NetworkOptions, "report_limit")
