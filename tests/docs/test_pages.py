"""The pages name modules, commands and options that exist, and every public module."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def documented_modules() -> set[str]:
    text = "".join(path.read_text() for path in (DOCS / "api").glob("*.rst"))
    return set(re.findall(r"^\.\. automodule:: (\S+)", text, re.MULTILINE))


def readme_modules() -> set[str]:
    """Modules named in the first column of the README's table."""
    rows = (DOCS.parent / "README.md").read_text().partition("| module |")[2].partition("\n\n")[0].splitlines()[2:]
    names = {name for row in rows for name in re.findall(r"`([\w.]+)`", row.split("|")[1])}
    return {name if name.startswith(("jaxloc", "weights_convert")) else f"jaxloc.{name}" for name in names}


def commands_in(text: str) -> list[str]:
    """What follows ``jaxloc`` in code, up to a comment or the end of the code."""
    text = text.replace("\\\n", " ")
    blocks = re.findall(r"^ *```(?:sh|console)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    found = [re.search(r"(?:^|[ '/])jaxloc ((?!,)[a-z].*)", line.partition(" #")[0]) for line in lines]
    return [match[1].rstrip("'") for match in found if match]


def test_every_public_module_is_on_a_page_of_the_reference(extension):
    assert set(extension("public_names").public_modules()) <= documented_modules()


def test_every_module_on_the_pages_exists(extension):
    names = extension("public_names")
    for module in documented_modules():
        names.public_names(module)


def test_the_readme_names_the_modules_that_the_reference_has(extension):
    modules = {name for name in extension("public_names").public_modules() if name.count(".") <= 1}
    assert readme_modules() - documented_modules() == set()
    assert modules - readme_modules() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_commands_on_the_pages_exist_with_their_options(page, extension):
    pages = extension("command_pages")
    known = {path: {name for one in pages.parameters(f) for name in one.names} for path, f in pages.commands().items()}
    for written in commands_in(page.read_text()):
        words = written.replace("'", " ").split()
        if words[0] in ("COMMAND", "--version"):
            continue
        path = next((p for n in (2, 1) if (p := " ".join(["jaxloc", *words[:n]])) in known), None)
        assert path is not None, f"jaxloc {written}"
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        flags = {half for name in known[path] for half in name.split("/")} | {"--help"}
        assert options <= flags, f"jaxloc {written}"


def test_pages_are_built_from_what_is_in_the_repository():
    for path in [*PAGES, DOCS / "examples.py"]:
        for source in re.findall(r"\{(?:literal)?include\} (\S+)", path.read_text()):
            assert (path.parent / source).resolve().is_file(), f"{path.name}: {source}"
