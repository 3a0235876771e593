"""The command about data sets."""

import dataclasses
from typing import Annotated

import typer

from jaxloc.cli.messages import one_line_errors, tell


@one_line_errors
def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A data set to explain, or one on this machine to open: NAME:FOLDER, NAME/SPLIT:FOLDER or NAME:tfds.",
            metavar="[NAME[:FOLDER]]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """List the papers' data sets, explain one, or check one that is on this machine. Nothing is downloaded.

    Examples:
    - `jaxloc datasets`

    - `jaxloc datasets cub200`

    - `jaxloc datasets voc07/trainval:VOCdevkit`
    """
    from jaxloc.data.datasets import is_spec
    from jaxloc.run import datasets as known

    if name is None:
        tell(as_json, lambda: [dataclasses.asdict(info) for info in known.infos()], known.overview)
    elif is_spec(name):
        described = known.describe(name)
        tell(as_json, lambda: known.to_plain(described), lambda: known.description(described))
    else:
        info = known.find_info(name.partition(":")[0])
        tell(
            as_json,
            lambda: dataclasses.asdict(info) | {"tables": known.tables_of(info)},
            lambda: known.explanation(info),
        )
