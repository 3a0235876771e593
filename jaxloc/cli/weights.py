"""List, show and convert network weights."""

from typing import Annotated

import typer

from jaxloc.cli.command import Fields, command
from jaxloc.cli.messages import STYLE, one_line_errors, say
from jaxloc.options import NetworkOptions

app = typer.Typer(no_args_is_help=True, help=__doc__, **STYLE)


@app.command("list")
@one_line_errors
def weights_list() -> None:
    """List the networks, and where their weights are or how to get them."""
    from jaxloc.models import find, weights
    from jaxloc.report.tables import text_table

    rows = []
    for name, place in weights.places().items():
        layer = (backbone := find(name)).layer(backbone.defaults.localization)
        rows.append([name, layer.name, layer.stride, layer.channels, backbone.licence, place])
    say(text_table(["network", "default layer", "stride", "channels", "licence of weights", "weights"], rows))
    say(f"\nThe cache folder is {weights.cache_folder()}. `jaxloc weights show NETWORK` tells more.")


@app.command("show")
@command
def weights_show(
    options: Annotated[NetworkOptions, Fields(only={"allow_download"})],
    name: Annotated[str, typer.Argument(help="A name or a weights file.")] = "vgg16",
) -> None:
    """What a network and its weights are: layers, parameters, GFLOP, licence; preprocessing, source, checksum."""
    from jaxloc import models
    from jaxloc.errors import WeightsError
    from jaxloc.models.summary import LAYER_COLUMNS, layer_rows, summarize
    from jaxloc.report.tables import text_table

    try:
        weights = models.load(name, allow_download=options.allow_download)
        backbone, about = weights.backbone, models.describe(weights)
        del about["layers"]  # a table follows
    except WeightsError:
        if name not in models.BACKBONES:
            raise
        backbone, about = models.find(name), {"weights": "none here"}
    for key, value in (summarize(backbone) | about).items():
        say(f"{key:14} {value}")
    say(f"\n{text_table(LAYER_COLUMNS, layer_rows(backbone))}")


@app.command(
    "convert", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def weights_convert(context: typer.Context) -> None:
    """Convert published weights (torchvision, timm, Keras, MatConvNet, …); --help tells more."""
    from weights_convert.__main__ import app as convert_app

    convert_app(context.args, prog_name="jaxloc weights convert")
