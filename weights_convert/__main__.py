"""``python -m weights_convert SOURCE [DESTINATION]``."""

import functools

import typer

from jaxloc.errors import JaxlocError
from weights_convert.command import HELP, convert_command

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
@functools.wraps(convert_command)
def main(*arguments: object, **options: object) -> None:
    """``convert_command``, with errors as one line on stderr and exit status 2."""
    try:
        convert_command(*arguments, **options)  # type: ignore[arg-type]
    except JaxlocError as error:
        typer.echo(f"jaxloc: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    app(prog_name="python -m weights_convert")
