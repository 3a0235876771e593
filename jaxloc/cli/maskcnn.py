"""Learn the parts of objects from key points, and classes from the image and its parts."""

import time
from collections.abc import Sized
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.arguments import AsJson, Out, Paths
from jaxloc.cli.command import MORE, Fields, command
from jaxloc.cli.messages import STYLE, say, tell
from jaxloc.options import MaskCnnOptions

app = typer.Typer(no_args_is_help=True, help=__doc__, **STYLE)
_OF_APPLY = {"weights", "devices", "dtype", "allow_download", "report_limit"}


@app.command(epilog=MORE)
@command
def train(
    data: Annotated[
        str,
        typer.Argument(
            help="An annotated set whose objects have parts or CUB's key points: NAME:FOLDER (see `jaxloc datasets`), "
            "a COCO file, or the folder of a `jaxloc colocalize --parts` run.",
            show_default=False,
        ),
    ],
    out: Out,
    options: MaskCnnOptions,
    as_json: AsJson = False,
) -> Sized:
    """Learn the masks of parts, then classes from three streams: the image and the crops of its parts (Mask-CNN).

    The network stays as it is; its maps are computed once. Images of the split "test" are tested on, or a share of each
    class. Prints the share of part boxes that are found (PCP) and the accuracy of one, two and all streams. Writes
    maskcnn.safetensors; and of the test images report.html, annotations.json and masks.png. After a kill, the same
    command resumes.

    Examples:
    - `jaxloc maskcnn train cub200:CUB_200_2011 --out birds`

    - `jaxloc colocalize birds --parts 2 --out parts`, then `jaxloc maskcnn train parts --out birds` (no key points: the
      parts are those that DDT finds)
    """
    from jaxloc.run.maskcnn import train_maskcnn
    from jaxloc.run.maskcnn.training import to_plain, training_text

    start = time.perf_counter()
    done = train_maskcnn(data, out, options)
    tell(as_json, lambda: to_plain(done), lambda: training_text(done, time.perf_counter() - start))
    return done.skipped


@app.command()
@command
def apply(
    model: Annotated[Path, typer.Argument(help="A file that `jaxloc maskcnn train` wrote.", dir_okay=False)],
    paths: Paths,
    out: Out,
    options: Annotated[MaskCnnOptions, Fields(only=_OF_APPLY)],
) -> Sized:
    """Name new images and find their parts.

    Writes annotations.json (COCO, with parts), maskcnn.json (the class of each image, and what was skipped and why) and
    report.html.

    Example:
    - `jaxloc maskcnn apply birds/maskcnn.safetensors photos --out named`
    """
    from jaxloc.run.maskcnn import apply_maskcnn
    from jaxloc.run.maskcnn.applying import applied_text

    done = apply_maskcnn(model, paths, out, options)
    say(applied_text(done, out))
    return done.skipped
