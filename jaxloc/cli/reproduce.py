"""The command that makes the papers' tables again."""

from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.arguments import AsJson, Form, printed_form
from jaxloc.cli.command import Fields, command
from jaxloc.cli.messages import say, tell
from jaxloc.errors import UsageError
from jaxloc.options import ProcessOptions, ReproduceOptions


@command
def reproduce(
    options: ReproduceOptions,
    process: Annotated[ProcessOptions, Fields(only={"cache"})],
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
    form: Form = "table",
    as_json: AsJson = False,
) -> None:
    """Make a table of the papers again: their protocol on data that is here, ours beside their numbers.

    Nothing is downloaded but, with --download, weights. Every deviation from the paper stands below the table. After a
    kill, the same command resumes; a finished table is printed again at once.

    Examples:
    - `jaxloc reproduce` lists the tables, with what each needs

    - `jaxloc reproduce ddt-voc07 voc07:VOCdevkit --method ddt --method scda`

    - `jaxloc reproduce scda-table3 cub200:CUB_200_2011 --limit 5` for a quick try
    """
    if table is None:
        from jaxloc.run.reproduce.tables import overview

        say(overview())
        return
    form = printed_form(form, as_json)
    from jaxloc.run.reproduce.tables import find_table

    known = find_table(table)
    if data is None:
        wanted = " or ".join(f"{name}:FOLDER" for name in known.sets)
        raise UsageError(
            f"{table}: name the data set, {wanted} (`jaxloc datasets {known.sets[0]}` tells how to get it)"
        )
    from jaxloc.run.reproduce import reproduce, reproduction_latex, reproduction_table, to_plain
    from jaxloc.run.runtime import set_up

    with set_up(cache=process.cache):
        result = reproduce(table, data, out or Path("reproduced", table), options)
    text = reproduction_latex if form == "latex" else reproduction_table
    tell(form == "json", lambda: to_plain(result), lambda: text(result))
