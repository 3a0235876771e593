"""Count products at a checkout: compose images of them, learn to count, count."""

import dataclasses
import time
from typing import Annotated

import typer

from jaxloc.cli.arguments import Out, Strict
from jaxloc.cli.command import MORE, Fields, command
from jaxloc.cli.messages import say
from jaxloc.options import ComposeOptions, CutOptions, ExportOptions, SetOptions

app = typer.Typer(no_args_is_help=True, help=__doc__, rich_markup_mode="markdown")
_OF_CUTTING = {"weights", "method", "refine", "max_side", "batch", "devices", "workers", "allow_download"}


@app.callback()
def checkout() -> None:
    """Count products at a checkout: compose images of them, learn to count, count."""


@app.command("compose", epilog=MORE)
@command
def checkout_compose(
    products: Annotated[
        str,
        typer.Argument(
            help="A folder with a sub-folder of images for each kind of product, an archive of such, or a data set as "
            "NAME:ROOT.",
            metavar="PRODUCTS",
            show_default=False,
        ),
    ],
    out: Out,
    options: ComposeOptions,
    splits: Annotated[ExportOptions, Fields(only={"split"})],
    sets: Annotated[SetOptions, Fields(only={"overwrite"})],
    cutting: Annotated[CutOptions, Fields(only=_OF_CUTTING)],
    strict: Strict = False,
) -> None:
    """Product images in, a labelled checkout set out, for any detector: boxes and masks of what is visible.

    Products are cut out in front of a uniform border by a flood fill, else by what the images of their kind share (DDT
    and a dense CRF), turned, and pasted so that at least half of each item stays visible. Writes dataset/, report.html
    to look at images, boxes and counts, and work/cutouts, the products. After a kill, the same command resumes.

    Examples:
    - `jaxloc checkout compose products --level easy --images 500 --format yolo --split train=0.9,val=0.1 --out set`

    - `jaxloc checkout compose products --background counter.jpg --images 2000 --out set`
    """
    from jaxloc.run.checkout import compose
    from jaxloc.run.checkout.compose import composed_text

    options = dataclasses.replace(options, cutting=cutting)
    start = time.perf_counter()
    done = compose(products, out, options, split=splits.split, overwrite=sets.overwrite)
    say(composed_text(done, time.perf_counter() - start))
    if strict and done.skipped:
        raise typer.Exit(3)
