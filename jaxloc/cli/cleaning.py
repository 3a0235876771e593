"""The command that turns a pile of web photographs into a data set."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.arguments import Out, Strict
from jaxloc.cli.command import Fields, command
from jaxloc.cli.messages import say
from jaxloc.options import CleanOptions, LocalizeOptions, ProcessOptions, SetOptions

_NOT_CLEANED = {"noise_threshold", "parts", "masks", "refine", "box_from_mask", "overlays", "report_limit"}


@command
def clean(
    photos: Annotated[
        str,
        typer.Argument(
            help="A folder with a sub-folder of photographs for each class, or an archive of such.",
            metavar="WEB_FOLDER",
        ),
    ],
    out: Out,
    options: CleanOptions,
    job: Annotated[LocalizeOptions, Fields(leave_out=_NOT_CLEANED)],
    sets: Annotated[SetOptions, Fields(only={"per_label", "overwrite"})],
    process: Annotated[ProcessOptions, Fields(leave_out={"distributed"})],
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions",
            help="Your decisions, as OUT/review.html hands them out; they overrule the rules. Give them every time: "
            "those of the last run that you do not give are not applied, but kept in OUT/decisions-before.json.",
            dir_okay=False,
            rich_help_panel="What is kept",
        ),
    ] = None,
    strict: Strict = False,
) -> None:
    """Turn a pile of web photographs into a training set: noise and repeated images out, a box drawn in each.

    Writes dataset/ in the format you choose, decisions.json (every image: kept or dropped, and why), and review.html,
    where you look at the doubtful images, decide otherwise, and download your decisions. After a kill, the same
    command resumes; with another --noise, --duplicates or --decisions it takes seconds.

    Examples:
    - `jaxloc clean web-photos --out cleaned`

    - `jaxloc clean web-photos --out cleaned --decisions decisions-by-hand.json --format yolo`
    """
    from jaxloc.run.cleaning import clean
    from jaxloc.run.cleaning.summary import cleaning_text
    from jaxloc.run.runtime import set_up

    options = dataclasses.replace(options, job=job)
    start = time.perf_counter()
    with set_up(cache=process.cache, profile=process.profile):
        done = clean(photos, out, options, per_label=sets.per_label, by_hand=decisions, overwrite=sets.overwrite)
    say(cleaning_text(done, time.perf_counter() - start))
    if strict and any(item.why == "broken" for item in done.decisions.items):
        raise typer.Exit(3)
