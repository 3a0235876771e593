"""What a job is asked to do, checked once."""

import dataclasses
import os
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.parts import components_needed
from jaxloc.run.refining import REFINEMENTS, Refinement

Method = Literal["ddt", "ddt+", "scda"]
METHODS = ("ddt", "ddt+", "scda")
SIGNS = ("aggregation", "loading", "minority", "none")
DTYPES = ("float32", "bfloat16")
CONVS = ("auto", "direct", "winograd", "winograd2x2")
BACKENDS = ("auto", "host", "device")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How images are read and sent through the network, whatever the job.

    Attributes:
        weights: a name (``"vgg16"``) or a file.
        max_side: images whose shorter side exceeds this many pixels are shrunk to it; 0 never shrinks.
        batch: images in a device's batch at most; ``None`` chooses by the device.
        devices: how many of this host's devices work; ``None`` means all.
        shard_weights: keep a part of the network's parameters on each device, and gather them at each step, instead
            of all on every device.
        connectivity: 8 or 4.
        backend: where components are labelled: ``"host"``, ``"device"``, or ``"auto"``, which is the host where the
            network runs on one CPU device.
        dtype: what the network computes in, ``"float32"`` or ``"bfloat16"``.
        conv: how it convolves: ``"auto"`` is the fastest for the device, see ``jaxloc.models.prepare``.
        feature_cache: bytes of disk used to keep features between two passes; what does not fit is computed again,
            with the same result.
        allow_download: let weights be fetched from the Hugging Face hub.
        workers: threads that decode images; ``None`` chooses.
        report_limit: images shown in the report at most.
    """

    weights: str | os.PathLike[str] = "vgg16"
    max_side: int = 800
    batch: int | None = None
    devices: int | None = None
    shard_weights: bool = False
    connectivity: int = 8
    backend: Literal["auto", "host", "device"] = "auto"
    dtype: str = "float32"
    conv: Literal["auto", "direct", "winograd", "winograd2x2"] = "auto"
    feature_cache: int = 4 << 30
    allow_download: bool | None = None
    workers: int | None = None
    report_limit: int = 1000

    def __post_init__(self) -> None:
        self.check_choices(connectivity=(8, 4), backend=BACKENDS, dtype=DTYPES, conv=CONVS)
        if self.max_side < 0 or 0 < self.max_side < 32:
            raise UsageError(f"max side must be 0 (never shrink) or at least 32 pixels, not {self.max_side}")
        for name, value, least in (
            ("batch", self.batch, 1),
            ("number of devices", self.devices, 1),
            ("workers", self.workers, 1),
            ("report limit", self.report_limit, 0),
            ("feature cache", self.feature_cache, 0),
        ):
            if value is not None and value < least:
                raise UsageError(f"{name} must be at least {least}, not {value}")

    def check_choices(self, **choices: tuple[object, ...]) -> None:
        """Raise ``UsageError`` naming the choices unless each option named is one of its own."""
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(map(str, allowed))}, not {getattr(self, name)!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Reading):
    """Everything a localisation job can be told, with its defaults.

    Attributes:
        method: ``"ddt"``, ``"ddt+"`` or ``"scda"``.
        layer: the layer whose descriptors are used; DDT+ also takes the convolution below it.
        sign: how DDT's arbitrary sign is fixed: ``"aggregation"``, ``"loading"``, ``"minority"`` or ``"none"``.
        noise_threshold: an image whose share of positive cells is at or below this is called noisy.
        parts: part the object in so many parts, each with its box; 0 leaves it whole.
        masks: keep the object's pixels as well as its box.
        refine: fit these to the image: ``"none"`` (whole cells), ``"crf"``, ``"guided"`` or ``"grabcut"``; anything
            but ``"none"`` keeps them.
        box_from_mask: draw the box around the refined pixels instead of the cells.
        overlays: write one image with its box and heat map for each image.
        shard_size: images that are done, and written, together; ``None`` chooses by their number.
        moments_memory: bytes that the moments of image sets fitted together may take; further sets wait.
    """

    method: Method = "ddt"
    layer: str = "relu5_3"
    sign: str = "aggregation"
    noise_threshold: float = 0.0
    parts: int = 0
    masks: bool = False
    refine: Refinement = "none"
    box_from_mask: bool = False
    overlays: bool = False
    shard_size: int | None = None
    moments_memory: int = 10**9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shard_size is not None and self.shard_size < 1:
            raise UsageError(f"shard size must be at least 1, not {self.shard_size}")
        if self.moments_memory < 1:
            raise UsageError(f"the memory for moments must be more than nothing, not {self.moments_memory} bytes")
        self.check_choices(method=METHODS, sign=SIGNS, refine=REFINEMENTS)
        if self.box_from_mask and self.refine == "none":
            raise UsageError("a box from the mask needs a refined mask: choose crf, guided or grabcut with refine")
        if not 0 <= self.noise_threshold < 1:
            raise UsageError(f"the noise threshold is a share of cells, from 0 to below 1, not {self.noise_threshold}")
        if self.parts and (self.parts < 2 or self.method == "scda"):
            raise UsageError(f"parts must be at least 2, and of ddt or ddt+; got {self.parts} of {self.method}")

    @property
    def components(self) -> int:
        """Principal components that a fit keeps."""
        return components_needed(self.parts or 2)


def workers_of(options: Reading) -> int:
    """Threads that decode images."""
    return options.workers or min(8, os.cpu_count() or 1)
