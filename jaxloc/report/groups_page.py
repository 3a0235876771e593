"""A page with a strip of images for each group, to rename, merge and divide groups, and to download what was decided.

It is one HTML file without network access. The download has the format of ``groups.json``: what each group that was
found is called, and which images were moved one by one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxloc.report import elements
from jaxloc.report.groups import FORMAT, UNGROUPED, Groups, Member
from jaxloc.report.records import Skipped
from jaxloc.report.text import counted

_ROWS = 1000
"""Rows of the table of unusable images at most."""
_LEAST_TYPICAL = 4
"""Of a group that is not shown whole, a quarter of the images shown are the least typical ones."""
_READING = [
    "<b>Groups</b> are images of one kind, as far as the network's descriptors tell; the most typical image comes "
    "first, the least typical last. <b>Typical</b>: mean cosine of the image's descriptor with the others of its "
    "group.",
    "<b>Box</b>: what the images of the group share. Boxes are found anew when your groups are applied.",
    "<b>Ungrouped</b>: images unlike any other, and those of groups that are too small; their boxes come from a model "
    "of the whole pile.",
    "<b>Rename</b> a group in its heading; a name that another group has merges the two. <b>Divide</b> a group: choose "
    "images, and move them to a new name. Images that are not shown stay with their group.",
    "<b>Keys</b>: S chooses the image, M moves what is chosen, U takes the last change back; arrow keys go to the next "
    "image, Enter enlarges it. What you change stays in this window until you download it; then run "
    "<code>jaxloc discover … --decisions groups-by-hand.json</code>.",
]


def choose_shown(groups: Groups, limit: int) -> list[int]:
    """The numbers of the members to show, in order: as many of each group, its most typical and its least typical."""
    usable: dict[str, list[int]] = {}
    for number, member in enumerate(groups.members):
        if not member.reason:
            usable.setdefault(member.group, []).append(number)
    shown: list[int] = []
    waiting = sorted(usable.values(), key=len)
    for place, numbers in enumerate(waiting):
        share = (limit - len(shown)) // (len(waiting) - place)
        last = share // _LEAST_TYPICAL if share < len(numbers) else 0
        shown += [*numbers[: share - last], *numbers[len(numbers) - last :]]
    return sorted(shown)


def render_groups(groups: Groups, shown: Sequence[int], thumbnails: Mapping[int, bytes]) -> str:
    """The page's text; ``shown`` holds numbers from ``choose_shown``, ``thumbnails`` JPEGs by such a number."""
    members, by_name = groups.members, groups.by_name()
    usable = sum(not member.reason for member in members)
    unusable = [Skipped(member.name, "", member.reason) for member in members if member.reason]
    ungrouped = len(by_name.get(UNGROUPED, ())) - len(unusable)
    number = len(by_name.keys() - {UNGROUPED})
    by_hand = sum(member.group != member.found_group for member in members)
    return elements.page(
        "strips",
        title="Groups of the pile",
        lead=" ".join([f"{counted(usable, 'image')} in {counted(number, 'group')}.", *groups.notes]),
        warnings=groups.warnings,
        tiles={
            "Images": f"{usable:,}",
            "Groups": f"{number:,}",
            "Ungrouped": f"{ungrouped:,}",
            "Skipped": f"{len(unusable):,}",
            "Changed by hand": f"{by_hand:,}",
        },
        tables=elements.settings(groups.settings),
        noscript="The strips need JavaScript. groups.json, beside this page, holds the group of every image; edit it "
        "and give it to jaxloc discover --decisions.",
        limit_note=elements.limit_note(
            len(shown), usable, "image", ", of each group the most and the least typical; groups.csv holds all."
        ),
        toggles=elements.toggle("box", "Box", key="b", checked=True),
        skipped=elements.skipped(unusable, [""], limit=_ROWS, rest="; groups.csv holds all."),
        reading=_READING,
        data=_data(groups, shown, thumbnails),
    )


def _data(groups: Groups, shown: Sequence[int], thumbnails: Mapping[int, bytes]) -> str:
    """Data of strips.js, including the header of a file of groups.

    ``hidden`` are the images that are not shown, as numbers by group, and those among them that were moved.
    """
    found = sorted({member.found_group for member in groups.members})
    numbers = {name: number for number, name in enumerate(found)}
    seen = set(shown)
    rest = [member for number, member in enumerate(groups.members) if number not in seen and not member.reason]
    moved = [member for member in rest if member.group != groups.named(member.found_group)]
    left = [0] * len(found)
    for member in rest:
        left[numbers[member.found_group]] += member.group == groups.named(member.found_group)
    return elements.safe_json(
        file=[{"format": FORMAT, "images": dict(groups.images), "grouping": groups.grouping}],
        ungrouped=[UNGROUPED],
        sets=found,
        names=map(groups.named, found),
        left=left,
        hidden=({"name": member.name, "group": member.group} for member in moved),
        images=(_image(groups, groups.members[number], numbers, thumbnails.get(number)) for number in shown),
    )


def _image(groups: Groups, member: Member, numbers: Mapping[str, int], thumbnail: bytes | None) -> dict[str, Any]:
    return {
        "name": member.name,
        "key": member.name,
        "set": numbers[member.found_group],
        "moved": None if member.group == groups.named(member.found_group) else member.group,
        "width": member.width,
        "height": member.height,
        "box": elements.edges(member.box),
        "score": elements.number(member.score),
        "typical": elements.number(member.typical),
        "repeats": member.repeats,
        "thumbnail": elements.base64_text(thumbnail),
    }
