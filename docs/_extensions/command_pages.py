"""The command reference, written from the command's own functions while building, so that it cannot go stale."""

import inspect
import types
import typing
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from typer.models import ArgumentInfo, OptionInfo

import jaxloc.cli
from weights_convert import __main__ as converter

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGE = "commands"
MARK = "<!-- every command is put here by _extensions/command_pages.py -->"


class Parameter(NamedTuple):
    """An argument or an option of a command.

    Attributes:
        names: ``--out`` and ``-o``; of an argument what stands in its place in the usage.
        panel: the table it belongs to.
        values: what it takes, in words.
        default: as it is written, empty for none.
        help: its text.
        is_option: or else it is an argument.
    """

    names: tuple[str, ...]
    panel: str
    values: str
    default: str
    help: str
    is_option: bool


def commands() -> dict[str, Any]:
    """The function of every command, by its full name such as ``jaxloc weights list``."""
    found: dict[str, Any] = {}
    for name, module in jaxloc.cli.COMMANDS.items():
        app = jaxloc.cli.load(name)
        found |= functions(app, f"jaxloc {name}" if name == module and len(app.registered_commands) > 1 else "jaxloc")
    return found | {"jaxloc weights convert": converter.main}  # which hands its arguments on


def functions(app: typer.Typer, path: str) -> dict[str, Any]:
    """The function of every command of an app, by its full name."""
    found = {f"{path} {_command_name(info)}": info.callback for info in app.registered_commands}
    for group in app.registered_groups:
        found |= functions(group.typer_instance, f"{path} {group.name or group.typer_instance.info.name}")
    return found


def parameters(function: Any) -> list[Parameter]:
    """The arguments and options of a command's function."""
    every = inspect.signature(function, eval_str=True).parameters
    return [_parameter(given) for name, given in every.items() if name not in ("context", "help_all")]


def markdown() -> str:
    """A section for each command: what it does, its usage, and tables of its arguments and options."""
    return "\n".join(_section(path, function) for path, function in commands().items())


def _section(path: str, function: Any) -> str:
    every = parameters(function)
    usage = " ".join([path, *(p.names[0] for p in every if not p.is_option), "[OPTIONS]"])
    lines = [f"## {path}", "", _text(function), "", "```console", f"$ {usage}", "```", ""]
    panels: dict[str, list[str]] = {}
    for one in sorted(every, key=lambda one: one.is_option):
        names = ", ".join(f"`{name}`" for name in one.names)
        panels.setdefault(one.panel, []).append(f"| {names} | {one.values} | {one.default} | {one.help} |")
    for panel, rows in panels.items():
        lines += [f"| {panel} | value | default | |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _text(function: Any) -> str:
    if function is converter.main:
        return "```text\n" + converter.HELP.replace("\b\n", "").rstrip() + "\n```"
    return inspect.getdoc(function) or ""


def _command_name(info: Any) -> str:
    return info.name or info.callback.__name__.replace("_", "-")


def _parameter(given: inspect.Parameter) -> Parameter:
    kind = hint = given.annotation
    info = None
    if hasattr(hint, "__metadata__"):
        kind = typing.get_args(hint)[0]
        info = next((one for one in hint.__metadata__ if isinstance(one, OptionInfo | ArgumentInfo)), None)
    if info is None:
        raise TypeError(f"{given} of a command must be Annotated with a typer Option or Argument")
    kinds = [one for one in (typing.get_args(kind) if _is_union(kind) else (kind,)) if one is not types.NoneType]
    several = typing.get_origin(kinds[0]) is list
    inner = typing.get_args(kinds[0])[0] if several else kinds[0]
    is_option = isinstance(info, OptionInfo)
    required = given.default is inspect.Parameter.empty
    return Parameter(
        names=_option_names(given, info) if is_option else (_in_usage(given, info, required, several),),
        panel=info.rich_help_panel or ("Options" if is_option else "Arguments"),
        values=_values(inner) + (", may be repeated" if several and is_option else ""),
        default="required" if required else _default(given.default),
        help=" ".join((info.help or "").split()).replace("|", "\\|"),
        is_option=is_option,
    )


def _is_union(kind: Any) -> bool:
    return isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union


def _option_names(given: inspect.Parameter, info: OptionInfo) -> tuple[str, ...]:
    # Inside Annotated the first name is where typer keeps a default otherwise.
    declared = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
    return tuple(dict.fromkeys(declared)) or (f"--{given.name.replace('_', '-')}",)


def _in_usage(given: inspect.Parameter, info: ArgumentInfo, required: bool, several: bool) -> str:
    name = info.metavar or given.name.upper()
    return (name if required or name.startswith("[") else f"[{name}]") + ("..." if several else "")


def _values(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{one.value}`" for one in kind)
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{one}`" for one in typing.get_args(kind))
    return {bool: "flag", int: "whole number", float: "number", str: "text", Path: "path"}[kind]


def _default(default: Any) -> str:
    default = getattr(default, "value", default)
    return "" if default is None or default is False or default in ("", [], ()) else f"`{default}`"


def put_commands(app: "Sphinx", document: str, source: list[str]) -> None:
    """Replace the mark on the page of commands."""
    if document == PAGE:
        if MARK not in source[0]:
            raise ValueError(f"{PAGE}.md lacks the line {MARK}")
        for path in Path(jaxloc.cli.__file__).parent.glob("*.py"):
            app.env.note_dependency(str(path))
        source[0] = source[0].replace(MARK, markdown())


def setup(app: "Sphinx") -> dict[str, bool]:
    """Hook into reading."""
    app.connect("source-read", put_commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
