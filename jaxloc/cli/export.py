"""The command that takes results, or anyone's annotations, into the layout of another tool."""

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jaxloc.cli.messages import one_line_errors, say
from jaxloc.errors import UsageError

if TYPE_CHECKING:
    from jaxloc.run.export import Exported

_SHOWN = 5


@functools.partial(one_line_errors, left="nothing was exported, and what was there before stays")
def export(
    result: Annotated[
        str,
        typer.Argument(
            help="What to export: the folder of a `colocalize` or `localize` run, a COCO file, a VOC folder, a YOLO "
            "data set (`data.yaml` or its folder), or a data set as NAME:ROOT (see `jaxloc datasets`).",
            show_default=False,
        ),
    ],
    format: Annotated[
        Literal["coco", "voc", "yolo", "tfds", "parquet", "masks", "crops"],
        typer.Option("--format", help="Layout to write.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to make.", metavar="FOLDER", show_default=False)],
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="Folder that the images' names are relative to. [default: where the job read them, or beside the "
            "annotations]",
            metavar="FOLDER",
        ),
    ] = None,
    placement: Annotated[
        Literal["link", "copy", "none"],
        typer.Option(
            "--pictures",
            help="Put the images beside as hard links (no space, but editing one edits both; of a symbolic link, the "
            "image it points at), copies, or not.",
        ),
    ] = "link",
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="Deal the images to splits, such as train=0.8,val=0.2; by name, so each stays where it is when "
            "others come. [default: the splits that the annotations have]",
            metavar="NAME=SHARE,…",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another number deals the images otherwise.")] = 0,
    min_score: Annotated[
        float | None, typer.Option("--min-score", help="Leave out objects with a lower score.", show_default=False)
    ] = None,
    found_only: Annotated[
        bool,
        typer.Option("--found-only/--with-empty", help="Leave out images without objects, or keep them."),
    ] = False,
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", help="Rename a class; two may get the same name. Repeatable.", metavar="OLD=NEW"),
    ] = None,
    segments: Annotated[
        bool,
        typer.Option(
            "--segments", help="yolo: write outlines of the masks instead of boxes; objects without one are counted."
        ),
    ] = False,
    margin: Annotated[
        float, typer.Option("--margin", help="crops: add this share of the box's longer side all around.")
    ] = 0.0,
    square: Annotated[bool, typer.Option("--square", help="crops: make them as wide as high.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the files that an earlier export wrote; refused where others were added or some changed.",
        ),
    ] = False,
) -> None:
    """Write boxes, masks and images for another tool: COCO, VOC, YOLO, TFDS, Parquet, mask images or crops.

    What is wrong in the annotations (boxes outside the image, missing images, …) is counted and named; all of it
    is in export.json. Images that are stored turned (EXIF) are written upright, since boxes are drawn on them so.

    Examples:
    - `jaxloc export result --format coco --out dataset`: for pycocotools, detectron2, supervision

    - `jaxloc export result --format yolo --out dataset --split train=0.8,val=0.2 --min-score 0.4`: for Ultralytics

    - `jaxloc export dataset/data.yaml --format voc --out voc`: from one layout into another

    - `jaxloc export result --format crops --margin 0.1 --square --out crops`: to train a classifier

    - `jaxloc export truth.json --images photos --format parquet --out table`: for Hugging Face datasets and pandas
    """
    from jaxloc.run import export as job

    options = job.ExportOptions(
        images=images,
        placement=placement,
        split={name: _share(text) for name, text in _pairs("--split", split.split(",") if split else [])},
        seed=seed,
        min_score=min_score,
        found_only=found_only,
        rename=dict(_pairs("--rename", rename or [])),
        overwrite=overwrite,
        segments=segments,
        margin=margin,
        square=square,
    )
    made = job.export(result, out, format, options)
    _tell(made)


def _pairs(option: str, texts: list[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"{option}: {text!r} is not NAME=VALUE")
        if name.strip() in dict(pairs):
            raise UsageError(f"{option}: {name.strip()} is given twice")
        pairs.append((name.strip(), value.strip()))
    return pairs


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _tell(made: "Exported") -> None:
    from jaxloc.data.annotations.problems import summarize

    splits = ", ".join(f"{name} {count:,}" for name, count in made.splits.items())
    classes = ", ".join(made.categories[:_SHOWN]) + (", …" if len(made.categories) > _SHOWN else "")
    say(f"{made.folder}: {made.images:,} images{f' ({splits})' if splits else ''}, {made.objects:,} objects")
    say(f"{len(made.categories):,} classes: {classes}" if made.categories else "no classes")
    for what, count in made.left_out.items():
        say(f"left out: {count:,} × {what}")
    for line in summarize(made.problems):
        say(f"problem: {line}", err=True)
