"""The command that sorts a pile of images."""

import dataclasses
import time
from collections.abc import Sized
from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.arguments import Out, Paths
from jaxloc.cli.command import Fields, command
from jaxloc.cli.messages import say
from jaxloc.options import DiscoverOptions, LocalizeOptions, ProcessOptions, SetOptions


@command
def discover(
    paths: Paths,
    out: Out,
    options: DiscoverOptions,
    job: Annotated[LocalizeOptions, Fields(leave_out={"noise_threshold"})],
    sets: Annotated[SetOptions, Fields(only={"overwrite"})],
    process: ProcessOptions,
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions",
            help="Your groups, as OUT/groups.html hands them out: renamed, merged and divided; boxes are found anew. "
            "Give them every time: those of the last run that you do not give are kept in OUT/groups-before.json.",
            dir_okay=False,
        ),
    ] = None,
) -> Sized:
    """Sort a pile of unsorted photographs: groups of one kind, a box in each image, and the model.

    Neither the kinds nor their number need be known. Writes groups.html, a page to look at the groups and to rename,
    merge and divide them; groups/, a folder for each group; groups.csv and groups.json; and what `jaxloc colocalize`
    writes: annotations.json (COCO, with the group as category), report.html, and model.safetensors for `jaxloc apply`.
    Images unlike any other are "ungrouped". After a kill, the same command resumes.

    Examples:
    - `jaxloc discover photos --out found`

    - `jaxloc discover photos --out found --decisions groups-by-hand.json` (as you decided in found/groups.html)

    - `jaxloc discover photos --out found --groups 9` (if you know the number)
    """
    from jaxloc.run import distributed
    from jaxloc.run.discovery import discover
    from jaxloc.run.discovery.discover import discovery_text
    from jaxloc.run.runtime import set_up

    start = time.perf_counter()
    with set_up(**vars(process)):
        done = discover(paths, out, dataclasses.replace(options, job=job), by_hand=decisions, overwrite=sets.overwrite)
    if distributed.is_first():
        say(discovery_text(done, time.perf_counter() - start))
    return done.findings.skipped
