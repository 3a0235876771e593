"""Options of ``discover``."""

import dataclasses
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.options.clean import CleanOptions
from jaxloc.options.localize import LocalizeOptions
from jaxloc.options.network import OUTPUT
from jaxloc.options.option import Option, Options, Typed, option, same_as

AUTO: Literal["auto"] = "auto"
_GROUPING = "How images are grouped"


def _groups(text: str, one: Option) -> int | str:
    if text != AUTO and not (text.isdecimal() and int(text)):
        raise UsageError(f"--groups must be a number of groups, such as 9, or {AUTO}, not {text!r}")
    return AUTO if text == AUTO else int(text)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscoverOptions(Options):
    """How a pile of images becomes groups.

    ``job`` is how the object of each group is found.
    """

    groups: int | Literal["auto"] = option(
        AUTO,
        "Number of groups; auto finds it, as communities of the graph of nearest neighbours.",
        typed=Typed(str, "auto", _groups),
        panel=_GROUPING,
        setting="groups",
        first=True,
    )
    min_group: int = option(
        5,
        "Smallest group. Images of smaller ones, and images unlike any other, stay ungrouped.",
        least=2,
        label="the smallest group",
        panel=_GROUPING,
        setting="smallest group",
        first=True,
    )
    neighbors: int = option(
        15,
        "Nearest neighbours of each image in the graph; two images are joined if each is among the other's.",
        least=1,
        panel=_GROUPING,
        setting="neighbours",
    )
    resolution: float = option(
        1.0, "More makes more, smaller groups.", above=0, panel=_GROUPING, setting="resolution", first=True
    )
    duplicates: int | None = same_as(CleanOptions, "duplicates")
    seed: int = option(0, "Decides the order in which the graph is searched.", least=0, panel=_GROUPING, setting="seed")
    view: Literal["link", "copy", "none"] = option(
        "link",
        "How images get into OUT/groups, a folder for each group: hard links (no space, but changing one there changes "
        "your original), copies, or none.",
        panel=OUTPUT,
        first=True,
    )
    page_limit: int = option(
        2000,
        "Maximum number of images in groups.html, as many of each group.",
        least=0,
        panel=OUTPUT,
        label="the page limit",
    )
    job: LocalizeOptions = dataclasses.field(default_factory=LocalizeOptions)
