"""The ``jaxloc`` command: parse, call ``jaxloc.run``, print."""

import os
import sys
import warnings
from typing import Annotated

import typer

from jaxloc.cli import (
    cleaning,
    datasets,
    evaluation,
    export,
    galleries,
    localization,
    recognition,
    reproduce,
    retrieval,
    weights,
)
from jaxloc.cli.command import MORE, has_more
from jaxloc.cli.messages import say

app = typer.Typer(
    name="jaxloc",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Find the object in images without boxes, and find it again, with nothing but a pre-trained network.\n\n"
    "Start with `jaxloc demo`, then point `jaxloc colocalize` at a folder of photographs that share an object, or "
    "`jaxloc index` at a gallery to search.",
)
for function in (
    localization.colocalize,
    localization.localize,
    localization.apply,
    retrieval.index,
    retrieval.search,
    retrieval.compare,
    galleries.attributes,
    galleries.remove,
    galleries.approximate,
    recognition.classify,
    recognition.finetune,
    evaluation.evaluate,
    reproduce.reproduce,
    export.export,
    cleaning.clean,
    datasets.datasets,
    localization.demo,
):
    app.command(epilog=MORE if has_more(function) else None)(function)
app.add_typer(weights.app, name="weights")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Options of the command itself."""
    if version:
        from jaxloc import __version__

        say(f"jaxloc {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the ``jaxloc`` script."""
    warnings.filterwarnings("ignore", module="PIL")
    try:
        app()
    except SystemExit as ended:
        if ended.code in (130, 143):  # asked to end: all is written, and compilations or reads under way would hold it
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code)
        raise
