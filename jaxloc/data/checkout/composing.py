"""Paste products onto a canvas, as many as a level asks for, so that at least a half of each stays visible."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from jaxloc.data.annotations import Annotation, Rle
from jaxloc.data.checkout.levels import Level

VISIBLE = 0.5
"""Share of its pixels that each item keeps."""
_PLACES, _DRAWS, _SHRUNK = 100, 8, 0.92
"""Tries to place an item, and to fill a canvas; size of the products at each further one."""
_SHADOW = 0.012
"""Standard deviation of a shadow's edge, as a share of the canvas's side."""


class NoRoomError(Exception):
    """The items do not fit on the canvas."""


class Canvas:
    """An image that items are pasted onto.

    Attributes:
        pixels: float32 ``[h, w, 3]`` in [0, 1].
        owner: int ``[h, w]``, the number of the item that is seen in each pixel; -1 for none.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels.astype(np.float32) / 255
        self.owner = np.full(pixels.shape[:2], -1)
        self._whole = np.zeros(0, np.int64)  # pixels of each item, and how many of them are seen
        self._seen = np.zeros(0, np.int64)

    def paste(self, item: Image.Image, left: int, top: int, shadow: tuple[float, float, float] | None = None) -> bool:
        """Paste an item unless too little of an earlier one would stay visible; whether it was pasted.

        Args:
            item: RGBa (premultiplied), all of which lies on the canvas.
            left: column of its left edge.
            top: row of its upper edge.
            shadow: how far the light moves it to the right and down, in pixels, and how dark it is; ``None`` draws
                none.
        """
        window = np.s_[top : top + item.height, left : left + item.width]
        values = np.asarray(item, np.float32) / 255
        solid = values[..., 3] > 0.5
        seen = self._seen - np.bincount(self.owner[window][solid] + 1, minlength=len(self._whole) + 1)[1:]
        if (seen < VISIBLE * self._whole).any():
            return False
        if shadow is not None:
            self._darken(values[..., 3], left, top, *shadow)
        # Premultiplied: what lies below shows in proportion, and no colour of transparent pixels counts.
        self.pixels[window] = values[..., :3] + (1 - values[..., 3:]) * self.pixels[window]
        self.owner[window][solid] = len(self._whole)
        self._whole, self._seen = (np.append(counts, solid.sum()) for counts in (self._whole, seen))
        return True

    def _darken(self, alpha: np.ndarray, left: int, top: int, right: float, down: float, strength: float) -> None:
        sigma = max(1.0, _SHADOW * max(self.pixels.shape))
        margin = math.ceil(3 * sigma + max(abs(right), abs(down)))
        cast = ndimage.gaussian_filter(np.pad(alpha, margin), sigma)
        cast = ndimage.shift(cast, (down, right), order=1)
        rows, columns, _ = self.pixels.shape
        y0, x0 = top - margin, left - margin
        seen = np.s_[max(0, -y0) : rows - y0, max(0, -x0) : columns - x0]
        cast = cast[seen]
        window = np.s_[max(0, y0) : max(0, y0) + cast.shape[0], max(0, x0) : max(0, x0) + cast.shape[1]]
        self.pixels[window] *= 1 - strength * cast[..., None]

    def objects(self, categories: Sequence[str]) -> tuple[Annotation, ...]:
        """The items with masks of their visible pixels and boxes tight round them, given the category of each."""
        found = []
        for number, category in enumerate(categories):
            mask = self.owner == number
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
            found.append(Annotation(category, box, mask=Rle.of(mask)))
        return tuple(found)


class Composed(NamedTuple):
    """A composed image: uint8 ``[h, w, 3]``, and its objects in the order they were pasted."""

    pixels: np.ndarray
    objects: tuple[Annotation, ...]


def place(product: Image.Image, longer_side: float, angle: float) -> Image.Image:
    """A product resized and turned: RGBa, premultiplied, cropped to what it shows.

    Args:
        product: RGBA.
        longer_side: in pixels, of the product before it is turned.
        angle: in degrees, anti-clockwise.
    """
    scale = longer_side / max(product.size)
    image = product.convert("RGBa")
    twice = min(1.0, 2 * scale)  # turned at twice the size, so that turning blurs little
    image = image.resize([max(1, round(twice * side)) for side in image.size], Image.Resampling.BOX, reducing_gap=2)
    image = image.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    image = image.resize([max(1, round(scale / twice * side)) for side in image.size], Image.Resampling.BILINEAR)
    return image.crop(image.getchannel("a").getbbox())


def compose(
    rng: np.random.Generator,
    products: Mapping[str, Sequence[str]],
    load: Callable[[str], Image.Image],
    level: Level,
    background: np.ndarray,
    *,
    product_side: float = 0.24,
    shadows: bool = True,
) -> Composed:
    """Compose a checkout image of a level: kinds, items, exemplars, sizes, angles and places drawn evenly.

    Args:
        rng: decides everything.
        products: names of the exemplars of each kind of product.
        load: the RGBA image of an exemplar.
        level: how many kinds and items.
        background: uint8 ``[h, w, 3]``.
        product_side: longer side of a product, as a share of the canvas's shorter one; sizes vary by a fifth. Where the
            items find no room, they are drawn again a twelfth smaller.
        shadows: whether items cast soft shadows, all in one direction.

    Raises:
        NoRoomError: the items found no room in many tries.
    """
    names = sorted(products)
    side = product_side * min(background.shape[:2])
    direction = rng.uniform(0, 2 * np.pi)
    length, strength = side * rng.uniform(0.02, 0.08), rng.uniform(0.15, 0.45)
    shadow = (length * np.cos(direction), length * np.sin(direction), strength) if shadows else None
    for draw in range(_DRAWS):
        kinds = rng.choice(names, int(rng.integers(level.kinds[0], min(level.kinds[1], len(names)) + 1)), replace=False)
        number = int(rng.integers(max(level.items[0], len(kinds)), level.items[1] + 1))
        wanted = rng.permutation([*kinds, *rng.choice(kinds, number - len(kinds))]).tolist()
        canvas, smaller = Canvas(background), side * _SHRUNK**draw
        if all(_add(rng, canvas, products[name], load, smaller, shadow) for name in wanted):
            pixels = np.rint(255 * np.clip(canvas.pixels, 0, 1)).astype(np.uint8)
            return Composed(pixels, canvas.objects(wanted))
    raise NoRoomError


def _add(
    rng: np.random.Generator,
    canvas: Canvas,
    exemplars: Sequence[str],
    load: Callable[[str], Image.Image],
    side: float,
    shadow: tuple[float, float, float] | None,
) -> bool:
    """Paste one more item, at the first of some random places that leaves enough of all others."""
    product = load(exemplars[int(rng.integers(len(exemplars)))])
    item = place(product, side * rng.uniform(0.8, 1.2), rng.uniform(0, 360))
    rows, columns, _ = canvas.pixels.shape
    if item.width > columns or item.height > rows:
        return False
    corners = rng.integers((0, 0), (columns - item.width + 1, rows - item.height + 1), (_PLACES, 2))
    return any(canvas.paste(item, left, top, shadow) for left, top in corners.tolist())
