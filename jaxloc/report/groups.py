"""The groups of a pile of images: the input of ``groups.json``, ``groups.csv`` and the page of groups."""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxloc._files import write_parts, write_text
from jaxloc.report.text import json_lists

FORMAT = "jaxloc-groups-1"
"""What a file of groups says of itself: the whole one, and the changes that the page hands out."""

UNGROUPED = "ungrouped"
"""The images that are unlike any other, or of groups that are too small."""


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One image of the pile.

    Attributes:
        name: path relative to what the user pointed at, with forward slashes.
        group: its group, ``UNGROUPED`` if it has none.
        found_group: the group that was found for it, before decisions by hand.
        typical: mean cosine of its descriptor with those of its group's other images; 0 if there are none.
        width: of the image as displayed, in pixels; 0 if it could not be used.
        height: likewise.
        box: ``x0, y0, x1, y1`` in pixels, half-open; ``None`` where nothing was found.
        score: in [0, 1), how far the object stands out.
        repeats: the image that it nearly repeats, whose group it shares.
        reason: why it could not be used; empty if it could.
    """

    name: str
    group: str
    found_group: str
    typical: float
    width: int = 0
    height: int = 0
    box: tuple[float, float, float, float] | None = None
    score: float = 0.0
    repeats: str | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Groups:
    """The groups of a whole pile.

    Attributes:
        images: number of the images, and a digest of their names and sizes in bytes.
        grouping: digest of the groups that were found; decisions by hand are about these.
        settings: what the groups depend on, printable, in a fixed order.
        members: every image, group after group, the largest first and ``UNGROUPED`` last; in a group the most typical
            image first.
        renamed: by the name of a group that was found, what it is called by hand.
        notes: what is to be said of the groups.
    """

    images: Mapping[str, Any]
    grouping: str
    settings: Mapping[str, str]
    members: Sequence[Member]
    renamed: Mapping[str, str]
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def by_name(self) -> dict[str, list[Member]]:
        """The images of each group, in the order of ``members``."""
        groups: dict[str, list[Member]] = {}
        for member in self.members:
            groups.setdefault(member.group, []).append(member)
        return groups

    def named(self, found_group: str) -> str:
        """What the images of a group that was found are called, unless they were moved one by one."""
        return self.renamed.get(found_group, found_group)


def write(folder: str | os.PathLike[str], groups: Groups) -> None:
    """Write ``groups.json`` and ``groups.csv``: the same bytes for the same groups, a line for each image."""
    write_parts(os.path.join(folder, "groups.json"), _parts(groups))
    table = io.StringIO()
    lines = csv.writer(table, lineterminator="\n")
    lines.writerow(["image", "group", "typical", "x0", "y0", "x1", "y1", "score"])
    for one in groups.members:
        box = [round(edge, 2) for edge in one.box] if one.box else [""] * 4
        lines.writerow([one.name, one.group, f"{one.typical:.4f}", *box, f"{one.score:.4f}" if one.box else ""])
    write_text(os.path.join(folder, "groups.csv"), table.getvalue())


def _parts(groups: Groups) -> Iterator[str]:
    head = {
        "format": FORMAT,
        "images": dict(groups.images),
        "grouping": groups.grouping,
        "settings": dict(groups.settings),
        "notes": list(groups.notes),
        "warnings": list(groups.warnings),
    }
    yield json.dumps(head, indent=1).removesuffix("\n}") + ","
    renamed = ({"group": group, "name": name} for group, name in groups.renamed.items())
    yield from json_lists({"groups": renamed, "decisions": map(_entry, groups.members)})


def _entry(member: Member) -> dict[str, Any]:
    return dataclasses.asdict(member)
