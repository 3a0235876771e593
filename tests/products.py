"""Product images made here: striped bodies of a colour of their own, on white."""

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 96


def product(number: int, view: int = 0, *, ground: int = 255) -> Image.Image:
    """A product of a kind on a uniform ground; views differ in size."""
    hue = number / 10
    body, stripe = (tuple(round(255 * v) for v in colorsys.hsv_to_rgb(hue + turn, 0.9, 0.8)) for turn in (0, 0.3))
    image = Image.new("RGB", (SIDE, SIDE), (ground,) * 3)
    draw = ImageDraw.Draw(image)
    left, top = 30 - 3 * view, 10 + 2 * view
    draw.rectangle((left, top, SIDE - left, SIDE - top), fill=body)
    for place in range(1 + number % 4):
        draw.rectangle((left, top + 8 + 16 * place, SIDE - left, top + 14 + 16 * place), fill=stripe)
    return image


def write_products(folder: Path, kinds: int = 10, views: int = 2) -> Path:
    """A folder of PNGs for each kind."""
    for number in range(kinds):
        for view in range(views):
            place = folder / f"kind-{number}"
            place.mkdir(parents=True, exist_ok=True)
            product(number, view).save(place / f"{view}.png")
    return folder


def cut_outs(kinds: int = 10) -> tuple[dict[str, list[str]], dict[str, Image.Image]]:
    """Names of exemplars by kind, and their RGBA images."""
    from jaxloc.data.checkout import cut_out, mask_from_border

    names = {f"kind-{number}": [f"{number}"] for number in range(kinds)}
    images = {}
    for number in range(kinds):
        pixels = np.asarray(product(number))
        mask = mask_from_border(pixels)
        assert mask is not None
        images[f"{number}"] = cut_out(pixels, mask)
    return names, images
