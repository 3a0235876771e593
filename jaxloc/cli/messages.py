"""How the command talks: plain lines, and an error as one line with an exit status."""

import functools
import json
import math
from collections.abc import Callable
from typing import Any, ParamSpec

import typer

from jaxloc import _interrupts
from jaxloc.errors import JaxlocError
from jaxloc.report.text import displayable

P = ParamSpec("P")


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Print an error the user can mend as one line and exit with 2 (130 for Ctrl-C) instead of a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with _interrupts.remembered():
                command(*args, **kwargs)
        except JaxlocError as error:
            _complain(str(error), 2)
        except OSError as error:
            _complain(f"{error.filename or 'a file'}: {error.strerror or error}", 2)
        except KeyboardInterrupt:
            _complain("interrupted; nothing half-written is left", 130)

    return wrapped


def say(text: str, *, err: bool = False) -> None:
    """Print; names whose bytes are no text in any encoding show a replacement character."""
    typer.echo(displayable(text), err=err)


def _complain(message: str, code: int) -> None:
    say(f"jaxloc: {message}", err=True)
    raise typer.Exit(code)


def say_json(values: Any) -> None:
    """Print as JSON; numbers that are not finite become null."""
    say(json.dumps(_without_nan(values), indent=1))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
