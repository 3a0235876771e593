"""The options that several commands share, each with its help, written once."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.errors import UsageError


class Method(StrEnum):
    """Methods of co-localisation."""

    ddt = "ddt"
    ddt_plus = "ddt+"
    scda = "scda"


class Sign(StrEnum):
    """Rules that fix DDT's sign."""

    aggregation = "aggregation"
    loading = "loading"
    minority = "minority"
    none = "none"


class Dtype(StrEnum):
    """What the network computes in."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Backend(StrEnum):
    """Where connected components are labelled."""

    auto = "auto"
    host = "host"
    device = "device"


_SPEED = "Speed and scale"
_RUN = "The run"
_WRITTEN = "What is written"


class Conv(StrEnum):
    """How the network convolves."""

    auto = "auto"
    direct = "direct"
    winograd = "winograd"
    winograd2x2 = "winograd2x2"


Paths = Annotated[
    list[str],
    typer.Argument(
        help="Folders (searched recursively), images, quoted globs, text files with one path a line, COCO files, "
        "archives (.tar, .parquet, .array_record), remote places (gs://…), or tfds:NAME[/CONFIG][:SPLIT]."
    ),
]
GalleryFolder = Annotated[Path, typer.Argument(help="A folder that `jaxloc index` made.", metavar="GALLERY")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.", file_okay=False)]
PerFolder = Annotated[bool, typer.Option("--per-folder", help="Each sub-folder is its own image set.")]
PerLabel = Annotated[bool, typer.Option("--per-label", help="The images of each label are an image set.")]
Category = Annotated[str | None, typer.Option("--category", help="Name of the set. [default: the folder's name]")]
WeightsName = Annotated[str, typer.Option("--weights", "-w", help="A name (vgg16, vgg19) or a weights file.")]
Layer = Annotated[
    str | None,
    typer.Option("--layer", help="Layer whose descriptors are used, such as pool5. [default: relu5_3 of VGG-16]"),
]
SignRule = Annotated[Sign, typer.Option("--sign", help="How DDT decides which side of its component is object.")]
NoiseThreshold = Annotated[
    float,
    typer.Option("--noise-threshold", help="Call an image noisy if this share of its cells or less is positive."),
]
MaxSide = Annotated[
    int, typer.Option("--max-side", help="Shrink images whose shorter side is longer, in pixels; 0 never shrinks.")
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch", help="Images in a batch at most. [default: by the device]", rich_help_panel=_SPEED),
]
Connectivity = Annotated[int, typer.Option("--connectivity", help="Neighbours that connect cells: 8 or 4.")]
ComponentBackend = Annotated[
    Backend, typer.Option("--components", help="Where components are labelled.", rich_help_panel=_SPEED)
]
ComputeDtype = Annotated[Dtype, typer.Option("--dtype", help="What the network computes in.", rich_help_panel=_SPEED)]
CacheSize = Annotated[
    float,
    typer.Option(
        "--feature-cache",
        help="GB of disk that may hold features between the passes; 0 computes them twice.",
        rich_help_panel=_SPEED,
    ),
]
ConvChoice = Annotated[
    Conv,
    typer.Option(
        "--conv", help="How the network convolves; auto is the fastest for the device.", rich_help_panel=_SPEED
    ),
]
Devices = Annotated[
    int | None,
    typer.Option("--devices", help="How many of this host's devices work. [default: all]", rich_help_panel=_SPEED),
]
ShardWeights = Annotated[
    bool,
    typer.Option(
        "--shard-weights",
        help="Keep a part of the network on each device instead of all on every one.",
        rich_help_panel=_SPEED,
    ),
]
ShardSize = Annotated[
    int | None,
    typer.Option(
        "--shard-size",
        help="Images that are done, and written, together. [default: by their number]",
        rich_help_panel=_RUN,
    ),
]
MomentsMemory = Annotated[
    float,
    typer.Option(
        "--moments-memory",
        help="GB that the moments of sets fitted together may take; others wait.",
        rich_help_panel=_SPEED,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Start over where --out holds another run, or a finished one.", rich_help_panel=_RUN
    ),
]
Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed",
        help="This process is one of several hosts; start the same command on each. Clusters that JAX knows need no "
        "more; elsewhere JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID say so by themselves.",
        rich_help_panel=_SPEED,
    ),
]
CompileCache = Annotated[
    str | None,
    typer.Option(
        "--compile-cache",
        help="Folder that keeps compiled programs for the next run, or none. [default: xla in jaxloc's cache folder]",
        rich_help_panel=_SPEED,
    ),
]
Profile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help="Write a trace of the first minute of computing to this folder, for XProf, TensorBoard or Perfetto.",
        file_okay=False,
        rich_help_panel=_SPEED,
    ),
]
Download = Annotated[
    bool, typer.Option("--download", help="Let weights be fetched from the Hugging Face hub.", rich_help_panel=_RUN)
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", help="Threads that decode images. [default: by the machine]", rich_help_panel=_SPEED),
]
ReportLimit = Annotated[
    int,
    typer.Option("--report-limit", help="Images shown in report.html at most.", rich_help_panel=_WRITTEN),
]


class Refine(StrEnum):
    """How cells become pixels."""

    none = "none"
    crf = "crf"
    guided = "guided"
    grabcut = "grabcut"


RefineChoice = Annotated[
    Refine,
    typer.Option(
        "--refine",
        help="Fit the object's pixels to the image, and write them: dense CRF, guided filter, or GrabCut.",
        rich_help_panel=_WRITTEN,
    ),
]
BoxFromMask = Annotated[
    bool,
    typer.Option("--box-from-mask", help="Draw the box around the refined pixels.", rich_help_panel=_WRITTEN),
]
ObjectParts = Annotated[
    int,
    typer.Option(
        "--parts",
        help="Part each object in so many parts by DDT's further components, with a box for each; 2 is the paper's "
        "sign of the second component, 0 leaves it whole.",
        rich_help_panel=_WRITTEN,
    ),
]
Masks = Annotated[
    bool,
    typer.Option("--masks", help="Also write the object's pixels, as COCO run lengths.", rich_help_panel=_WRITTEN),
]


class VideoKind(StrEnum):
    """What is written of a video."""

    mp4 = "mp4"
    gif = "gif"
    none = "none"


_VIDEO = "Videos"
Every = Annotated[
    int, typer.Option("--every", help="Of videos, take every so many-th frame.", min=1, rich_help_panel=_VIDEO)
]
VideoChoice = Annotated[
    VideoKind,
    typer.Option("--video", help="Write each video given with the box drawn, as this.", rich_help_panel=_VIDEO),
]
Smooth = Annotated[
    bool,
    typer.Option(
        "--smooth",
        help="Smooth each video's boxes over time, in the video and annotations_vid.json: outliers go, short gaps are "
        "bridged. annotations.json keeps what was found in each frame.",
        rich_help_panel=_VIDEO,
    ),
]
Bridge = Annotated[
    int,
    typer.Option("--bridge", help="Frames without a box that --smooth bridges at most.", min=0, rich_help_panel=_VIDEO),
]
VideoHeat = Annotated[
    bool,
    typer.Option(
        "--video-heat",
        help="Draw the heat map as well; it is kept for as many frames as --report-limit says.",
        rich_help_panel=_VIDEO,
    ),
]
Overlays = Annotated[
    bool,
    typer.Option(
        "--overlays",
        help="Also write overlays/NAME.png with box and heat map; in a folder for each set where they share images.",
        rich_help_panel=_WRITTEN,
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 3 if any image had to be skipped.", rich_help_panel=_RUN)
]


def bytes_of(gigabytes: float, what: str = "the feature cache") -> int:
    """A size in GB as a number of bytes; raises ``UsageError`` for what is no size."""
    if not 0 <= gigabytes * 1e9 < math.inf:
        raise UsageError(f"{what} must be a size in GB, 0 or more, not {gigabytes}")
    return int(gigabytes * 1e9)
