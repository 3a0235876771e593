"""How the command talks: plain lines, and an error as one line with an exit status."""

import functools
import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, ParamSpec

import typer

from jaxloc import _interrupts
from jaxloc.errors import JaxlocError

P = ParamSpec("P")
STYLE: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": "markdown"}
"""How all commands look."""
KEPT = "finished work is kept: run the same command again to resume"
"""What a stopped command leaves."""


def one_line_errors(command: Callable[P, None], *, left: str = KEPT) -> Callable[P, None]:
    """Print an error that the user can correct as one line and exit with 2; with 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        command: what to run.
        left: what a stopped command leaves, for the message.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with _interrupts.stoppable(functools.partial(_leave, left)):
                command(*args, **kwargs)
        except JaxlocError as error:
            _complain(str(error), 2)
        except OSError as error:
            _complain(f"{error.filename or 'a file'}: {error.strerror or error}", 2)
        except KeyboardInterrupt as stopped:
            _complain(*_last_words(stopped, left))
        except typer.Exit:
            raise
        except Exception:
            if not _is_one_of_several():
                raise
            traceback.print_exc()
            _complain("this host has failed, see above; run the same command on every host again to resume", 1)

    return wrapped


def say(text: str, *, err: bool = False) -> None:
    """Print; names whose bytes are no text in any encoding show a replacement character."""
    typer.echo(text.encode("utf-8", "backslashreplace").decode(), err=err)


def _complain(message: str, code: int) -> None:
    say(f"jaxloc: {message}", err=True)
    if _is_one_of_several():
        # An orderly end would wait for the other hosts, which wait for this one; now they notice and end as well.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


def _last_words(stopped: KeyboardInterrupt, left: str) -> tuple[str, int]:
    """The message and exit status of a command that got a signal."""
    if not isinstance(stopped, _interrupts.Stopped) or stopped.number == signal.SIGINT:
        return f"interrupted; {left}", 130
    return (stopped.reason, 2) if stopped.reason else (f"asked to end; {left}", 143)


def _leave(left: str, stopped: KeyboardInterrupt) -> None:
    """End the process from another thread, while the main thread is busy outside of Python."""
    message, code = _last_words(stopped, left)
    say(f"jaxloc: {message}", err=True)
    os._exit(code)


def _is_one_of_several() -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def tell(as_json: bool, to_plain: Callable[[], Any], to_text: Callable[[], str]) -> None:
    """Print a result as text, or as JSON, where numbers that are not finite become null."""
    say(json.dumps(_without_nan(to_plain()), indent=1) if as_json else to_text())


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
