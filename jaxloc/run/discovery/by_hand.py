"""Groups by hand: names, merged and divided groups, read from a file that the page of groups hands out."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxloc._files import write_bytes
from jaxloc.errors import UsageError
from jaxloc.report.groups import FORMAT
from jaxloc.report.text import some_of
from jaxloc.run import decision_file

PAGE = "groups.html"
BEFORE = "groups-before.json"
"""Beside ``groups.json``: groups by hand of an earlier run that this one was not given."""


@dataclasses.dataclass(frozen=True)
class GroupsByHand:
    """What a person made of the groups that were found.

    Attributes:
        renamed: the new name of a group that was found; two groups of one name are merged.
        moved: the group of an image, whatever becomes of its own.
    """

    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    moved: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def group(self, name: str, found: str) -> str:
        """The group of an image, given the one that was found for it."""
        return self.moved.get(name, self.renamed.get(found, found))

    def check(self, path: str, found: Mapping[str, str]) -> None:
        """Raise ``UsageError`` if a decision of the file is about an image or a group that was not ``found``."""
        known = set(found.values())
        for what, unknown in (("image", self.moved.keys() - found.keys()), ("group", self.renamed.keys() - known)):
            if unknown:
                names = some_of(sorted(unknown))
                raise UsageError(
                    f"{path}: decides on {what}{'s' if len(unknown) > 1 else ''} {names}, not in this pile"
                )


def read_groups(path: str | os.PathLike[str], images: Mapping[str, Any], grouping: str) -> GroupsByHand:
    """What a file says of groups: a download of ``groups.html``, or a whole ``groups.json`` that was edited.

    ``images`` and ``grouping`` are the number and the digests that it must be about.
    """
    content = decision_file.read(path, "name", "group", format=FORMAT, page=PAGE)
    decision_file.check_images(path, content["images"], images)
    decision_file.check_keys(path, content, "", "grouping", "groups", cure=f"download it again from {PAGE}")
    if content["grouping"] != grouping:
        raise UsageError(
            f"{path}: about other groups than are found now: give the options that {PAGE} was made with, or decide on "
            "a new page"
        )
    if not isinstance(content["groups"], list):
        raise UsageError(f"{path}: a damaged file of decisions: 'groups' is no list: download it again from {PAGE}")
    for number, entry in enumerate(content["groups"], 1):
        where = f" in group {number:,}"
        decision_file.check_keys(path, entry, where, "group", "name", cure=f"download it again from {PAGE}")
    renamed = _once(path, ((entry["group"], entry["name"]) for entry in content["groups"]))
    moved = _once(path, ((entry["name"], entry["group"]) for entry in content["decisions"]))
    return GroupsByHand(renamed, moved)


def _once(path: str | os.PathLike[str], pairs: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, name in pairs:
        if not isinstance(key, str) or not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise UsageError(f"{path}: {key!r} is put into {name!r}, and a group's name must be text on one line")
        if key in found:
            raise UsageError(f"{path}: decides twice on {key}")
        found[key] = name.strip()
    return found


def set_aside(folder: Path) -> list[str]:
    """Keep groups by hand of the last run, which this run was not given, before it writes its own.

    Returns:
        a list with a warning if there are such groups.
    """
    last, before = folder / "groups.json", folder / BEFORE
    try:
        content = json.loads(last.read_text(encoding="utf-8"))
        changed = sum(entry["group"] != entry["found_group"] for entry in content["decisions"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{last}: damaged ({error}): move it away and run the same again") from error
    if changed:
        write_bytes(before, last.read_bytes())
    elif not before.exists():
        return []
    told = f"groups by hand of an earlier run are not applied; they are in {before}"
    return [f"{told}: give it with --decisions"]
