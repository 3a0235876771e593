"""A command made of a function and options classes."""

import dataclasses
import math
from typing import Annotated, Any, Literal

import typer
from typer.testing import CliRunner

from jaxloc.cli.command import MORE, Fields, command, has_more
from jaxloc.errors import UsageError
from jaxloc.options import Options
from jaxloc.options.option import Typed, option


def _grams(value: float, one: Any) -> int:
    if not math.isfinite(value):
        raise UsageError(f"{one.label} must be a weight in kg")
    return int(1000 * value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cake(Options):
    """A cake."""

    kind: str = option("plum", "What kind.", "--kind", "-k", choices={"plum": 1, "nut": 2}, first=True)
    shape: Literal["round", "square"] = option("round", "Which shape.", panel="Looks")
    weight: int = option(500, "Weight in kg.", label="the weight", typed=Typed(float, 0.5, _grams))
    layers: tuple[str, ...] = option((), "A layer; repeatable.", "--layer")
    iced: bool | None = option(None, "Ice it.")
    warm: bool = option(True, "Serve it warm or cold.", "--warm/--cold")
    oven: int = option(180, "Degrees.", least=100, only_python=True)
    guests: int | None = option(None, "How many.", least=1)


CALLS: list[dict[str, Any]] = []


@command
def bake(name: Annotated[str, typer.Argument(help="Whose.")], cake: Cake) -> None:
    """Bake."""
    CALLS.append({"name": name, "cake": cake})


@command
def change(given: Annotated[dict[str, Any], Fields(given=Cake, leave_out={"layers"})]) -> None:
    """Change."""
    CALLS.append(given)


@command
def slice_(cake: Annotated[Cake, Fields(only={"kind"})]) -> None:
    """Slice."""
    CALLS.append({"cake": cake})


def run(function: Any, *arguments: str) -> tuple[int, str, str]:
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown")
    app.command(epilog=MORE if has_more(function) else None)(function)
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "150", "TERM": "dumb"})
    return result.exit_code, result.stdout, result.stderr


def test_each_field_is_a_flag_and_the_class_arrives_whole():
    given = "ann -k nut --shape square --weight 1.5 --layer jam --layer cream --iced --cold --guests 3"
    assert run(bake, *given.split())[0] == 0
    cake = Cake(kind="nut", shape="square", weight=1500, layers=("jam", "cream"), iced=True, warm=False, guests=3)
    assert CALLS.pop() == {"name": "ann", "cake": cake}
    assert run(bake, "ann")[0] == 0
    assert CALLS.pop() == {"name": "ann", "cake": Cake()}


def test_only_what_was_given_arrives_where_that_is_asked():
    assert run(change)[0] == 0
    assert CALLS.pop() == {}
    assert run(change, "--warm", "--weight", "0.5")[0] == 0
    assert CALLS.pop() == {"warm": True, "weight": 500}
    assert "[default: plum]" in run(change, "--help")[1]


def test_a_command_may_take_some_fields():
    assert run(slice_, "--kind", "nut")[0] == 0
    assert CALLS.pop() == {"cake": Cake(kind="nut")}
    assert run(slice_, "--shape", "square")[0] == 2
    assert run(change, "--layer", "jam")[0] == 2


def test_wrong_values_end_with_2_and_are_named():
    assert run(bake, "ann", "--guests", "0") == (2, "", "jaxloc: guests must be at least 1, not 0\n")
    assert run(bake, "ann", "--weight", "nan") == (2, "", "jaxloc: the weight must be a weight in kg\n")
    for arguments in (["--kind", "sponge"], ["--shape", "oval"], ["--guests", "many"], ["--oven", "200"]):
        assert run(bake, "ann", *arguments)[0] == 2
    assert CALLS == []


def test_help_of_many_options_shows_the_first_and_help_all_the_others(monkeypatch):
    assert not has_more(bake)
    monkeypatch.setattr("jaxloc.cli.command._FEW", 3)
    many = command(bake.__wrapped__.__wrapped__)
    short, long = run(many, "--help")[1], run(many, "--help-all")[1]
    assert "--kind" in short
    assert "--shape" not in short
    assert "More options: --help-all" in short
    assert "--shape" in long
    assert "Looks" in long
    assert "More options" not in long
