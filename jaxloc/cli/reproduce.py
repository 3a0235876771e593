"""The command that makes the papers' tables again."""

from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.evaluation import Form
from jaxloc.cli.messages import one_line_errors, say, say_json
from jaxloc.cli.options import (
    BatchSize,
    CacheSize,
    CompileCache,
    ComputeDtype,
    Conv,
    ConvChoice,
    Devices,
    Download,
    Dtype,
    Workers,
    bytes_of,
)
from jaxloc.errors import UsageError


@one_line_errors
def reproduce(
    table: Annotated[
        str | None,
        typer.Argument(help="The table, such as ddt-voc07; without one they are listed.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(
            help="The data set: NAME:FOLDER, NAME:tfds, its folder alone, or for DDT's tables a COCO file with some "
            "of the classes.",
            metavar="[DATA]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the results. [default: reproduced/TABLE]", file_okay=False),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", "-w", help="A name or a weights file. [default: the paper's network]")
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="Rows of the DDT paper's tables: ddt, scda; repeatable. [default: ddt]"),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="Only the first so many images of each class: a try, and marked as such."),
    ] = None,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Draws for the confidence intervals; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of the draws and of codebooks.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over where the folder holds something.")
    ] = False,
    form: Annotated[Form, typer.Option("--format", help="How to print.")] = Form.table,
    as_json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
    feature_cache: CacheSize = 4.0,
    batch: BatchSize = None,
    devices: Devices = None,
    dtype: ComputeDtype = Dtype.float32,
    conv: ConvChoice = Conv.auto,
    workers: Workers = None,
    compile_cache: CompileCache = None,
    download: Download = False,
) -> None:
    """Make a table of the papers again: their protocol on data that is here, ours beside their numbers.

    Nothing is downloaded but, with --download, weights. Every deviation from the paper stands below the table. After a
    kill the same command goes on; a finished table is printed again at once.

    Examples:
    - `jaxloc reproduce` lists the tables, with what each needs

    - `jaxloc reproduce ddt-voc07 voc07:VOCdevkit --method ddt --method scda`

    - `jaxloc reproduce scda-table3 cub200:CUB_200_2011 --limit 5` for a quick try
    """
    if table is None:
        from jaxloc.run.reproduce.tables import overview

        say(overview())
        return
    if as_json and form is Form.latex:
        raise UsageError("--json and --format latex exclude each other")
    from jaxloc.run.reproduce.tables import find_table

    known = find_table(table)
    if data is None:
        wanted = " or ".join(f"{name}:FOLDER" for name in known.sets)
        raise UsageError(
            f"{table}: name the data set, {wanted} (`jaxloc datasets {known.sets[0]}` tells how to get it)"
        )
    from jaxloc.run.reproduce import ReproduceOptions, reproduce, reproduction_latex, reproduction_table, to_plain
    from jaxloc.run.runtime import set_up

    options = ReproduceOptions(
        weights=weights,
        methods=tuple(methods or ("ddt",)),
        limit=limit,
        samples=bootstrap,
        seed=seed,
        overwrite=overwrite,
        batch=batch,
        devices=devices,
        workers=workers,
        dtype=dtype.value,
        conv=conv.value,
        feature_cache=bytes_of(feature_cache),
        allow_download=download or None,
    )
    with set_up(cache=compile_cache):
        result = reproduce(table, data, out or Path("reproduced", table), options)
    if as_json or form is Form.json:
        say_json(to_plain(result))
    else:
        say(reproduction_latex(result) if form is Form.latex else reproduction_table(result))
