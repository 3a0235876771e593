"""The definition of an option: one field of a frozen dataclass, from which everything else is derived.

``batch: int | None = option(None, "Maximum number of images in a batch.", least=1)`` is a complete definition. The
field's type, default and ``option(...)`` give the command line its flag and help, the class its documentation and
validation, the report its settings, and the run its identity. Importing ``jaxloc.options`` does not import JAX, so
that ``--help`` is quick; choices come from registries that do not import it either (``jaxloc.signs`` and the like).
"""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, get_args, get_origin

from jaxloc.errors import UsageError


class Typed(NamedTuple):
    """How a value is typed on the command line, where that differs from the field.

    Attributes:
        type: ``float``, ``str``, ``list[str]`` or the like.
        default: as ``type``.
        convert: ``convert(value, option)`` is the field's value; it raises ``UsageError`` for a malformed one.
    """

    type: Any
    default: Any
    convert: "Callable[[Any, Option], Any]"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """What a field says of itself beside its name, type and default.

    Attributes:
        help: what it does and when to change it.
        flags: names on the command line; empty derives ``--name`` from the field's name.
        only_python: whether no command has it.
        first: whether ``--help`` shows it; ``--help-all`` shows every option.
        choices: permitted values, such as a registry; empty permits any. A field's ``Literal`` says them itself.
        above: values must exceed this.
        below: values must be less than this; without it they must be finite, where there is ``least`` or ``above``.
        typed: how it is typed on the command line.
        metavar: what stands for the value in the help.
        setting: its name among a report's settings; the result depends on such an option.
        identity: its name in the identity of a run whose bytes, but not its result, depend on it.
        fitted: whether only methods that fit a model to an image set read it.
    """

    help: str
    flags: tuple[str, ...] = ()
    only_python: bool = False
    panel: str = ""
    first: bool = False
    choices: Iterable[Any] = ()
    least: float | None = None
    above: float | None = None
    below: float | None = None
    label: str = ""
    typed: Typed | None = None
    metavar: str | None = None
    setting: str = ""
    identity: str = ""
    text: Callable[[Any], str] | None = None
    fitted: bool = False

    def check(self, value: Any, label: str) -> None:
        """Raise ``UsageError`` unless the value is permitted."""
        choices = tuple(self.choices)
        if choices and value not in choices:
            raise UsageError(f"{label} must be one of {', '.join(map(str, choices))}, not {value!r}")
        least, above, below = self.least, self.above, self.below
        if least is None and above is None:
            return
        low, inside = (f"above {above:g}", value > above) if least is None else (f"at least {least:g}", value >= least)
        if below is not None:
            low = f"from {least:g} to below {below:g}" if above is None else f"{low} and below {below:g}"
        if not inside or not value < (math.inf if below is None else below):
            raise UsageError(f"{label} must be {low}, not {value}")


def option(default: Any, help: str, *flags: str, **rest: Any) -> Any:
    """A field of an ``Options`` class; ``default`` may be a function that makes it, ``rest`` is as in ``Option``."""
    metadata = {"option": Option(help=help, flags=flags, **rest)}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def same_as(cls: "type[Options]", name: str) -> Any:
    """A field as in another class."""
    field = next(field for field in dataclasses.fields(cls) if field.name == name)  # type: ignore[arg-type]
    return dataclasses.field(default=field.default, metadata={"option": option_of(field)})


class Options:
    """Base of the options' classes: checks each value, and lists the settings that a result depends on."""

    def __init_subclass__(cls) -> None:
        own = {name: one for name, field in vars(cls).items() if (one := option_of(field)) is not None}
        lines = [f"    {name}: {one.help}" for name, one in own.items()]
        if lines:
            cls.__doc__ = "\n".join([f"{cls.__doc__}\n", "Attributes:", *lines])

    def __post_init__(self) -> None:
        for name, one in options_of(type(self)).items():
            value = getattr(self, name)
            if value is not None:
                one.check(value, one.label or name.replace("_", " "))

    def settings(self, *, fitted: bool = True) -> dict[str, str]:
        """The options that the result depends on, for people: text by name, empty texts left out.

        Args:
            fitted: whether the method fits a model to an image set.
        """
        return {
            one.setting: text
            for name, one in options_of(type(self)).items()
            if one.setting and (fitted or not one.fitted) and (text := _text(one, getattr(self, name)))
        }

    def identity(self, **chosen: Any) -> dict[str, str]:
        """What the bytes of a run depend on beside ``settings``.

        Args:
            **chosen: values by field, where the run has chosen one.
        """
        return {
            f"{one.identity} ({flags_of(name, one)[0]})": _text(one, chosen.get(name, getattr(self, name)))
            for name, one in options_of(type(self)).items()
            if one.identity
        }

    def fingerprint(self) -> dict[str, Any]:
        """The options that the result depends on as plain values, by field."""
        return {
            name: list(value) if isinstance(value := getattr(self, name), tuple) else value
            for name, one in options_of(type(self)).items()
            if one.setting
        }


def options_of(cls: type[Options]) -> dict[str, Option]:
    """The options of a class by the names of their fields."""
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    return {field.name: one for field in fields if (one := option_of(field)) is not None}


def fitted_only(cls: type[Options]) -> set[str]:
    """The fields that only methods with a fit read."""
    return {name for name, one in options_of(cls).items() if one.fitted}


def flags_of(name: str, one: Option) -> tuple[str, ...]:
    """The flags of an option by its field's name."""
    return one.flags or (f"--{name.replace('_', '-')}",)


def option_of(field: Any) -> Any:
    """The option of a dataclass's field, with the choices of a ``Literal``; ``None`` for anything else."""
    one = field.metadata.get("option") if isinstance(field, dataclasses.Field) else None
    return dataclasses.replace(one, choices=get_args(field.type)) if one and get_origin(field.type) is Literal else one


def _text(one: Option, value: Any) -> str:
    if one.text is not None:
        return one.text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
