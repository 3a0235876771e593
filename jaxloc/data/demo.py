"""Small sets with known boxes, made from scikit-image's photographs.

Objects are cut out and pasted at random scales, places and flips onto crops of other photographs: the motorcycle of the
Middlebury stereo pair, cut out by its disparity, and for a pile of several kinds also a cup, an astronaut and a cat's
head, cut out by hand. A few images have no object. Everything follows from the seed.
"""

from typing import NamedTuple

import numpy as np
import scipy.ndimage
import skimage.data
import skimage.draw
import skimage.measure
from PIL import Image

_BACKGROUNDS = (
    *("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "moon", "rocket"),
)
_PLAIN = ("brick", "camera", "coins", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "rocket")
_OUTLINES = {
    "cup": (
        "coffee",
        "76,230 110,130 180,90 178,50 240,18 340,18 405,60 410,72 432,75 424,105 470,160 478,225 450,310 "
        "370,375 270,388 170,360 100,300",
    ),
    "astronaut": (
        "astronaut",
        "20,511 38,300 56,238 120,212 118,165 150,130 152,50 200,15 250,12 298,45 296,130 305,220 350,240 "
        "362,345 420,342 480,390 505,511",
    ),
    "cat": (
        "chelsea",
        "12,299 20,200 2,160 14,120 30,90 35,30 30,0 380,0 372,60 355,90 350,150 310,230 290,275 240,290 "
        "190,280 130,299",
    ),
}
"""By kind, the photograph that an object is cut from, and the corners of its outline: ``x,y`` in pixels."""
_SIZES = ((320, 448), (352, 416), (384, 384), (416, 352))


class Composed(NamedTuple):
    """One composed image.

    Attributes:
        box: the object's ``x0, y0, x1, y1`` in pixels, or ``None``.
    """

    name: str
    image: Image.Image
    box: tuple[int, int, int, int] | None


def compose(*, with_object: int = 16, without: int = 6, seed: int = 0) -> list[Composed]:
    """Compose the set.

    Args:
        with_object: number of images with the object.
        without: number of images without it.
        seed: of all random choices.
    """
    rng = np.random.default_rng(seed)
    left, mask = cut_out()
    images = []
    for number in range(with_object + without):
        background = _BACKGROUNDS[number % len(_BACKGROUNDS)]
        canvas = _crop(background, _SIZES[number % len(_SIZES)], rng)
        holds = number < with_object
        box = _place(canvas, left, mask, rng) if holds else None
        kind = "motorcycle" if holds else "without"
        images.append(Composed(f"{number + 1:02d}_{kind}_on_{background}.jpg", canvas, box))
    return images


def compose_pile(*, each: int = 7, without: int = 5, seed: int = 0) -> list[Composed]:
    """Compose a pile of motorcycles, cups, astronauts and cats, in no order; a name ends with the kind.

    Args:
        each: number of images of each kind.
        without: number of images of nothing.
        seed: of all random choices.
    """
    rng = np.random.default_rng(seed)
    objects = {"motorcycle": cut_out()} | {kind: _cut_along(*where) for kind, where in _OUTLINES.items()}
    images = []
    for number, which in enumerate(rng.permutation(each * len(objects) + without)):
        kind = [*objects, "nothing"][min(which // each, len(objects))]
        canvas = _crop(_PLAIN[which % len(_PLAIN)], _SIZES[number % len(_SIZES)], rng)
        box = _place(canvas, *objects[kind], rng) if kind in objects else None
        images.append(Composed(f"{number + 1:02d}_{kind}.jpg", canvas, box))
    return images


def _cut_along(name: str, outline: str) -> tuple[np.ndarray, np.ndarray]:
    """What an outline holds, as ``cut_out`` returns it."""
    pixels = getattr(skimage.data, name)()
    corners = np.array([point.split(",") for point in outline.split()], float)
    mask = skimage.draw.polygon2mask(pixels.shape[:2], corners[:, ::-1])
    y, x = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    inside = np.s_[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
    return pixels[inside], mask[inside]


def cut_out() -> tuple[np.ndarray, np.ndarray]:
    """The motorcycle's photograph, cropped to it: uint8 ``[h, w, 3]``, and its mask, bool ``[h, w]``."""
    left, _, disparity = skimage.data.stereo_motorcycle()
    disparity = np.where(np.isfinite(disparity), disparity, 0)
    rows = np.arange(len(disparity))[:, None]
    # The floor's disparity grows linearly with the row; it is fitted where the floor is empty.
    floor_rows = np.arange(380, 500)
    floor = np.polyfit(floor_rows, np.median(disparity[380:500, 10:110], axis=1), 1)
    nearer = (disparity > np.polyval(floor, rows) + 2.5) & (disparity > 35)
    nearer = scipy.ndimage.binary_closing(nearer, iterations=2)
    labels = skimage.measure.label(nearer)
    mask = labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1
    y, x = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    inside = np.s_[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
    return left[inside], mask[inside]


def _crop(name: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    scale = max(size[0] / image.height, size[1] / image.width) * rng.uniform(1, 1.3)
    image = image.resize((int(np.ceil(image.width * scale)), int(np.ceil(image.height * scale))))
    x = int(rng.integers(image.width - size[1] + 1))
    y = int(rng.integers(image.height - size[0] + 1))
    return image.crop((x, y, x + size[1], y + size[0]))


def _place(
    canvas: Image.Image, pixels: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    width = canvas.width * rng.uniform(0.5, 0.85)
    width = round(min(width, 0.95 * canvas.height * mask.shape[1] / mask.shape[0]))
    height = round(width * mask.shape[0] / mask.shape[1])
    cut = Image.fromarray(np.dstack([pixels, mask.astype(np.uint8) * 255]))
    if rng.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    cut = cut.resize((width, height), Image.Resampling.LANCZOS)
    x = int(rng.integers(canvas.width - width + 1))
    y = int(rng.integers(max(1, canvas.height - height + 1)))
    canvas.paste(cut, (x, y), cut.getchannel("A"))
    return x, y, x + width, y + height
