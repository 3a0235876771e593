"""The command reference says of every command what the command itself takes."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

import jaxloc.cli


class Colour(StrEnum):
    red = "red"
    blue = "blue"


def paint(
    files: Annotated[list[Path], typer.Argument(help="What to paint.")],
    colour: Annotated[Colour, typer.Option("--colour", "-c", help="Which | one.")] = Colour.red,
    coats: Annotated[int | None, typer.Option(help="How many.", rich_help_panel="Work")] = None,
    kind: Annotated[Literal["oil", "chalk"], typer.Option("--kind")] = "oil",
    names: Annotated[list[str] | None, typer.Option("--name")] = None,
    quick: Annotated[bool, typer.Option("--quick/--slow", help="Hurry.")] = False,
    base: Annotated[float, typer.Option("--base")] = ...,
) -> None:
    """Paint files.

    Example: `jaxloc paint a b`
    """


def app_with(command) -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app


def test_arguments_and_options_are_told_with_names_values_and_defaults(extension):
    found = {one.names[0]: one for one in extension("command_pages").parameters(paint)}
    assert found["FILES..."] == (("FILES...",), "Arguments", "path", "required", "What to paint.", False)
    assert found["--colour"] == (("--colour", "-c"), "Options", "`red`, `blue`", "`red`", r"Which \| one.", True)
    assert found["--coats"] == (("--coats",), "Work", "whole number", "", "How many.", True)
    assert found["--kind"].values == "`oil`, `chalk`"
    assert found["--name"].values == "text, may be repeated"
    assert found["--quick/--slow"].values == "flag"


def test_commands_of_groups_are_called_by_their_full_names(extension):
    app = app_with(paint)
    group = typer.Typer()
    group.command("mix-colours")(paint)
    app.add_typer(group, name="tools")
    assert list(extension("command_pages").functions(app, "jaxloc")) == ["jaxloc paint", "jaxloc tools mix-colours"]


def test_a_parameter_without_a_typer_annotation_is_named(extension):
    def bare(name: str) -> None: ...

    with pytest.raises(TypeError, match="name: str of a command must be Annotated"):
        extension("command_pages").parameters(bare)


def test_every_command_has_its_section_with_every_option_of_its_help(extension):
    pages = extension("command_pages")
    sections = dict(part.split("\n", 1) for part in ("\n" + pages.markdown()).split("\n## ")[1:])
    assert sections.keys() == pages.commands().keys()
    for path, section in sections.items():
        names = path.split()[1:]
        if names == ["weights", "convert"]:
            continue
        for all_or_some in ("--help-all", "--help"):
            result = CliRunner().invoke(jaxloc.cli.app, [*names, all_or_some], env={"COLUMNS": "400", "NO_COLOR": "1"})
            if result.exit_code == 0:
                break
        assert result.exit_code == 0, path
        told = {word for word in re.split(r"[\s│,]+", result.output) if word.startswith("--")}
        options = {word for word in told if word.lstrip("-") and word not in ("--help", "--help-all")}
        missing = {word for word in options if word.split("/")[0] not in section}
        assert not missing, path


def test_the_page_keeps_the_mark_where_commands_are_put(docs, extension):
    pages = extension("command_pages")
    assert pages.MARK in (docs / f"{pages.PAGE}.md").read_text()
