"""Read one image, whatever its file holds, as upright RGB; or say in one line why not."""

import contextlib
import io
import os
import stat
import struct
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from jaxloc.data import remote
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
"""What makes an image upright, by its EXIF orientation (Exif 3.0, section 4.6.5.1.6)."""
_ON_ITS_SIDE = [_TURNS[orientation] for orientation in (5, 6, 7, 8)]

_SIGNATURE = 8
"""Bytes at the beginning of a PNG, before its first chunk."""
_KEYWORD = 79
"""Bytes of the longest keyword of a PNG's text."""

_REDUCING_GAP = 2
"""A JPEG is decoded at a fraction of its size as long as it stays this many times the size wanted."""

_HEADER = 1 << 16
"""Bytes in which a JPEG's header nearly always ends."""


class DecodedImage(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: uint8 ``[h, w, 3]``, RGB, upright; shrunk if a limit was given.
        original_size: rows and columns of the whole image, upright.
    """

    pixels: np.ndarray
    original_size: tuple[int, int]


def read_image(path: str | os.PathLike[str] | Record, *, shorter_side: int | None = None) -> DecodedImage:
    """Decode an image to upright RGB.

    Grey, palette, 16-bit (scaled), CMYK, and alpha (dropped) become RGB; EXIF orientation is applied; of an
    animation the first frame is taken.

    Args:
        path: the file, or the record of an archive or a remote place.
        shorter_side: shrink (anti-aliased bilinear) until the shorter side is at most this; never enlarge.

    Raises:
        ImageError: saying why the image cannot be used.
        UsageError: what it lies in, a remote place or an archive, cannot be read; a remote place is tried a few times.
    """
    try:
        with Image.open(_content(path)) as image:
            return _to_image(image, shorter_side)
    except (ImageError, UsageError):
        raise
    except FileNotFoundError as error:
        raise ImageError("no such file") from error
    except UnidentifiedImageError as error:
        raise ImageError("not an image, or of a kind that Pillow does not know") from error
    except Image.DecompressionBombError as error:
        raise ImageError("too many pixels, it may be a decompression bomb; save it smaller") from error
    except MemoryError as error:
        raise ImageError("does not fit into memory; save it smaller") from error
    except OSError as error:
        remote.check_place(str(path), error)
        raise ImageError(f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged file can raise anything in a decoder, and must not end the run
        raise ImageError(f"damaged: {type(error).__name__}: {error}") from error


def read_size(path: str | os.PathLike[str] | Record, *, shorter_side: int | None = None) -> tuple[int, int] | None:
    """Rows and columns that ``read_image`` would return, from the file's header alone; ``None`` if unreadable.

    Of a record's JPEG the first 64 KiB are read, where the place allows that; images of other kinds are read whole.

    Args:
        path: the file, or the record of an archive or a remote place.
        shorter_side: as for ``read_image``.

    Raises:
        UsageError: as for ``read_image``.
    """
    try:
        size = _size_of_record(path) if isinstance(path, Record) else None
        if size is None:
            with Image.open(_content(path)) as image:
                size, _ = _upright(image)
    except UsageError:
        raise
    except Exception as error:  # whatever is wrong with it, reading it will say
        if isinstance(error, OSError):
            remote.check_place(str(path), error)
        return None
    columns, rows = _limited(size, shorter_side)
    return rows, columns


def is_encoded(data: bytes) -> bool:
    """Whether the bytes begin like an image of a kind that Pillow knows."""
    try:
        with Image.open(io.BytesIO(data)):
            return True
    except Exception:  # damaged bytes can raise anything
        return False


def _size_of_record(record: Record) -> tuple[int, int] | None:
    if record.image_size is not None:
        return record.image_size[::-1]
    start = io.BytesIO(record.read_start(_HEADER))
    with contextlib.suppress(Exception), Image.open(start) as image:  # whatever it lacks, the whole image has
        if image.format == "JPEG":  # other kinds may say more at their end
            return _upright(image)[0]
    return None


def _content(path: str | os.PathLike[str] | Record) -> str | os.PathLike[str] | io.BytesIO:
    """What Pillow opens: a file that is one, or a record's bytes."""
    if not isinstance(path, Record):
        _check_file(path)
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


def _check_file(path: str | os.PathLike[str]) -> None:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("not a file")
    if status.st_size == 0:
        raise ImageError("empty file (0 bytes)")


def _upright(image: Image.Image) -> tuple[tuple[int, int], Image.Transpose | None]:
    """Columns and rows once the EXIF orientation is applied, and how the image is turned for that."""
    turn = _TURNS.get(_orientation(image))
    return image.size[::-1] if turn in _ON_ITS_SIDE else image.size, turn


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, upright, where there is none or it is damaged, and of TIFFs, which Pillow turns."""
    if image.format == "TIFF":
        return 1
    try:
        return _exif(image).get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF raises all kinds of errors, and the image is fine without
        return 1


def _exif(image: Image.Image) -> Image.Exif:
    """As Pillow reads it, which decodes a PNG for this; only the few that say more after their pixels need that."""
    if isinstance(image, PngImageFile) and not (image.fp and _is_turned_at_its_end(image.fp)):
        return Image.Image.getexif(image)
    return image.getexif()


def _is_turned_at_its_end(file: IO[bytes]) -> bool:
    """Whether a PNG may have an orientation after its pixels: a chunk of EXIF, or a text of EXIF or XMP."""
    here = file.tell()
    file.seek(_SIGNATURE)
    is_after_pixels = False
    try:
        while len(header := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            start = file.tell()
            if kind == b"IEND":
                break
            if is_after_pixels and kind == b"eXIf":
                return True
            if is_after_pixels and kind in (b"tEXt", b"zTXt", b"iTXt"):
                keyword = file.read(min(length, _KEYWORD)).partition(b"\0")[0].lower()
                if b"exif" in keyword or b"xmp" in keyword:
                    return True
            is_after_pixels |= kind == b"IDAT"
            file.seek(start + length + 4)
    finally:
        file.seek(here)
    return False


def _to_image(image: Image.Image, shorter_side: int | None) -> DecodedImage:
    (columns, rows), turn = _upright(image)
    if shorter_side:
        wanted = [_REDUCING_GAP * side for side in _limited(image.size, shorter_side)]
        image.draft(None, (wanted[0], wanted[1]))
    image.load()
    upright = _to_rgb(image if turn is None else image.transpose(turn))
    size = _limited((columns, rows), shorter_side)
    if size != upright.size:
        upright = upright.resize(size, Image.Resampling.BILINEAR)
    return DecodedImage(np.asarray(upright), (rows, columns))


def _limited(size: tuple[int, int], shorter_side: int | None) -> tuple[int, int]:
    scale = min(1.0, shorter_side / min(size)) if shorter_side else 1.0
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(_to_bytes(np.asarray(image))).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Grey values of 32 bits to uint8: by the smallest usual range that holds them (1, 255, 65535), or by their own."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError("holds values that are not numbers")
    low, high = values.min(), values.max()
    if low >= 0 and high <= 1:
        scaled = values * 255
    elif low >= 0 and high <= 255:
        scaled = values
    elif low >= 0 and high <= 65535:
        scaled = values / 257
    else:
        scaled = (values - low) * (255 / (high - low) if high > low else 0)
    return np.rint(scaled).astype(np.uint8)
