"""A page of checkout images: each with a box round every item and the number of items of each kind.

It is one HTML file without network access. It shows at most a given number of images; the figures are of all.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxloc.report import elements
from jaxloc.report.records import Skipped
from jaxloc.report.text import counted

_ROWS = 1000
_READING = [
    "<b>Boxes</b> have the colour of their kind, which the list beside an enlarged image names. Point at a box for its "
    "kind.",
    "<b>Keys</b>: B switches the boxes; Enter enlarges the image, arrow keys go to the next one.",
]


class Item(NamedTuple):
    """One item: its kind, its box in pixels, and the score of a prediction."""

    kind: str
    box: tuple[float, float, float, float]
    score: float | None = None


class CountedImage(NamedTuple):
    """One image and its items; its level of clutter, if it has one."""

    name: str
    width: int
    height: int
    items: tuple[Item, ...]
    level: str | None = None


@dataclasses.dataclass(frozen=True)
class Counted:
    """What the page shows.

    Attributes:
        images: all of them; the figures are of these.
        shown: numbers of those with a card, in order.
        skipped: images that could not be used.
        lead: a line under the heading, after the numbers.
    """

    title: str
    settings: Mapping[str, str]
    images: Sequence[CountedImage]
    shown: Sequence[int]
    thumbnails: Mapping[int, bytes]
    skipped: Sequence[Skipped] = ()
    lead: str = ""


def render_counted(page: Counted) -> str:
    """The page's text."""
    of_images = [Counter(one.kind for one in image.items) for image in page.images]
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
            images=(_image(page.images[number], numbers, page.thumbnails.get(number)) for number in page.shown),
        ),
    )


def _image(image: CountedImage, kinds: Mapping[str, int], thumbnail: bytes | None) -> dict[str, Any]:
    return {
        "name": image.name,
        "level": image.level,
        "width": image.width,
        "height": image.height,
        "items": [
            [kinds[kind], *(elements.edges(box) or ()), *([] if score is None else [elements.number(score)])]
            for kind, box, score in image.items
        ],
        "thumbnail": elements.base64_text(thumbnail),
    }
