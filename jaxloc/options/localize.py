"""Options of the jobs that localise: ``colocalize``, ``localize`` and ``apply``."""

import dataclasses
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.options.network import OUTPUT, RUN, SPEED, NetworkOptions, gigabytes
from jaxloc.options.option import Options, option
from jaxloc.refiners import REFINEMENTS
from jaxloc.signs import SIGN_RULES

VIDEOS = "Videos"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalizeOptions(NetworkOptions):
    """What a localisation job can be told."""

    method: str = option(
        "ddt",
        "ddt and ddt+ (two layers, finer masks) find what the images of a set share; scda looks at each image alone.",
        "--method",
        "-m",
        choices=METHODS,
        first=True,
    )
    layer: str | None = option(
        None,
        "Layer whose features are used, such as relu5_3 or pool5; ddt+ adds the convolution below it. "
        "[default: the network's own, relu5_3 of VGG-16]",
    )
    sign: str = option(
        "aggregation",
        "How DDT decides which side of its first component is object. Try another rule if the boxes hold the "
        "background.",
        choices=SIGN_RULES,
        setting="sign rule",
        fitted=True,
    )
    noise_threshold: float = option(
        0.0,
        "Call an image noisy (without the object) if its object share, the share of positive cells, is at or below "
        "this.",
        least=0,
        below=1,
        label="the noise threshold, a share of cells,",
        setting="noise threshold",
        fitted=True,
        first=True,
    )
    parts: int = option(
        0,
        "Number of parts to divide each object into by DDT's further components, with a box for each; 2 takes the "
        "sign of the second component as in the paper, 0 does not divide.",
        panel=OUTPUT,
        setting="parts",
        text=lambda number: str(number or ""),
        fitted=True,
    )
    parts_within: bool = option(
        False,
        "Divide by components of the object's own cells, fitted in one more pass, instead of all cells as in the "
        "paper; needs --parts.",
        panel=OUTPUT,
        setting="parts within",
        text=lambda within: "the object" if within else "",
        fitted=True,
    )
    masks: bool = option(False, "Also write the object's pixels, as COCO run lengths.", panel=OUTPUT, identity="masks")
    refine: str = option(
        "none",
        "Fit the object's mask to the edges of the image by a dense CRF, a guided filter or GrabCut, and write it.",
        choices=("none", *REFINEMENTS),
        panel=OUTPUT,
        first=True,
        setting="pixels",
        text=lambda name: "" if name == "none" else name,
    )
    box_from_mask: bool = option(
        False, "Draw the box around the refined mask instead of the cells; needs --refine.", panel=OUTPUT
    )
    overlays: bool = option(
        False,
        "Also write overlays/NAME.png with box and heat map; in a folder for each set if sets share images.",
        panel=OUTPUT,
        first=True,
        identity="overlays",
    )
    shard_size: int | None = option(
        None,
        "Images in a shard, which is computed and written as one: what a kill can cost. [default: by the number of "
        "images]",
        least=1,
        panel=RUN,
        identity="shard size",
    )
    moments_memory: int = option(
        10**9,
        "GB of memory for the moments of sets that are fitted together; further sets wait for the next pass.",
        label="the memory for moments",
        typed=gigabytes(1.0),
        panel=SPEED,
        identity="memory for moments",
        text=lambda size: f"{size / 1e9:g} GB",
        fitted=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.moments_memory < 1:
            raise UsageError(f"the memory for moments must be more than nothing, not {self.moments_memory} bytes")
        if self.box_from_mask and self.refine == "none":
            raise UsageError(f"a box from the mask needs a refined mask: choose {', '.join(REFINEMENTS)} with refine")
        if self.parts and (self.parts < 2 or METHODS[self.method].parts is None):
            able = " or ".join(name for name, method in METHODS.items() if method.parts is not None)
            raise UsageError(f"parts must be at least 2, and of {able}; got {self.parts} of {self.method}")

        if self.parts_within and not self.parts:
            raise UsageError("parts within the object need a number of parts: give --parts as well")

    def settings(self, *, fitted: bool = True) -> dict[str, str]:
        """As for all options; the refinement's text also tells where the box comes from."""
        found = super().settings(fitted=fitted)
        if self.box_from_mask:
            found["pixels"] += ", and the box around them"
        return found

    @property
    def components(self) -> int:
        """Number of principal components that a fit keeps."""
        from jaxloc.parts import components_needed

        return components_needed(self.parts or 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalizeEachOptions(LocalizeOptions):
    """What a job that looks at each image alone can be told."""

    method: str = option(
        "scda",
        "scda selects the descriptors that fire.",
        "--method",
        "-m",
        choices=[name for name, method in METHODS.items() if method.fit is None],
        first=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetOptions(Options):
    """How images become image sets, and what happens to results that exist."""

    per_folder: bool = option(False, "Each sub-folder is an image set of its own.", first=True)
    per_label: bool = option(False, "The images of each label are an image set.")
    name: str | None = option(None, "Name of the set. [default: the folder's name]", "--category")
    image_column: str | None = option(
        None, "Of Parquet files, the column of images. [default: found by its name or content]", metavar="COLUMN"
    )
    label_column: str | None = option(
        None, "Of Parquet files, the column of labels. [default: found by its name or type]", metavar="COLUMN"
    )
    every: int = option(1, "Of videos, take every N-th frame.", least=1, panel=VIDEOS)
    overwrite: bool = option(False, "Start over if --out holds another run, or a finished one.", panel=RUN, first=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoOptions(Options):
    """What is written of videos."""

    kind: Literal["mp4", "gif", "none"] = option(
        "mp4", "Write each input video with the box drawn, in this format.", "--video", label="video", panel=VIDEOS
    )
    smooth: bool = option(
        False,
        "Smooth each video's boxes over time, in the video and annotations_vid.json: outliers are dropped, short gaps "
        "bridged. annotations.json keeps what was found in each frame.",
        panel=VIDEOS,
    )
    gap: int = option(
        5,
        "Longest gap, in frames without a box, that --smooth bridges.",
        "--bridge",
        least=0,
        label="frames to bridge",
        panel=VIDEOS,
    )
    sigma: float = option(
        2.0, "Standard deviation of the smoothing, in frames.", least=0, label="smoothing", only_python=True
    )
    heat: bool = option(
        False, "Draw the heat map as well; it is kept for at most --report-limit frames.", "--video-heat", panel=VIDEOS
    )
