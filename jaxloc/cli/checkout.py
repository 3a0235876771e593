"""Count products at a checkout: compose images of them, learn to count, count."""

import dataclasses
import time
from collections.abc import Sized
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.arguments import AsJson, Out, Paths
from jaxloc.cli.command import MORE, Fields, command
from jaxloc.cli.messages import STYLE, say, tell
from jaxloc.options import ComposeOptions, CountOptions, CutOptions, ExportOptions, SetOptions, TrainCounterOptions

app = typer.Typer(no_args_is_help=True, help=__doc__, **STYLE)
_OF_CUTTING = {"weights", "method", "refine", "max_side", "batch", "devices", "workers", "allow_download"}


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
) -> Sized:
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
    return done.skipped


@app.command("train")
@command
def checkout_train(
    labelled: Annotated[
        str,
        typer.Argument(
            help="A set with a box for each item: what `checkout compose` wrote in OUT/dataset, a COCO file, a VOC or "
            "YOLO folder, or a data set as NAME:ROOT.",
            metavar="SET",
            show_default=False,
        ),
    ],
    out: Out,
    options: TrainCounterOptions,
) -> Sized:
    """Learn to find and count the products of a labelled set; after a kill, the same command resumes.

    A small head on frozen feature maps, which are computed once. Writes counter.safetensors for `checkout count`, and
    training.json. Needs the extra: pip install 'jaxloc[train]'.

    Examples:
    - `jaxloc checkout train set/dataset --out model`

    - `jaxloc checkout train set/dataset --longer-side 320 --steps 400 --out model` (faster; products 77 pixels long)
    """
    from jaxloc.run.checkout import train
    from jaxloc.run.checkout.train import training_text
    from jaxloc.run.runtime import compile_cache

    compile_cache()
    done = train(labelled, out, options)
    say(training_text(done))
    return done.skipped


@app.command("count")
@command
def checkout_count(
    counter: Annotated[
        Path,
        typer.Argument(help="The folder that `checkout train` wrote, or its counter.safetensors.", metavar="MODEL"),
    ],
    paths: Paths,
    out: Out,
    options: CountOptions,
    as_json: AsJson = False,
) -> Sized:
    """Find and count the products in images: boxes, a table of counts, and a page.

    Writes annotations.json (COCO, with the scores of all items found), counts.csv and counts.json (how many of each
    product each image shows), and report.html.

    Examples:
    - `jaxloc checkout count model photos --out counted`

    - `jaxloc evaluate counted truth.json --counts` (if the truth is known)
    """
    from jaxloc.run.checkout import count
    from jaxloc.run.checkout.count import counted_text, to_plain
    from jaxloc.run.runtime import compile_cache

    compile_cache()
    done = count(counter, paths, out, options)
    tell(as_json, lambda: to_plain(done), lambda: counted_text(done))
    return done.skipped
