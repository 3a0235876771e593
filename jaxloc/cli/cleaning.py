"""The command that turns a pile of web photographs into a data set."""

import math
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.messages import one_line_errors, say
from jaxloc.cli.options import (
    Backend,
    BatchSize,
    CacheSize,
    CompileCache,
    ComponentBackend,
    ComputeDtype,
    Connectivity,
    Conv,
    ConvChoice,
    Devices,
    Download,
    Dtype,
    Layer,
    MaxSide,
    MomentsMemory,
    Out,
    Overwrite,
    PerLabel,
    Profile,
    ShardSize,
    ShardWeights,
    Sign,
    SignRule,
    Strict,
    WeightsName,
    Workers,
    bytes_of,
)
from jaxloc.errors import UsageError

_KEEPING = "What is kept"


class CleaningMethod(StrEnum):
    """Methods that tell noise."""

    ddt = "ddt"
    ddt_plus = "ddt+"


class DataSetFormat(StrEnum):
    """What the data set is written as."""

    coco = "coco"
    voc = "voc"
    yolo = "yolo"
    tfds = "tfds"
    parquet = "parquet"


class DataSetPlacement(StrEnum):
    """How images get into the data set."""

    copy = "copy"
    link = "link"


@one_line_errors
def clean(
    photos: Annotated[
        str,
        typer.Argument(
            help="A folder with a sub-folder of photographs for each class, or an archive of such.",
            metavar="WEB_FOLDER",
        ),
    ],
    out: Out,
    data_format: Annotated[
        DataSetFormat, typer.Option("--format", "-f", help="What the data set is written as, in OUT/dataset.")
    ] = DataSetFormat.coco,
    noise: Annotated[
        str,
        typer.Option(
            "--noise",
            help="Drop images of which this share of cells or less is positive (0 and 0.1 are the paper's), or knee: "
            "look for the threshold in the scores of each class.",
            rich_help_panel=_KEEPING,
        ),
    ] = "0.1",
    placement: Annotated[
        DataSetPlacement,
        typer.Option(
            "--pictures",
            help="coco, voc, yolo: how the kept images get into OUT/dataset: copies, or hard links (no space, but "
            "changing one in the data set changes your original).",
        ),
    ] = DataSetPlacement.copy,
    found_only: Annotated[
        bool,
        typer.Option(
            "--found-only/--with-empty",
            help="Leave images that you keep though nothing was found in them out of the data set, or have them in "
            "it as examples without the object.",
            rich_help_panel=_KEEPING,
        ),
    ] = True,
    duplicates: Annotated[
        str,
        typer.Option(
            "--duplicates",
            help="Images whose 64-bit hashes differ in so many bits or fewer are the same; none looks for no such.",
            rich_help_panel=_KEEPING,
        ),
    ] = "4",
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions",
            help="Your decisions, as OUT/review.html hands them out; they stand above the rules. Give them every time: "
            "those of the last run that you do not give are not applied, but kept in OUT/decisions-before.json.",
            dir_okay=False,
            rich_help_panel=_KEEPING,
        ),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds",
            help="How often to fit: each further time on what the time before has kept.",
            rich_help_panel=_KEEPING,
        ),
    ] = 1,
    review_limit: Annotated[
        int, typer.Option("--review-limit", help="Images in review.html at most, the most doubtful first.")
    ] = 2000,
    method: Annotated[CleaningMethod, typer.Option("--method", "-m", help="ddt or ddt+ (two layers).")] = (
        CleaningMethod.ddt
    ),
    weights: WeightsName = "vgg16",
    layer: Layer = None,
    per_label: PerLabel = False,
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
    workers: Workers = None,
    shard_size: ShardSize = None,
    overwrite: Overwrite = False,
    compile_cache: CompileCache = None,
    profile: Profile = None,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Turn a pile of web photographs into a training set: noise and repeated images out, a box drawn in each.

    Writes dataset/ in the format you choose, decisions.json (every image: kept or dropped, and why), and review.html,
    where you look at the doubtful images, decide otherwise, and download your decisions. After a kill, the same
    command goes on where it was; with another --noise, --duplicates or --decisions it takes seconds.

    Examples:
    - `jaxloc clean web-photos --out cleaned --noise knee`

    - `jaxloc clean web-photos --out cleaned --noise knee --decisions decisions-by-hand.json --format yolo`
    """
    from jaxloc.run import Options
    from jaxloc.run.cleaning import CleaningOptions, clean
    from jaxloc.run.cleaning.summary import cleaning_text
    from jaxloc.run.runtime import set_up

    job = Options(
        method=method.value,
        weights=weights,
        layer=layer,
        sign=sign.value,
        max_side=max_side,
        batch=batch,
        devices=devices,
        shard_weights=shard_weights,
        connectivity=connectivity,
        backend=components.value,
        dtype=dtype.value,
        conv=conv.value,
        feature_cache=bytes_of(feature_cache),
        moments_memory=bytes_of(moments_memory, "the memory for moments"),
        workers=workers,
        shard_size=shard_size,
        allow_download=download or None,
    )
    options = CleaningOptions(
        noise="knee" if noise == "knee" else _number(noise, "--noise", "a share of cells, such as 0.1, or knee"),
        duplicates=None if duplicates == "none" else _whole(duplicates),
        format=data_format.value,
        placement=placement.value,
        found_only=found_only,
        rounds=rounds,
        review_limit=review_limit,
        job=job,
    )
    start = time.perf_counter()
    with set_up(cache=compile_cache, profile=profile):
        done = clean(photos, out, options, per_label=per_label, by_hand=decisions, overwrite=overwrite)
    say(cleaning_text(done, time.perf_counter() - start))
    if strict and any(item.why == "broken" for item in done.decisions.items):
        raise typer.Exit(3)


def _number(text: str, option: str, wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise UsageError(f"{option} must be {wanted}, not {text!r}")
    return value


def _whole(text: str) -> int:
    value = _number(text, "--duplicates", "a number of bits, such as 4, or none")
    if not value.is_integer():
        raise UsageError(f"--duplicates must be a whole number of bits, or none, not {text!r}")
    return int(value)
