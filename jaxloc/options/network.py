"""Options of every job that reads images and sends them through a network."""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any, Literal

from jaxloc.errors import UsageError
from jaxloc.options.option import Option, Options, Typed, option

SPEED = "Speed and scale"
RUN = "The run"
OUTPUT = "Output"


def gigabytes(default: float) -> Typed:
    """A size that is typed in GB and kept in bytes."""
    return Typed(float, default, _bytes)


def _bytes(value: float, one: Option) -> int:
    if not 0 <= value * 1e9 < math.inf:
        raise UsageError(f"{one.label} must be a size in GB, 0 or more, not {value}")
    return int(value * 1e9)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkOptions(Options):
    """How images are read and sent through the network, whatever the job."""

    weights: str | os.PathLike[str] = option(
        "vgg16", "Network weights: a name such as vgg16 or alexnet, or a weights file.", "--weights", "-w", first=True
    )
    max_side: int = option(
        800,
        "Shrink images whose shorter side is longer than this, in pixels; 0 never shrinks. Smaller is faster, larger "
        "finds smaller objects.",
        first=True,
        setting="shorter side at most",
        text=lambda side: f"{side} pixels" if side else "unlimited",
    )
    truncated: Literal["skip", "keep"] = option(
        "skip",
        "JPEGs that lack their last bytes: skip them, or keep what is there, with the rest in grey and a note in the "
        "results.",
        setting="JPEGs cut short",
        text=lambda kept: "" if kept == "skip" else "kept",
    )
    alpha: Literal["drop", "white", "grey"] = option(
        "drop",
        "Transparency of images: drop it, so that the colours below show, or put the image on white or grey.",
        setting="transparency",
        text=lambda below: "" if below == "drop" else f"on {below}",
    )
    batch: int | None = option(
        None,
        "Maximum number of images in a batch of a device. [default: by the device's memory]",
        least=1,
        panel=SPEED,
        identity="batch size",
    )
    devices: int | None = option(
        None, "Number of this host's devices to use. [default: all]", least=1, label="number of devices", panel=SPEED
    )
    shard_weights: bool = option(
        False,
        "Keep a part of the network's parameters on each device and gather them at each step, for networks too large "
        "for one device.",
        panel=SPEED,
    )
    connectivity: int = option(
        8,
        "Neighbours that connect the cells of a component: 8, or 4 without diagonals.",
        choices=(8, 4),
        setting="connectivity",
    )
    backend: Literal["auto", "host", "device"] = option(
        "auto",
        "Where connected components are labelled; auto is the host if the network runs on one CPU device, else the "
        "device.",
        "--components",
        panel=SPEED,
    )
    dtype: Literal["float32", "bfloat16"] = option(
        "float32",
        "Precision of the network; bfloat16 is faster on TPUs, recent GPUs and, by OpenVINO, CPUs with instructions "
        "for it. Statistics stay float32.",
        panel=SPEED,
        setting="computed in",
    )
    conv: Literal["auto", "direct", "winograd", "winograd2x2"] = option(
        "auto",
        "Algorithm of the network's convolutions; auto takes the fastest for the device.",
        panel=SPEED,
        identity="convolution",
    )
    engine: Literal["auto", "xla", "openvino"] = option(
        "auto",
        "Library that computes feature maps on a CPU; auto is OpenVINO for bfloat16 where it is installed and the "
        "processor has fast instructions for it (AMX), otherwise XLA. Networks that a method asks in its own loop stay "
        "with XLA.",
        panel=SPEED,
        identity="engine",
    )
    feature_cache: int = option(
        4 * 10**9,
        "GB of disk for features between the passes over the images; features that do not fit are computed twice, "
        "with the same result.",
        least=0,
        label="the feature cache",
        typed=gigabytes(4.0),
        panel=SPEED,
        fitted=True,
    )
    allow_download: bool | None = option(
        None, "Let weights be downloaded from the Hugging Face hub.", "--download", first=True, panel=RUN
    )
    workers: int | None = option(
        None, "Threads that decode images. [default: by the number of CPU cores]", least=1, panel=SPEED
    )
    report_limit: int = option(
        1000, "Maximum number of images in report.html.", least=0, panel=OUTPUT, identity="report limit"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_side < 0 or 0 < self.max_side < 32:
            raise UsageError(f"max side must be 0 (never shrink) or at least 32 pixels, not {self.max_side}")


def network_options(options: Options) -> dict[str, Any]:
    """The options of ``NetworkOptions`` that ``options`` have as well, by name."""
    names = (field.name for field in dataclasses.fields(NetworkOptions))
    return {name: getattr(options, name) for name in names if hasattr(options, name)}


def reading(options: NetworkOptions) -> dict[str, Any]:
    """The options of ``jaxloc.data.read_image`` beside the limit to the side, by name."""
    return {"alpha": options.alpha, "truncated": options.truncated}


def workers_of(options: NetworkOptions) -> int:
    """Number of threads that decode images."""
    return options.workers or min(8, os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessOptions(Options):
    """What a process sets up before its first job, as ``jaxloc.run.runtime.set_up`` takes it."""

    distributed: bool = option(
        False,
        "This process is one of several hosts; start the same command on each. Clusters that JAX knows need nothing "
        "else; elsewhere set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, which imply this option.",
        panel=SPEED,
    )
    cache: str | None = option(
        None,
        "Folder that keeps compiled programs for the next run, or none. [default: xla in jaxloc's cache folder]",
        "--compile-cache",
        panel=SPEED,
    )
    profile: Path | None = option(
        None,
        "Write a trace of the first minute of computation to this folder, for XProf, TensorBoard or Perfetto.",
        panel=SPEED,
    )
