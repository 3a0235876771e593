"""The page of counted images: what it tells, and that it is safe."""

import numpy as np

from jaxloc.report.counted_page import Counted, CountedImage, Item, render_counted
from jaxloc.report.overlays import make_thumbnail
from jaxloc.report.records import Skipped
from tests.report.parsed import Page

THUMBNAIL = make_thumbnail(np.full((48, 64, 3), 90, np.uint8))
BOX = (10.0, 10.0, 50.0, 50.0)


def image(name: str, *kinds: str, score: float | None = None, level: str | None = None) -> CountedImage:
    return CountedImage(name, 100, 80, tuple(Item(kind, BOX, score) for kind in kinds), level)


def page(*images: CountedImage, shown: int = 10, **more) -> str:
    numbers = range(min(shown, len(images)))
    return render_counted(Counted("Counted", {"seed": "0"}, images, numbers, dict.fromkeys(numbers, THUMBNAIL), **more))


def test_figures_are_of_all_images_and_cards_of_those_shown():
    some = [image("a.jpg", "tea", "tea", "milk", level="easy"), image("b.jpg", "milk", level="hard"), image("c.jpg")]
    read = Page(page(*some, shown=2, skipped=[Skipped("d.jpg", "tea", "damaged: it ends early")]))
    tiles = [read.tile(name) for name in ("Images", "Items", "Items an image", "Kinds", "Skipped")]
    assert tiles == ["3", "4", "1", "2", "1"]
    assert read.row("milk") == ["milk", "2", "2"]
    assert read.row("tea") == ["tea", "2", "1"]
    assert read.row("d.jpg") == ["d.jpg", "tea", "damaged: it ends early"]
    assert "Showing 2 of 3 images" in page(*some, shown=2)
    assert 'value="hard"' in page(*some)
    assert 'value="hard"' not in page(some[0])
