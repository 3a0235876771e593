"""The command that takes results, or anyone's annotations, into the layout of another tool."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jaxloc.cli.command import command
from jaxloc.cli.messages import say
from jaxloc.options import ExportOptions
from jaxloc.report.exports.formats import FORMATS
from jaxloc.report.text import some_of

if TYPE_CHECKING:
    from jaxloc.run.export import Exported

_SHOWN = 5


@functools.partial(command, left="nothing was exported, and what was there before stays")
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
        Literal[tuple(FORMATS)],  # type: ignore[valid-type]
        typer.Option("--format", help="Layout to write.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to make.", metavar="FOLDER", show_default=False)],
    options: ExportOptions,
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

    _tell(job.export(result, out, format, options))


def _tell(made: "Exported") -> None:
    from jaxloc.data.annotations.problems import summarize

    splits = ", ".join(f"{name} {count:,}" for name, count in made.splits.items())
    classes = ", ".join(made.categories[:_SHOWN]) + (", …" if len(made.categories) > _SHOWN else "")
    say(f"{made.folder}: {made.images:,} images{f' ({splits})' if splits else ''}, {made.objects:,} objects")
    say(f"{len(made.categories):,} classes: {classes}" if made.categories else "no classes")
    if made.renumbered:
        changes = [f"{name} {old} → {new}" for name, (old, new) in made.renumbered.items()]
        say(f"numbers of classes that differ from the source's: {some_of(changes, _SHOWN)}")
    for what, count in made.left_out.items():
        say(f"left out: {count:,} × {what}")
    for line in summarize(made.problems):
        say(f"problem: {line}", err=True)
