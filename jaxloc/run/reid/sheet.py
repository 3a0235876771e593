"""A sheet of images beside the attention of a learnt head: where it looks to tell identities apart."""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image, ImageOps

from jaxloc._files import atomic_path
from jaxloc.models.projection import Projection
from jaxloc.report.overlays import encode_heat, heat_colours
from jaxloc.run.frozen import FrozenMaps

_SHOWN, _ROW, _SIDE, _GAP = 24, 4, 200, 8


def write_sheet(
    path: Path,
    projection: Projection,
    maps: FrozenMaps,
    identities: np.ndarray,
    read: Callable[[int], np.ndarray | str],
) -> bool:
    """Write one image of each of at most 24 identities, and beside it the cells seen more than on average.

    Args:
        path: of the JPEG.
        projection: with attention; nothing is written without.
        maps: of the images.
        identities: int ``[n]``.
        read: an image by number, as ``frozen_maps`` takes it.

    Returns:
        whether there is a sheet.
    """
    usable = np.flatnonzero(maps.sizes.any(1))
    _, first = np.unique(identities[usable], return_index=True)
    pairs: list[Image.Image] = []
    for number in usable[first].tolist():
        found, pixels = projection.look(maps.features[number], maps.sizes[number]), read(number)
        if found.attention is None or isinstance(pixels, str):
            continue
        rows, columns = maps.sizes[number].tolist()
        shares = np.asarray(jax.device_get(found.attention))[:rows, :columns]
        pairs.append(_pair(Image.fromarray(pixels), shares))
        if len(pairs) == _SHOWN:
            break
    if not pairs:
        return False
    sheet = _arranged(pairs)
    with atomic_path(path) as temporary:
        sheet.save(temporary, "JPEG", quality=85)
    return True


def _pair(image: Image.Image, shares: np.ndarray) -> Image.Image:
    image = ImageOps.contain(image, (_SIDE, _SIDE), Image.Resampling.LANCZOS)
    colours = Image.fromarray(heat_colours(encode_heat(shares, float(shares.mean()))))
    heat, seen = colours.resize(image.size, Image.Resampling.NEAREST), image.copy()
    seen.paste(heat.convert("RGB"), mask=heat.getchannel("A"))
    both = Image.new("RGB", (2 * _SIDE, _SIDE), "white")
    for place, one in enumerate((image, seen)):
        both.paste(one, (place * _SIDE + (_SIDE - one.width) // 2, (_SIDE - one.height) // 2))
    return both


def _arranged(pairs: Sequence[Image.Image]) -> Image.Image:
    across, down = min(_ROW, len(pairs)), -(-len(pairs) // _ROW)
    sheet = Image.new("RGB", (across * (2 * _SIDE + _GAP) + _GAP, down * (_SIDE + _GAP) + _GAP), "white")
    for number, pair in enumerate(pairs):
        row, column = divmod(number, _ROW)
        sheet.paste(pair, (_GAP + column * (2 * _SIDE + _GAP), _GAP + row * (_SIDE + _GAP)))
    return sheet
