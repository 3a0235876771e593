"""Decoding of one image to upright RGB."""

import contextlib
import io
import math
import os
import stat
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from jaxloc.data import foreign, remote
from jaxloc.data.formats import decoded, starts_as_image
from jaxloc.data.grey import to_bytes
from jaxloc.data.sources import Record
from jaxloc.errors import ImageError, UsageError

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposes that make an image upright, by EXIF orientation (Exif 3.0, section 4.6.5.1.6)."""
_ON_ITS_SIDE = [_TURNS[orientation] for orientation in (5, 6, 7, 8)]

_MOST = 2 * 89_478_485
"""Pixels that are decoded, as in Pillow."""
_TOO_LARGE = "too many pixels, it may be a decompression bomb; save it smaller, or as JPEG with a limit to its side"
_CUT = "truncated"
"""In Pillow's message about a file that lacks its last bytes."""
_JPEG_END = b"\xff\xd9"
"""The marker after which a decoder expects no more bytes."""
_GDAL_NODATA = 42113
_BELOW = {"white": 255, "grey": 128}

_REDUCING_GAP = 2
"""A JPEG is decoded at a fraction of its size that is at least this many times the wanted size."""

_HEADER = 1 << 16
"""Bytes that hold the header of nearly every JPEG."""


Alpha = Literal["drop", "white", "grey"]
Truncated = Literal["skip", "keep"]
ImageFile = str | os.PathLike[str] | Record | Image.Image | bytes


class DecodedImage(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: uint8 ``[h, w, 3]``, RGB, upright; shrunk if a limit was given.
        original_size: rows and columns before shrinking, upright.
        truncated: whether the file lacks its last bytes, so that a part of the image is grey.
    """

    pixels: np.ndarray
    original_size: tuple[int, int]
    truncated: bool = False


def read_image(
    path: ImageFile, *, shorter_side: float | None = None, alpha: Alpha = "drop", truncated: Truncated = "skip"
) -> DecodedImage:
    """Decode an image to upright RGB.

    Grey, palette, CMYK and transparency become RGB; EXIF orientation is applied; an animation gives its first frame.
    Grey of more than 8 bits is scaled as ``jaxloc.data.grey.to_bytes`` says. More than 179 megapixels are refused,
    but for a JPEG that need not be decoded whole, because it is shrunk.

    Args:
        path: the file or record, or an image that Pillow has opened.
        shorter_side: shrink (anti-aliased bilinear) until the shorter side is at most this; never enlarge.
        alpha: what becomes of transparency: it is dropped, so that the colours below show, or put on white or grey.
        truncated: whether a JPEG that lacks its last bytes is refused, or kept with what is missing in grey.

    Raises:
        ImageError: the image cannot be used.
        UsageError: the archive or remote place that holds it cannot be read.
    """
    try:
        if isinstance(path, Image.Image):
            return _to_image(path.copy(), shorter_side, alpha)
        content = _content(path)
        with _open(content, shorter_side) as image:
            try:
                return _to_image(image, shorter_side, alpha)
            except OSError as error:
                if truncated == "skip" or not isinstance(image, JpegImageFile) or _CUT not in str(error):
                    raise
        ended = io.BytesIO(
            (content.getvalue() if isinstance(content, io.BytesIO) else remote.read(os.fspath(content))) + _JPEG_END
        )
        with _open(ended, shorter_side) as image:
            return _to_image(image, shorter_side, alpha)._replace(truncated=True)
    except (ImageError, UsageError):
        raise
    except FileNotFoundError as error:
        raise ImageError("no such file") from error
    except Image.DecompressionBombError as error:
        raise ImageError(_TOO_LARGE) from error
    except MemoryError as error:
        raise ImageError("does not fit into memory; save it smaller") from error
    except OSError as error:
        remote.check_place(str(path), error)
        raise ImageError(f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged file can raise anything in a decoder
        raise ImageError(f"damaged: {type(error).__name__}: {error}") from error


def read_size(path: ImageFile, *, shorter_side: int | None = None) -> tuple[int, int] | None:
    """Rows and columns that ``read_image`` would return, from the header alone; ``None`` if unreadable.

    Args:
        path: the file or record, or an image that Pillow has opened.
        shorter_side: as for ``read_image``.

    Raises:
        UsageError: as for ``read_image``.
    """
    try:
        known = path.image_size if isinstance(path, Record) else None
        size = read_header(path, shorter_side=shorter_side).size if known is None else known[::-1]
    except UsageError:
        raise
    except Exception as error:  # read_image says what is wrong
        if isinstance(error, OSError):
            remote.check_place(str(path), error)
        return None
    columns, rows = _limited(size, shorter_side)
    return rows, columns


class Header(NamedTuple):
    """Pillow's names of format and mode, columns and rows upright, and whether the EXIF orientation is another."""

    kind: str
    mode: str
    size: tuple[int, int]
    turned: bool


def read_header(image: ImageFile, *, shorter_side: int | None = None) -> Header:
    """Read the header of an image, of a record's JPEG from its first 64 KiB; damaged ones raise any exception.

    ``shorter_side`` is that of ``read_image``, on which it depends how large an image may be.
    """
    if isinstance(image, Image.Image):
        return _header(image)
    if isinstance(image, Record):
        start = io.BytesIO(image.read_start(_HEADER))
        with (
            contextlib.suppress(Exception),
            _open(start, shorter_side) as opened,
        ):  # a longer header: read the whole image
            if opened.format == "JPEG":  # other formats may have more metadata at their end
                return _header(opened)
    with _open(_content(image), shorter_side) as opened:
        return _header(opened)


def _open(content: str | os.PathLike[str] | io.BytesIO, shorter_side: float | None) -> Image.Image:
    """Read a header."""
    try:
        return Image.open(content, formats=decoded())
    except Image.DecompressionBombError:
        if shorter_side is None:
            raise
        return _open_large(content, shorter_side)
    except UnidentifiedImageError as error:
        start = content.getvalue() if isinstance(content, io.BytesIO) else foreign.read_start(os.fspath(content))
        if starts_as_image(start):
            raise ImageError("damaged: it starts as an image, and Pillow cannot read its header") from error
        kind = foreign.kind_of(start)
        told = f"not an image that is read: {kind}" if kind else "not an image, or of a kind that Pillow does not know"
        raise ImageError(told) from error


def _open_large(content: str | os.PathLike[str] | io.BytesIO, shorter_side: float) -> Image.Image:
    """Read the header of a JPEG of more pixels than Pillow opens, if it is decoded at a fraction of its size.

    A progressive JPEG needs memory for all of its pixels whatever the fraction.
    """
    try:
        image = JpegImageFile(content)
    except SyntaxError as error:
        raise ImageError(_TOO_LARGE) from error
    fraction = max(
        1, min(side // wanted for side, wanted in zip(image.size, _draft_size(image, shorter_side), strict=True))
    )
    fraction = next(known for known in (8, 4, 2, 1) if fraction >= known)
    if "progressive" in image.info or math.prod(image.size) > _MOST * fraction**2:
        image.close()
        raise ImageError(_TOO_LARGE)
    return image


def _draft_size(image: Image.Image, shorter_side: float) -> tuple[int, int]:
    """Columns and rows below which a JPEG is not decoded."""
    columns, rows = _limited(image.size, shorter_side)
    return _REDUCING_GAP * columns, _REDUCING_GAP * rows


def _check_sides(image: Image.Image) -> None:
    if not all(image.size):
        raise ImageError(f"damaged: its header says {image.size[0]}×{image.size[1]} pixels")


def _content(path: str | os.PathLike[str] | Record | bytes) -> str | os.PathLike[str] | io.BytesIO:
    """Input for Pillow: a regular file, or bytes."""
    if isinstance(path, bytes):
        return io.BytesIO(path)
    if not isinstance(path, Record):
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a file")
        if status.st_size == 0:
            raise ImageError("empty file (0 bytes)")
        return path
    try:
        data = path.read()
    except (ImageError, UsageError, OSError, MemoryError):
        raise
    except Exception as error:  # each kind of archive and remote place has errors of its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ImageError(f"cannot be read: {reason}") from error
    if not data:
        raise ImageError("empty (0 bytes)")
    return io.BytesIO(data)


def _header(image: Image.Image) -> Header:
    _check_sides(image)
    orientation = _orientation(image)
    size = image.size[::-1] if _turn(image, orientation) in _ON_ITS_SIDE else image.size
    return Header(str(image.format), image.mode, size, orientation in _TURNS)


def _turn(image: Image.Image, orientation: int) -> Image.Transpose | None:
    return None if image.format == "TIFF" else _TURNS.get(orientation)  # Pillow turns TIFFs itself


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1, upright, if it is missing or damaged, or stands behind the pixels of a PNG."""
    try:
        exif = Image.Image.getexif(image) if isinstance(image, PngImageFile) else image.getexif()
        return exif.get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF raises all kinds of errors
        return 1


def _to_image(image: Image.Image, shorter_side: float | None, alpha: Alpha) -> DecodedImage:
    _check_sides(image)
    turn = _turn(image, _orientation(image))
    columns, rows = image.size[::-1] if turn in _ON_ITS_SIDE else image.size
    if shorter_side:
        image.draft(None, _draft_size(image, shorter_side))
    image.load()
    upright = _to_rgb(image if turn is None else image.transpose(turn), alpha)
    size = _limited((columns, rows), shorter_side)
    if size != upright.size:
        upright = upright.resize(size, Image.Resampling.BILINEAR)
    return DecodedImage(np.asarray(upright), (rows, columns))


def _limited(size: tuple[int, int], shorter_side: float | None) -> tuple[int, int]:
    scale = min(1.0, shorter_side / min(size)) if shorter_side else 1.0
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _to_rgb(image: Image.Image, alpha: Alpha) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(to_bytes(np.asarray(image), missing=_missing(image))).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if alpha != "drop":
            below = Image.new("RGBA", image.size, (*(_BELOW[alpha],) * 3, 255))
            image = Image.alpha_composite(below, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _missing(image: Image.Image) -> float | None:
    """The value of missing pixels that GDAL notes in a TIFF."""
    try:
        return float(image.tag_v2[_GDAL_NODATA])  # type: ignore[attr-defined]
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
