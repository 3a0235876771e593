"""List, show and convert network weights."""

from typing import Annotated

import typer

from jaxloc.cli.command import Fields, command
from jaxloc.cli.messages import one_line_errors, say
from jaxloc.options import NetworkOptions

app = typer.Typer(no_args_is_help=True, help="List, show and convert network weights.")


@app.command("list")
@one_line_errors
def weights_list() -> None:
    """List the available weights and their places."""
    from jaxloc.models import weights
    from jaxloc.report.tables import text_table

    say(text_table(["name", "kind", "where"], weights.candidates()))
    say(f"\nThe cache folder is {weights.cache_folder()}; the hub is only asked with --download.")


@app.command("show")
@command
def weights_show(
    options: Annotated[NetworkOptions, Fields(only={"allow_download"})],
    name: Annotated[str, typer.Argument(help="A name or a weights file.")] = "vgg16",
) -> None:
    """What a set of weights is: architecture, layers, preprocessing, source, checksum."""
    from jaxloc import models

    for key, value in models.describe(models.load(name, allow_download=options.allow_download)).items():
        say(f"{key:14} {value}")


@app.command(
    "convert", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def weights_convert(context: typer.Context) -> None:
    """Convert published weights (torchvision, timm, Keras, MatConvNet, …); --help tells more."""
    from weights_convert.__main__ import app as convert_app

    convert_app(context.args, prog_name="jaxloc weights convert")
