"""Name images by a few exemplars of each class, or measure how well that works."""

import functools
import time
from collections.abc import Sized
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.arguments import AsJson, Labels, Out, Paths
from jaxloc.cli.command import MORE, command
from jaxloc.cli.messages import STYLE, tell
from jaxloc.options import EpisodeOptions, NameOptions

app = typer.Typer(no_args_is_help=True, help=__doc__, **STYLE)


Keep = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        help="Folder that keeps feature maps and mappings for later calls; a stopped call resumes from it.",
        file_okay=False,
    ),
]


@app.command(epilog=MORE)
@functools.partial(command, left="with --keep, the same command resumes")
def name(
    exemplars: Annotated[
        Path, typer.Argument(help="A folder with a sub-folder of exemplars, one or more, for each class.")
    ],
    images: Paths,
    out: Out,
    options: NameOptions,
    base: Annotated[
        list[str] | None,
        typer.Option(
            "--base",
            help="Images of other, known classes, a folder for each, to learn a piecewise mapping from; repeatable.",
        ),
    ] = None,
    keep: Keep = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> Sized:
    """Name each image by the class whose few exemplars it is most like.

    The names are those of the exemplars' folders. Writes report.html, a page with each image, its name and score, and
    the exemplars nearest to it; names.csv; and names.json with the scores of every class.

    Examples:
    - `jaxloc fewshot name exemplars photos --out named`

    - `jaxloc fewshot name exemplars photos --out named --weights dinov2_vits14` (a vision transformer)

    - `jaxloc fewshot name exemplars photos --out named --base known` (learns a mapping from 50 or more known classes)
    """
    from jaxloc.run.fewshot import name_images
    from jaxloc.run.fewshot.naming import naming_text, to_plain

    start = time.perf_counter()
    done = name_images([exemplars], images, out, options, base=base or (), labels=labels, keep=keep)
    tell(as_json, lambda: to_plain(done), lambda: naming_text(done, time.perf_counter() - start))
    return done.skipped


@app.command(epilog=MORE)
@functools.partial(command, left="with --keep, the same command resumes")
def evaluate(
    paths: Paths,
    options: EpisodeOptions,
    base: Annotated[
        list[str] | None,
        typer.Option(
            "--base",
            help="Images of base classes, to learn from; all classes of PATHS are novel then; repeatable. "
            "[default: some of the classes of PATHS, drawn at random]",
        ),
    ] = None,
    keep: Keep = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> Sized:
    """Measure how well novel classes are told apart by a few exemplars, in random episodes.

    The classes (each folder is one) are divided at random into base classes, which are learnt from, and novel ones. An
    episode takes some novel classes, a few exemplars of each, and names other images of theirs.

    Examples:
    - `jaxloc fewshot evaluate flowers` (5-way, 1-shot and 5-shot)

    - `jaxloc fewshot evaluate flowers --ways 5 --shots 1 --base-classes 10 --splits 3`

    - `jaxloc fewshot evaluate novel --base known`
    """
    from jaxloc.run.fewshot.evaluation import evaluate_episodes, evaluation_text, to_plain

    start = time.perf_counter()
    done = evaluate_episodes(paths, options, base=base or (), labels=labels, keep=keep)
    tell(as_json, lambda: to_plain(done), lambda: evaluation_text(done, time.perf_counter() - start))
    return done.skipped
