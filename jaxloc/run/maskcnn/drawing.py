"""A sheet of test images with the predicted masks of their parts, and the true rectangles."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from jaxloc._files import atomic_path
from jaxloc.data import Source, read_image
from jaxloc.report.overlays import PART_COLOURS
from jaxloc.run.maskcnn.parts import Predicted

_SHOWN, _COLUMNS, _SIDE, _GAP, _LEGEND = 12, 4, 300, 8, 28


def draw_masks(
    path: Path,
    sources: Sequence[Source],
    predicted: Predicted,
    boxes: np.ndarray,
    sizes: np.ndarray,
    parts: Sequence[str],
) -> None:
    """Draw twelve images, evenly spread over all: background darkened, each part in its colour, true boxes in white.

    A legend names the colours of the ``parts``.
    """
    chosen = np.unique(np.linspace(0, len(sources) - 1, min(_SHOWN, len(sources))).astype(int))
    rows, cell = -(-len(chosen) // _COLUMNS), _SIDE + _GAP
    sheet = Image.new("RGB", (_COLUMNS * cell - _GAP, rows * cell + _LEGEND), "#30363d")
    for place, number in enumerate(chosen.tolist()):
        height, width = predicted.sizes[number]
        drawn = _drawn(sources[number], predicted.shares[number, :height, :width])
        draw = ImageDraw.Draw(drawn)
        for truth, found, there, colour in zip(
            boxes[number], predicted.boxes[number], predicted.found[number], itertools.cycle(PART_COLOURS), strict=False
        ):
            scale = np.tile(np.array(drawn.size) / sizes[number, ::-1], 2)
            if np.isfinite(truth).all():
                draw.rectangle(tuple(truth * scale), outline="white", width=1)
            if there:
                draw.rectangle(tuple(found * scale), outline=colour, width=2)
        row, column = divmod(place, _COLUMNS)
        sheet.paste(drawn, (column * cell, row * cell))
    legend, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(18), float(_GAP)
    for name, colour in [*zip(parts, itertools.cycle(PART_COLOURS), strict=False), ("truth", "white")]:
        legend.text((left, rows * cell), name, colour, font)
        left += legend.textlength(name, font) + 3 * _GAP
    with atomic_path(path) as temporary:
        sheet.save(temporary, "png")


def _drawn(source: Source, shares: np.ndarray) -> Image.Image:
    image = Image.fromarray(read_image(source.path, shorter_side=_SIDE).pixels)
    image.thumbnail((_SIDE, _SIDE))
    pixels = np.asarray(image, np.float32)
    maps = [Image.fromarray(one).resize(image.size, Image.Resampling.BILINEAR) for one in np.moveaxis(shares, -1, 0)]
    layers = [np.asarray(one) for one in maps]
    result = pixels * (1 - 0.6 * layers[0][..., None])
    for layer, colour in zip(layers[1:], itertools.cycle(PART_COLOURS), strict=False):
        opacity = 0.45 * layer[..., None]
        result = result * (1 - opacity) + np.array(ImageColor.getrgb(colour)) * opacity
    return Image.fromarray(result.clip(0, 255).astype(np.uint8))
