"""A page of checkout images: each with a box round every item and the number of items of each kind.

It is one HTML file without network access. It shows at most a given number of images; the figures are of all.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jaxloc.data.annotations import Annotated
from jaxloc.report import elements
from jaxloc.report.records import Skipped
from jaxloc.report.text import counted

_ROWS = 1000
_READING = [
    "<b>Boxes</b> have the colour of their kind, which the list beside an enlarged image names. Point at a box for its "
    "kind.",
    "<b>Keys</b>: B switches the boxes; Enter enlarges the image, arrow keys go to the next one.",
]


@dataclasses.dataclass(frozen=True)
class Counted:
    """What the page shows.

    Attributes:
        images: all of them; the figures are of these.
        shown: numbers of those with a card, in order.
        skipped: images that could not be used.
        lead: a line under the heading, after the numbers.
        scored: whether boxes are predictions, whose scores are shown.
    """

    title: str
    settings: Mapping[str, str]
    images: Sequence[Annotated]
    shown: Sequence[int]
    thumbnails: Mapping[int, bytes]
    skipped: Sequence[Skipped] = ()
    lead: str = ""
    scored: bool = False


def render_counted(page: Counted) -> str:
    """The page's text."""
    of_images = [Counter(one.category for one in image.annotations) for image in page.images]
    items = Counter[str]()
    there = Counter[str]()
    for counts in of_images:
        items.update(counts)
        there.update(counts.keys())
    kinds = sorted(items)
    numbers = {kind: number for number, kind in enumerate(kinds)}
    levels = list(dict.fromkeys(level for number in page.shown if (level := page.images[number].level)))
    rows = [
        elements.group_row(number, kind, (f"{items[kind]:,}", f"{there[kind]:,}")) for number, kind in enumerate(kinds)
    ]
    return elements.page(
        "counted",
        title=page.title,
        lead=f"{counted(items.total(), 'item')} of {counted(len(kinds), 'kind')} in "
        f"{counted(len(page.images), 'image')}. {page.lead}".strip(),
        warnings=[],
        tiles={
            "Images": f"{len(page.images):,}",
            "Items": f"{items.total():,}",
            "Items an image": f"{items.total() / max(1, len(page.images)):.1f}",
            "Kinds": f"{len(kinds):,}",
            "Skipped": f"{len(page.skipped):,}",
        },
        tables=elements.details("Kinds", "groups", ["Kind", "Items", "Images with it"], rows)
        + "\n"
        + elements.settings(page.settings),
        noscript="The images need JavaScript; the files of annotations beside this page hold the same.",
        limit_note=elements.limit_note(len(page.shown), len(page.images), "image", "; the annotations hold all."),
        tabs="".join(
            f'<label><input type="radio" name="show" value="{level}"><span>{level.capitalize()} <b></b></span></label>'
            for level in map(elements.escape, levels)
        ),
        toggles=elements.toggle("box", "Boxes", key="b", checked=True),
        skipped=elements.skipped(page.skipped, sorted({one.category for one in page.skipped}), limit=_ROWS, rest="."),
        reading=_READING,
        data=elements.safe_json(
            sets=kinds,
            levels=["all", *levels],
            images=(_image(page, number, numbers) for number in page.shown),
        ),
    )


def _image(page: Counted, number: int, kinds: Mapping[str, int]) -> dict[str, Any]:
    image = page.images[number]
    return {
        "name": image.name,
        "level": image.level,
        "width": image.width,
        "height": image.height,
        "items": [
            [kinds[one.category], *(elements.edges(one.box) or ()), *([elements.number(one.score)] * page.scored)]
            for one in image.annotations
        ],
        "thumbnail": elements.base64_text(page.thumbnails.get(number)),
    }
