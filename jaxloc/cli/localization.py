"""The commands that localise, and the demo."""

import time
from collections.abc import Sized
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxloc.cli.arguments import Out, Paths
from jaxloc.cli.command import Fields, command
from jaxloc.cli.messages import say
from jaxloc.options import LocalizeEachOptions, LocalizeOptions, ProcessOptions, SetOptions, VideoOptions, fitted_only

_OF_THE_MODEL = {"method", "layer", "sign", "max_side", "feature_cache", "moments_memory"}


@command
def colocalize(
    paths: Paths,
    out: Out,
    options: LocalizeOptions,
    sets: SetOptions,
    video: VideoOptions,
    process: ProcessOptions,
    update: Annotated[
        Path | None, typer.Option("--update", help="Fit this model again with these images added.", hidden=True)
    ] = None,
) -> Sized:
    """Find the object that the images share: a box in each, and which images lack it.

    Writes annotations.json (COCO), report.html and model.safetensors (for `jaxloc apply`) to the output folder.

    Examples:
    - `jaxloc colocalize photos --out result`

    - `jaxloc colocalize classes --per-folder --method ddt+ --out result` (each sub-folder is a set)
    """
    from jaxloc import run
    from jaxloc.run.runtime import set_up

    start = time.perf_counter()
    with set_up(**vars(process)):
        findings = run.colocalize(paths, out, options, update=update, video=video, **vars(sets))
    return _tell(findings, out, start)


@command
def localize(
    paths: Paths,
    out: Out,
    options: Annotated[LocalizeEachOptions, Fields(leave_out=fitted_only(LocalizeOptions))],
    sets: SetOptions,
    video: VideoOptions,
    process: ProcessOptions,
) -> Sized:
    """Find the main object of each image on its own.

    Writes annotations.json (COCO) and report.html to the output folder.

    Example: `jaxloc localize photos --out result --overlays`
    """
    from jaxloc import run
    from jaxloc.run.runtime import set_up

    start = time.perf_counter()
    with set_up(**vars(process)):
        findings = run.localize(paths, out, options, video=video, **vars(sets))
    return _tell(findings, out, start)


@command
def apply(
    model: Annotated[Path, typer.Argument(help="model.safetensors that `jaxloc colocalize` or `discover` wrote.")],
    paths: Paths,
    out: Out,
    options: Annotated[LocalizeOptions, Fields(leave_out=_OF_THE_MODEL)],
    sets: Annotated[SetOptions, Fields(leave_out={"name"})],
    video: VideoOptions,
    process: ProcessOptions,
    category: Annotated[
        str | None, typer.Option("--category", help="The set of the model whose object to find.", hidden=True)
    ] = None,
) -> Sized:
    """Find the object of a fitted model in images that it has not seen.

    Example: `jaxloc apply result/model.safetensors new-photos --out result2`
    """
    from jaxloc import run
    from jaxloc.run.runtime import set_up

    which = {name: value for name, value in vars(sets).items() if name != "name"}
    start = time.perf_counter()
    with set_up(**vars(process)):
        findings = run.apply(model, paths, out, options, category=category, video=video, **which)
    return _tell(findings, out, start)


@command
def demo(
    options: Annotated[LocalizeOptions, Fields(only={"method"})],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for images and results.")] = Path("jaxloc-demo"),
    seed: Annotated[int, typer.Option("--seed", help="Decides where the object is placed.")] = 0,
) -> None:
    """See it work without any files: a motorcycle hidden in photographs is found, and the result scored.

    The images are composed from photographs that ship inside scikit-image: the motorcycle is cut out of one and
    placed at random scale, place and flip onto others; some images go without. Nothing is downloaded.
    """
    from jaxloc.run.demo import demo, demo_text

    start = time.perf_counter()
    say(
        "Composing 22 images from photographs that ship inside scikit-image: a motorcycle, cut out of one,\n"
        "placed onto 16 of them; 6 go without. jaxloc sees the images only, no boxes and no labels."
    )
    result = demo(out, options, seed=seed)
    _tell(result.findings, out, start)
    say(demo_text(result))


def _tell(findings: Any, out: Path, start: float) -> Sized:
    from jaxloc.run import distributed
    from jaxloc.run.summary import summary

    if distributed.is_first():
        say(summary(findings, out, time.perf_counter() - start))
    return findings.skipped
