"""Arguments of several commands that belong to no job's options."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from jaxloc.errors import UsageError

Paths = Annotated[
    list[str],
    typer.Argument(
        help="Folders (searched recursively), images, quoted globs, text files with one path a line, COCO files, "
        "archives (.tar, .parquet, .array_record), remote places (gs://…), or tfds:NAME[/CONFIG][:SPLIT]."
    ),
]
GalleryFolder = Annotated[Path, typer.Argument(help="A folder that `jaxloc index` made.", metavar="GALLERY")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.", file_okay=False)]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Exit with 3 if an image had to be skipped.", rich_help_panel="The run", hidden=True),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="COCO file of labels. [default: the image's folder is its label]", dir_okay=False),
]
Splits = Annotated[
    list[str] | None, typer.Option("--split", help="Only images of this split in the --labels file; repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Form = Annotated[Literal["table", "json", "latex"], typer.Option("--format", help="How to print.")]


def printed_form(form: Literal["table", "json", "latex"], as_json: bool) -> Literal["table", "json", "latex"]:
    """How to print, from ``--format`` and ``--json``; raises ``UsageError`` if they exclude each other."""
    if as_json and form == "latex":
        raise UsageError("--json and --format latex exclude each other")
    return "json" if as_json else form
