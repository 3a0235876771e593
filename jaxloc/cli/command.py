"""From a function with options classes among its parameters to a command with a flag for each of their fields."""

import copy
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection, Sized
from typing import Annotated, Any, Literal, NamedTuple

import typer

from jaxloc.cli.arguments import Strict
from jaxloc.cli.messages import KEPT, one_line_errors
from jaxloc.options.option import Option, Options, flags_of, option_of

MORE = "More options: `--help-all`"
_FEW = 12


class Fields(NamedTuple):
    """Which fields of an options class a command takes: ``Annotated[NetworkOptions, Fields(only={"weights"})]``.

    Attributes:
        given: the options class of a parameter that takes a dict of the values that were given, without defaults.
    """

    only: Collection[str] = ()
    leave_out: Collection[str] = ()
    given: type[Options] | None = None


def command(function: Callable[..., Sized | None], *, left: str = KEPT) -> Callable[..., None]:
    """Replace each parameter that is an options class by a parameter for each of its fields; tell errors in one line.

    A function that returns what it skipped gets ``--strict``.

    Args:
        function: its other parameters are annotated with typer's ``Argument`` or ``Option``; those that are hidden are
            shown by ``--help-all``.
        left: see ``one_line_errors``.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    skips = hints["return"] is not types.NoneType
    shown: list[inspect.Parameter] = []
    groups: dict[str, tuple[Callable[..., Any], dict[str, Option]]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        marks: tuple[Any, ...] = getattr(hints[name], "__metadata__", ())
        asked = next((mark for mark in marks if isinstance(mark, Fields)), Fields())
        cls = asked.given or (typing.get_args(hints[name])[0] if marks else hints[name])
        if not (isinstance(cls, type) and issubclass(cls, Options)):
            info = copy.copy(marks[0])  # commands share annotations, and differ in what they hide
            shown.append(_keyword(name, Annotated[typing.get_args(hints[name])[0], info], parameter.default))
            continue
        taken = [field for field in dataclasses.fields(cls) if _is_taken(field, asked)]  # type: ignore[arg-type]
        groups[name] = dict if asked.given else cls, {field.name: option_of(field) for field in taken}
        shown += [_parameter(name, field, option_of(field), asked) for field in taken]
    if skips:
        strict, info = typing.get_args(Strict)
        shown.append(_keyword("strict", Annotated[strict, copy.copy(info)], False))
    _hide_or_show(shown)

    @functools.wraps(function)
    def expanded(**values: Any) -> None:
        values.pop("help_all", None)
        strict = skips and values.pop("strict")
        for name, (make, options) in groups.items():
            typed = {field: values.pop(f"{name}__{field}") for field in options}
            given = {
                field: value
                for field, value in typed.items()
                if value is not None and (value is not False or "/" in "".join(options[field].flags))
            }
            values[name] = make(**{field: _value(options[field], value) for field, value in given.items()})
        if function(**values) and strict:
            raise typer.Exit(3)

    expanded.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    expanded.__annotations__ = {each.name: each.annotation for each in shown}
    return one_line_errors(expanded, left=left)


def has_more(function: Callable[..., None]) -> bool:
    """Whether a command has options that only ``--help-all`` shows."""
    return "help_all" in inspect.signature(function).parameters


def _is_taken(field: dataclasses.Field[Any], asked: Fields) -> bool:
    one = option_of(field)
    wanted = not asked.only or field.name in asked.only
    return one is not None and not one.only_python and wanted and field.name not in asked.leave_out


def _keyword(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _parameter(group: str, field: dataclasses.Field[Any], one: Option, asked: Fields) -> inspect.Parameter:
    kind, default = (one.typed.type, one.typed.default) if one.typed else (_kind(field.type, one), field.default)
    flags = flags_of(field.name, one)
    help = one.help
    if kind is bool and "/" not in flags[0]:
        default = False
    elif asked.given or default is None or default == ():
        help += f" [default: {default}]" if default not in (None, (), False) else ""
        kind, default = kind | None, None
    elif isinstance(default, tuple):
        default = list(default)
    info = typer.Option(*flags, help=help, rich_help_panel=one.panel or None, metavar=one.metavar, hidden=not one.first)
    return _keyword(f"{group}__{field.name}", Annotated[kind, info], default)


def _kind(kind: Any, one: Option) -> Any:
    """The type on the command line of a field of this type."""
    if isinstance(kind, types.UnionType):
        kind = typing.get_args(kind)[0]
    if kind is str and one.choices:
        return Literal[tuple(one.choices)]
    return list[typing.get_args(kind)[0]] if typing.get_origin(kind) is tuple else kind  # type: ignore[misc]


def _value(one: Option, value: Any) -> Any:
    """The field's value from the one typed."""
    if one.typed:
        return one.typed.convert(value, one)
    return tuple(value) if isinstance(value, list) else value


def _hide_or_show(shown: list[inspect.Parameter]) -> None:
    """Add ``--help-all`` if there are many options, or show all."""
    infos = [each.annotation.__metadata__[0] for each in shown]
    options = [info for info in infos if isinstance(info, typer.models.OptionInfo)]
    if len(options) > _FEW:
        more = typer.Option("--help-all", help="Show all options and exit.", is_eager=True, callback=_help_all)
        shown.append(_keyword("help_all", Annotated[bool, more], False))
    else:
        for info in options:
            info.hidden = False


def _help_all(context: typer.Context, wanted: bool) -> None:
    if wanted:
        for parameter in context.command.params:
            parameter.hidden = False  # type: ignore[attr-defined]
        context.command.epilog = None
        typer.echo(context.get_help())
        raise typer.Exit
