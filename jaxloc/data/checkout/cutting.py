"""Products cut out of their images, with soft edges that carry no colour of the background."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

from jaxloc.data.sources import Record
from jaxloc.errors import ImageError

_RING = 2
"""Width in pixels of the border that shows whether a background is uniform."""
_UNIFORM = 0.9
_TOLERANCE, _SLACK = 24, 6
"""Grey levels by which a background's colour varies at most, and beyond what nearly all of the border shows."""
_FILLED, _CUT_OFF = 0.95, 0.6
"""Shares of an image and of its edges that a product may cover and still be cut out."""


def mask_from_border(pixels: np.ndarray) -> np.ndarray | None:
    """The product in front of a uniform background: bool ``[h, w]``; ``None`` where the border is not uniform.

    A tenth of the border may differ from its median by more than 24 grey levels. The background is what a flood fill
    from the border reaches of the colours that nearly all of the border has, so like colours within the product stay,
    and so do those behind gaps of less than a fiftieth of the image's shorter side.

    Args:
        pixels: uint8 ``[h, w, 3]``.
    """
    from skimage.segmentation import flood

    ring = np.ones(pixels.shape[:2], bool)
    ring[_RING:-_RING, _RING:-_RING] = False
    apart = np.abs(pixels - np.median(pixels[ring], axis=0)).max(2)
    if (apart[ring] <= _TOLERANCE).mean() < _UNIFORM:
        return None
    near = apart <= min(_TOLERANCE, np.quantile(apart[ring], _UNIFORM) + _SLACK)
    gap = max(1, min(pixels.shape[:2]) // 100)
    padded = np.pad(near, margin := 2 * gap + 1, constant_values=True)
    reached = flood(_eroded(padded, gap), (0, 0), connectivity=1)
    product = ~(_dilated(reached, gap) & padded)[margin:-margin, margin:-margin]
    # Without the spurs that a JPEG leaves at edges.
    return np.asarray(ndimage.gaussian_filter(product.astype(np.float32), gap + 1)) > 0.5


def _eroded(mask: np.ndarray, radius: float) -> np.ndarray:
    """The pixels further than a radius from any outside the mask; beyond the image is inside."""
    return mask if mask.all() else np.asarray(ndimage.distance_transform_edt(mask)) > radius


def _dilated(mask: np.ndarray, radius: float) -> np.ndarray:
    return ~_eroded(~mask, radius)


def cut_out(pixels: np.ndarray, mask: np.ndarray) -> Image.Image:
    """The product as an RGBA image of its own size; colours near its edge are those of the product inside it.

    Only the largest piece is taken, and its holes are filled.

    Args:
        pixels: uint8 ``[h, w, 3]``.
        mask: bool ``[h, w]``, the product.

    Raises:
        ImageError: nothing is product, or it fills the image.
    """
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    if not count:
        raise ImageError("shows nothing in front of its background: leave it out")
    kept = ndimage.binary_fill_holes(pieces == 1 + areas.argmax())
    edges = np.concatenate([kept[0], kept[-1], kept[:, 0], kept[:, -1]])
    if kept.mean() > _FILLED or edges.mean() > _CUT_OFF:
        raise ImageError("its product fills it, so there is nothing to cut out: photograph it with a margin")
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    kept, colours = np.pad(kept[window], 2), np.pad(pixels[window], ((2, 2), (2, 2), (0, 0)), mode="edge")
    # Pixels at the edge are mixed with the background: they take the colour of the nearest one well inside.
    inside = ndimage.binary_erosion(kept, iterations=2)
    inside = inside if inside.any() else kept
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    alpha = np.clip(2 * ndimage.gaussian_filter(kept.astype(np.float32), 1) - 1, 0, 1)
    return Image.fromarray(np.dstack([colours[tuple(nearest)], np.rint(255 * alpha).astype(np.uint8)]))


def read_cut_out(path: Path | Record) -> Image.Image | None:
    """A readable image as RGBA, cropped to what it shows, if something in it is transparent; else ``None``."""
    with Image.open(io.BytesIO(path.read()) if isinstance(path, Record) else path) as image:
        if not image.has_transparency_data:
            return None
        product = ImageOps.exif_transpose(image).convert("RGBA")
    alpha = product.getchannel("A")
    shown = alpha.getbbox()
    return None if shown is None or np.asarray(alpha).min() > 127 else product.crop(shown)


def read_product(path: Path) -> Image.Image:
    """An RGBA image that was written as a PNG."""
    with Image.open(path) as image:
        return image.convert("RGBA")
