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

    host = "host"
    device = "device"


Paths = Annotated[
    list[Path], typer.Argument(help="Folders (searched recursively), pictures, or text files with one path a line.")
]
GalleryFolder = Annotated[Path, typer.Argument(help="A folder that `jaxloc index` made.", metavar="GALLERY")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.", file_okay=False)]
PerFolder = Annotated[bool, typer.Option("--per-folder", help="Each sub-folder is its own image set.")]
Category = Annotated[str | None, typer.Option("--category", help="Name of the set. [default: the folder's name]")]
WeightsName = Annotated[str, typer.Option("--weights", "-w", help="A name (vgg16, vgg19) or a weights file.")]
Layer = Annotated[str, typer.Option("--layer", help="Layer whose descriptors are used, such as relu5_3 or pool5.")]
SignRule = Annotated[Sign, typer.Option("--sign", help="How DDT decides which side of its component is object.")]
NoiseThreshold = Annotated[
    float,
    typer.Option("--noise-threshold", help="Call a picture noisy if this share of its cells or less is positive."),
]
MaxSide = Annotated[
    int, typer.Option("--max-side", help="Shrink pictures whose shorter side is longer, in pixels; 0 never shrinks.")
]
BatchSize = Annotated[int | None, typer.Option("--batch", help="Pictures in a batch at most. [default: by the device]")]
Connectivity = Annotated[int, typer.Option("--connectivity", help="Neighbours that connect cells: 8 or 4.")]
ComponentBackend = Annotated[Backend, typer.Option("--components", help="Where components are labelled.")]
ComputeDtype = Annotated[Dtype, typer.Option("--dtype", help="What the network computes in.")]
CacheSize = Annotated[
    float,
    typer.Option(
        "--feature-cache", help="GB of disk that may hold features between the passes; 0 computes them twice."
    ),
]
Download = Annotated[bool, typer.Option("--download", help="Let weights be fetched from the Hugging Face hub.")]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Threads that decode pictures. [default: by the machine]")
]
ReportLimit = Annotated[int, typer.Option("--report-limit", help="Pictures shown in report.html at most.")]
Overlays = Annotated[bool, typer.Option("--overlays", help="Also write overlays/NAME.png with box and heat map.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 if any picture had to be skipped.")]


def bytes_of(gigabytes: float) -> int:
    """A size in GB as a number of bytes; raises ``UsageError`` for what is no size."""
    if not 0 <= gigabytes < math.inf:
        raise UsageError(f"the feature cache must be a size in GB, 0 or more, not {gigabytes}")
    return int(gigabytes * 1e9)
