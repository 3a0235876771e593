"""Images for people: full-size overlays, thumbnails, and response maps small enough to keep."""

import io
import math

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageColor, ImageDraw, ImageFont
from pycocotools import mask as coco_masks

from jaxloc.report.records import Finding

_BOX = (0, 229, 255)
_REGION = (255, 225, 77)
PART_COLOURS = ("#ff4fd8", "#ffe14d", "#57f287", "#ff8a3d", "#b388ff", "#e8edf2")
"""Of a part's box, in the order of the parts, and again from the first; page.js has the same."""
_MASK = (0, 229, 255, 110)
_INK = (16, 20, 24)
# Of a positive cell's colour, red, green, blue and opacity, just above the threshold and at the strongest cell;
# page.js has the same.
_WEAK = (255, 193, 51, 77)
_STRONG = (222, 24, 20, 166)


def encode_heat(response: ArrayLike, threshold: float) -> np.ndarray:
    """A response map as int8 ``[h, w]``: object is positive, and the largest magnitude is 127.

    A cell keeps its side of the threshold however close to it. A map without contrast (constant or empty), and cells
    that are not finite, become zeros.
    """
    response = np.asarray(response, np.float64)
    if response.ndim != 2:
        raise ValueError(f"response must be one map [h, w], got shape {response.shape}")
    finite = response[np.isfinite(response)]
    if finite.size == 0 or np.ptp(finite) == 0 or not math.isfinite(threshold):
        return np.zeros(response.shape, np.int8)
    excess = np.where(np.isfinite(response), response - threshold, 0)
    scaled = np.abs(excess) / np.abs(excess).max() * 127
    return (np.sign(excess) * np.where(excess == 0, 0, np.maximum(np.rint(scaled), 1))).astype(np.int8)


def make_thumbnail(pixels: np.ndarray, side: int = 256) -> bytes:
    """A JPEG of pixels, uint8 ``[h, w, 3]``, of at most ``side`` pixels a side, the same for the same pixels."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"pixels must be uint8 [h, w, 3], got {pixels.dtype} of shape {pixels.shape}")
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=66, optimize=True)  # a page of 1,000 photographs weighs 12 MB
    return buffer.getvalue()


def make_mask_image(counts: bytes, width: int, height: int, side: int | None = None) -> Image.Image:
    """COCO's compressed run lengths as an RGBA image with the object tinted, of at most ``side`` pixels a side."""
    inside = Image.fromarray(coco_masks.decode({"size": [height, width], "counts": counts}) * np.uint8(255))
    if side is not None:
        inside.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=None)
    image = Image.new("RGBA", inside.size, _MASK)
    image.putalpha(inside.point(lambda value: _MASK[3] if value > 127 else 0))
    return image


def draw_overlay(image: Image.Image, finding: Finding) -> Image.Image:
    """A copy of the image, of any mode and scale, with the object's pixels or heat, boxes, and a label, in RGB."""
    result = image.convert("RGB")
    if finding.mask is not None:
        inside = make_mask_image(finding.mask, finding.width, finding.height).resize(result.size)
        result.paste(inside.convert("RGB"), mask=inside.getchannel("A"))
    elif finding.heat is not None and finding.heat.size:
        heat = Image.fromarray(heat_colours(finding.heat)).resize(result.size, Image.Resampling.NEAREST)
        result.paste(heat.convert("RGB"), mask=heat.getchannel("A"))
    draw = ImageDraw.Draw(result)
    corner = (0, 0)
    if finding.box is not None:
        scale = np.array([result.width / finding.width, result.height / finding.height] * 2)
        for number, part in enumerate(finding.parts):
            if part is not None:
                colour = ImageColor.getrgb(PART_COLOURS[number % len(PART_COLOURS)])
                _draw_box(draw, result.size, np.array(part) * scale, colour)
        for region in finding.objects[1:]:
            _draw_box(draw, result.size, np.array(region[:4]) * scale, _REGION)
        corner = _draw_box(draw, result.size, np.array(finding.box) * scale)
    _draw_label(draw, result.size, corner, finding)
    return result


def heat_colours(heat: np.ndarray) -> np.ndarray:
    """RGBA bytes of each cell of ``encode_heat``; only positive ones are visible."""
    strength = np.maximum(heat.astype(np.float64), 0)[..., None] / 127
    colours = np.rint(np.array(_WEAK) + strength * (np.array(_STRONG) - np.array(_WEAK)))
    return np.where(heat[..., None] > 0, colours, 0).astype(np.uint8)


def _draw_box(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], box: np.ndarray, colour: tuple[int, ...] = _BOX
) -> tuple[int, int]:
    """Draw a box, bright between two dark lines, all of it inside the box; return its upper left pixel."""
    corners = np.rint(box).astype(int)
    last = np.array(size) - 1
    x0, y0 = np.clip(corners[:2], 0, last).tolist()
    x1, y1 = np.clip(corners[2:] - 1, (x0, y0), last).tolist()
    edge = max(1, round(max(size) / 700))
    for inset, width, ink in ((0, edge, _INK), (edge, 2 * edge, colour), (3 * edge, edge, _INK)):
        if x1 - x0 >= 2 * inset and y1 - y0 >= 2 * inset:
            draw.rectangle((x0 + inset, y0 + inset, x1 - inset, y1 - inset), outline=ink, width=width)
    return x0, y0


def _draw_label(draw: ImageDraw.ImageDraw, size: tuple[int, int], corner: tuple[int, int], finding: Finding) -> None:
    """Write category and score above the corner, or below it if there is no room; skip images that are too small."""
    text_size = min(max(12, round(max(size) / 40)), 96)
    pad = text_size // 4
    height = text_size + 2 * pad
    if 5 * height > size[1]:
        return
    font = ImageFont.load_default(text_size)
    category, verdict = finding.category, f"{finding.score:.2f}"
    if not finding.found:
        verdict = "not found" if finding.box is None else "bridged"  # a video's box that its neighbours suggest
    text = f"{category} {verdict}".strip()
    while category and font.getlength(text) > size[0] - 2 * pad:
        category = category[:-1]
        text = f"{category}… {verdict}"
    width = math.ceil(font.getlength(text)) + 2 * pad
    x = max(0, min(corner[0], size[0] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=_INK)
    draw.text((x + pad, y + height // 2), text, fill=_BOX if finding.found else (255, 255, 255), font=font, anchor="lm")
