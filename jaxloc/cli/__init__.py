"""The ``jaxloc`` command: parse, call ``jaxloc.run``, print; the module of a command is loaded when it is called."""

import ast
import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from jaxloc.cli.messages import STYLE, say

COMMANDS = {
    "colocalize": "localization",
    "localize": "localization",
    "apply": "localization",
    "index": "retrieval",
    "search": "retrieval",
    "compare": "retrieval",
    "attributes": "galleries",
    "remove": "galleries",
    "approximate": "galleries",
    "classify": "recognition",
    "finetune": "recognition",
    "fewshot": "fewshot",
    "maskcnn": "maskcnn",
    "reid": "reid",
    "evaluate": "evaluation",
    "reproduce": "reproduce",
    "export": "export",
    "clean": "cleaning",
    "discover": "discovery",
    "checkout": "checkout",
    "datasets": "datasets",
    "demo": "localization",
    "weights": "weights",
}
"""The module of each command, in the order of the help. A module's ``app`` holds several commands of one name."""


def load(name: str) -> typer.Typer:
    """A typer app of one command, or the app of its module if it has several of that name."""
    from jaxloc.cli.command import MORE, has_more

    module = importlib.import_module(f"jaxloc.cli.{COMMANDS[name]}")
    if hasattr(module, "app"):
        return module.app
    function = getattr(module, name)
    one = typer.Typer(**STYLE)
    one.command(name, epilog=MORE if has_more(function) else None)(function)
    return one


class _Commands(TyperGroup):
    """Loads a command when it is called, and only its first line of help to list it."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=_help_of(cmd_name))
        found = typer.main.get_command(load(cmd_name))
        found.name = cmd_name
        return found

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        super().format_help(ctx, formatter)
        self._listing = False


def _help_of(name: str) -> str:
    """The first line of a command's docstring, or of its module's, without importing it."""
    tree = ast.parse(Path(__file__).with_name(f"{COMMANDS[name]}.py").read_text(encoding="utf-8"))
    documented: list[Any] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return (ast.get_docstring((documented or [tree])[0]) or "").split("\n\n")[0]


app = typer.Typer(
    name="jaxloc",
    cls=_Commands,
    no_args_is_help=True,
    help="Find the object in images without boxes, and find it again, with nothing but a pre-trained network.\n\n"
    "Start with `jaxloc demo`, then point `jaxloc colocalize` at a folder of photographs that share an object, or "
    "`jaxloc index` at a gallery to search.",
    **STYLE,
)


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
