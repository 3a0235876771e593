"""The commands that localise, and the comparison with ground truth."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxloc.cli.messages import one_line_errors, say
from jaxloc.cli.options import (
    Backend,
    BatchSize,
    BoxFromMask,
    Bridge,
    CacheSize,
    Category,
    CompileCache,
    ComponentBackend,
    ComputeDtype,
    Connectivity,
    Conv,
    ConvChoice,
    Devices,
    Distributed,
    Download,
    Dtype,
    Every,
    Layer,
    Masks,
    MaxSide,
    Method,
    MomentsMemory,
    NoiseThreshold,
    ObjectParts,
    Out,
    Overlays,
    Overwrite,
    Paths,
    PerFolder,
    PerLabel,
    Profile,
    Refine,
    RefineChoice,
    ReportLimit,
    ShardSize,
    ShardWeights,
    Sign,
    SignRule,
    Smooth,
    Strict,
    VideoChoice,
    VideoHeat,
    VideoKind,
    WeightsName,
    Workers,
    bytes_of,
)

if TYPE_CHECKING:
    from jaxloc.run import Options, VideoOptions


@one_line_errors
def colocalize(
    paths: Paths,
    out: Out,
    method: Annotated[Method, typer.Option("--method", "-m", help="ddt, ddt+ (two layers) or scda.")] = Method.ddt,
    weights: WeightsName = "vgg16",
    layer: Layer = "relu5_3",
    per_folder: PerFolder = False,
    per_label: PerLabel = False,
    category: Category = None,
    noise_threshold: NoiseThreshold = 0.0,
    sign: SignRule = Sign.aggregation,
    max_side: MaxSide = 800,
    batch: BatchSize = None,
    devices: Devices = None,
    shard_weights: ShardWeights = False,
    connectivity: Connectivity = 8,
    components: ComponentBackend = Backend.auto,
    dtype: ComputeDtype = Dtype.float32,
    conv: ConvChoice = Conv.auto,
    feature_cache: CacheSize = 4.0,
    moments_memory: MomentsMemory = 1.0,
    update: Annotated[Path | None, typer.Option("--update", help="Add the images to this fitted model.")] = None,
    workers: Workers = None,
    report_limit: ReportLimit = 1000,
    parts: ObjectParts = 0,
    masks: Masks = False,
    refine: RefineChoice = Refine.none,
    box_from_mask: BoxFromMask = False,
    overlays: Overlays = False,
    every: Every = 1,
    video: VideoChoice = VideoKind.mp4,
    smooth: Smooth = False,
    bridge: Bridge = 5,
    video_heat: VideoHeat = False,
    shard_size: ShardSize = None,
    overwrite: Overwrite = False,
    distributed: Distributed = False,
    compile_cache: CompileCache = None,
    profile: Profile = None,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Find the object that the images share: a box in each, and which images lack it.

    Writes annotations.json (COCO), report.html and model.safetensors (for `jaxloc apply`) to the output folder.

    Examples:
    - `jaxloc colocalize photos --out result`

    - `jaxloc colocalize classes --per-folder --method ddt+ --out result` (each sub-folder is a set)
    """
    from jaxloc import run
    from jaxloc.run.runtime import set_up

    options = _options(
        method=method.value,
        weights=weights,
        layer=layer,
        sign=sign.value,
        noise_threshold=noise_threshold,
        max_side=max_side,
        batch=batch,
        connectivity=connectivity,
        backend=components.value,
        dtype=dtype.value,
        conv=conv.value,
        devices=devices,
        shard_weights=shard_weights,
        shard_size=shard_size,
        feature_cache=bytes_of(feature_cache),
        moments_memory=bytes_of(moments_memory, "the memory for moments"),
        workers=workers,
        report_limit=report_limit,
        parts=parts,
        masks=masks,
        refine=refine.value,
        box_from_mask=box_from_mask,
        overlays=overlays,
        allow_download=download or None,
    )
    start = time.perf_counter()
    with set_up(distributed=distributed, cache=compile_cache, profile=profile):
        findings = run.colocalize(
            paths,
            out,
            options,
            per_folder=per_folder,
            name=category,
            update=update,
            per_label=per_label,
            overwrite=overwrite,
            every=every,
            video=_video(video, smooth, bridge, video_heat),
        )
    _finish(findings, out, start, strict)


@one_line_errors
def localize(
    paths: Paths,
    out: Out,
    weights: WeightsName = "vgg16",
    layer: Layer = "relu5_3",
    per_folder: PerFolder = False,
    per_label: PerLabel = False,
    category: Category = None,
    max_side: MaxSide = 800,
    batch: BatchSize = None,
    devices: Devices = None,
    shard_weights: ShardWeights = False,
    connectivity: Connectivity = 8,
    components: ComponentBackend = Backend.auto,
    dtype: ComputeDtype = Dtype.float32,
    conv: ConvChoice = Conv.auto,
    workers: Workers = None,
    report_limit: ReportLimit = 1000,
    masks: Masks = False,
    refine: RefineChoice = Refine.none,
    box_from_mask: BoxFromMask = False,
    overlays: Overlays = False,
    every: Every = 1,
    video: VideoChoice = VideoKind.mp4,
    smooth: Smooth = False,
    bridge: Bridge = 5,
    video_heat: VideoHeat = False,
    shard_size: ShardSize = None,
    overwrite: Overwrite = False,
    distributed: Distributed = False,
    compile_cache: CompileCache = None,
    profile: Profile = None,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Find the main object of each image on its own, with SCDA.

    Writes annotations.json (COCO) and report.html to the output folder.

    Example: `jaxloc localize photos --out result --overlays`
    """
    from jaxloc import run
    from jaxloc.run.runtime import set_up

    options = _options(
        method="scda",
        weights=weights,
        layer=layer,
        max_side=max_side,
        batch=batch,
        connectivity=connectivity,
        backend=components.value,
        dtype=dtype.value,
        conv=conv.value,
        devices=devices,
        shard_weights=shard_weights,
        shard_size=shard_size,
        workers=workers,
        report_limit=report_limit,
        masks=masks,
        refine=refine.value,
        box_from_mask=box_from_mask,
        overlays=overlays,
        allow_download=download or None,
    )
    start = time.perf_counter()
    with set_up(distributed=distributed, cache=compile_cache, profile=profile):
        findings = run.localize(
            paths,
            out,
            options,
            per_folder=per_folder,
            name=category,
            per_label=per_label,
            overwrite=overwrite,
            every=every,
            video=_video(video, smooth, bridge, video_heat),
        )
    _finish(findings, out, start, strict)


@one_line_errors
def apply(
    model: Annotated[Path, typer.Argument(help="model.safetensors that `jaxloc colocalize` wrote.")],
    paths: Paths,
    out: Out,
    weights: WeightsName = "vgg16",
    per_folder: PerFolder = False,
    per_label: PerLabel = False,
    category: Annotated[str | None, typer.Option("--category", help="Which of the model's sets to look for.")] = None,
    noise_threshold: NoiseThreshold = 0.0,
    batch: BatchSize = None,
    devices: Devices = None,
    shard_weights: ShardWeights = False,
    connectivity: Connectivity = 8,
    components: ComponentBackend = Backend.auto,
    dtype: ComputeDtype = Dtype.float32,
    conv: ConvChoice = Conv.auto,
    workers: Workers = None,
    report_limit: ReportLimit = 1000,
    parts: ObjectParts = 0,
    masks: Masks = False,
    refine: RefineChoice = Refine.none,
    box_from_mask: BoxFromMask = False,
    overlays: Overlays = False,
    every: Every = 1,
    video: VideoChoice = VideoKind.mp4,
    smooth: Smooth = False,
    bridge: Bridge = 5,
    video_heat: VideoHeat = False,
    shard_size: ShardSize = None,
    overwrite: Overwrite = False,
    distributed: Distributed = False,
    compile_cache: CompileCache = None,
    profile: Profile = None,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Find the object of a fitted model in images it never saw.

    Example: `jaxloc apply result/model.safetensors new-photos --out result2`
    """
    from jaxloc import run
    from jaxloc.run.runtime import set_up

    options = _options(
        weights=weights,
        noise_threshold=noise_threshold,
        batch=batch,
        connectivity=connectivity,
        backend=components.value,
        dtype=dtype.value,
        conv=conv.value,
        devices=devices,
        shard_weights=shard_weights,
        shard_size=shard_size,
        workers=workers,
        report_limit=report_limit,
        parts=parts,
        masks=masks,
        refine=refine.value,
        box_from_mask=box_from_mask,
        overlays=overlays,
        allow_download=download or None,
    )
    start = time.perf_counter()
    with set_up(distributed=distributed, cache=compile_cache, profile=profile):
        findings = run.apply(
            model,
            paths,
            out,
            options,
            category=category,
            per_folder=per_folder,
            per_label=per_label,
            overwrite=overwrite,
            every=every,
            video=_video(video, smooth, bridge, video_heat),
        )
    _finish(findings, out, start, strict)


@one_line_errors
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for images and results.")] = Path("jaxloc-demo"),
    method: Annotated[Method, typer.Option("--method", "-m", help="ddt, ddt+ or scda.")] = Method.ddt,
    seed: Annotated[int, typer.Option("--seed", help="Decides where the object is placed.")] = 0,
) -> None:
    """See it work without any files: a motorcycle hidden in photographs is found, and the result scored.

    The images are composed from photographs that ship inside scikit-image: the motorcycle is cut out of one and
    placed at random scale, place and flip onto others; some images go without. Nothing is downloaded.
    """
    from jaxloc.run.demo import demo
    from jaxloc.run.summary import demo_text

    start = time.perf_counter()
    say(
        "Composing 22 images from photographs that ship inside scikit-image: a motorcycle, cut out of one,\n"
        "placed onto 16 of them; 6 go without. jaxloc sees the images only, no boxes and no labels."
    )
    result = demo(out, _options(method=method.value), seed=seed)
    _finish(result.findings, out, start, strict=False)
    say(demo_text(result))


def _options(**values: Any) -> "Options":
    from jaxloc.run import Options

    return Options(**values)


def _video(kind: VideoKind, smooth: bool, bridge: int, heat: bool) -> "VideoOptions":
    from jaxloc.run import VideoOptions

    return VideoOptions(kind=kind.value, smooth=smooth, gap=bridge, heat=heat)


def _finish(findings: Any, out: Path, start: float, strict: bool) -> None:
    from jaxloc.run import distributed
    from jaxloc.run.summary import summary

    if distributed.is_first():
        say(summary(findings, out, time.perf_counter() - start))
    if strict and findings.skipped:
        raise typer.Exit(3)
