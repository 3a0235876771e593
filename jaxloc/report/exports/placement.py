"""Images beside their annotations: linked, copied, or as bytes in a table.

Boxes are relative to images as displayed. Most tools ignore the EXIF orientation, so an image that is stored rotated is
rewritten upright: a JPEG as a JPEG of quality 95 without chroma subsampling, any other as a PNG. A frame of a video
becomes such a JPEG too. All other images keep their bytes.
"""

import contextlib
import io
import os
from pathlib import Path
from typing import Literal

from PIL import Image

from jaxloc.data import Record, read_image
from jaxloc.data.annotations import Annotated, Problem
from jaxloc.data.annotations.problems import UNREADABLE
from jaxloc.data.archives.video import VideoFrame
from jaxloc.data.images import Header, read_header
from jaxloc.errors import ImageError, UsageError
from jaxloc.report.exports.names import with_suffix

Placement = Literal["link", "copy", "none"]
"""``link``: hard links, or copies where the file system has none; ``copy``: copies; ``none``: no images."""

_SUFFIXES = {"JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "PNG": (".png",), "TIFF": (".tif", ".tiff")}
_JPEGS = ("JPEG", "MPO")


def with_right_suffix(image: Annotated, *, jpeg: bool = False) -> str:
    """The image's name with the extension of the file that ``place`` writes; a correct extension is kept.

    ``jpeg`` is as for ``place``; the extension is then ``.jpg``.
    """
    stored = read_stored(_path(image))
    if jpeg:
        return image.name if image.name.endswith(".jpg") else with_suffix(image.name, ".jpg")
    kind = "PNG" if stored.turned and stored.kind != "JPEG" else stored.kind
    usual = _SUFFIXES.get(kind, (f".{kind.lower()}",))
    return image.name if image.name.lower().endswith(usual) else with_suffix(image.name, usual[0])


def place(image: Annotated, target: Path, how: Placement, found: list[Problem], *, jpeg: bool = False) -> bool:
    """Link or copy an image into an export; false if it cannot be read, which ``found`` then says.

    With ``jpeg`` an image of another kind is written as a JPEG.
    """
    if how == "none":
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == "link" and isinstance(image.path, Path) and _link(image.path, target, jpeg=jpeg):
        return True
    data = encode(image, found, jpeg=jpeg)
    if data is not None:
        target.write_bytes(data)
    return data is not None


def _link(path: Path, target: Path, *, jpeg: bool) -> bool:
    """Whether an image could be linked: not if it is to be rewritten, unreadable, or links are not supported."""
    with contextlib.suppress(ImageError, OSError):
        stored = read_stored(path)
        if not stored.turned and (not jpeg or stored.kind in _JPEGS):
            os.link(path.resolve(), target)
            return True
    return False


def encode(image: Annotated, found: list[Problem], *, plain: bool = False, jpeg: bool = False) -> bytes | None:
    """An image's encoded bytes, upright; ``None`` if it cannot be read, which ``found`` then says.

    ``plain`` makes it a JPEG or PNG in colour, as the readers of some tables ask for, ``jpeg`` a JPEG.
    """
    try:
        path = _path(image)
        if isinstance(path, VideoFrame):
            stored = read_stored(path)
        else:
            data = _read(path)
            stored = read_stored(data)
            fits = stored.kind in _JPEGS or not jpeg
            if plain:
                fits = stored.kind in ("JPEG", "PNG") and stored.mode == "RGB"
            if fits and not stored.turned:
                return data
        return to_bytes(Image.fromarray(read_image(path).pixels), "JPEG" if jpeg else stored.kind)
    except ImageError as error:
        found.append(unreadable(image, error))
        return None


def _read(path: Path | Record) -> bytes:
    try:
        return path.read() if isinstance(path, Record) else path.read_bytes()
    except UsageError:  # of the place: nothing is wrong with this image
        raise
    except Exception as error:  # each kind of archive and remote place has errors of its own
        raise ImageError(f"cannot be read: {error}") from error


def read_stored(image: Path | Record | bytes) -> Header:
    """Header of an image's file, record or bytes; a video frame counts as a turned JPEG, since it must be encoded."""
    if isinstance(image, VideoFrame):
        return Header("JPEG", "RGB", (image.image_size or (0, 0))[::-1], True)
    try:
        return read_header(image)
    except UsageError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise ImageError(f"cannot be read: {error}") from error


def unreadable(image: Annotated, error: Exception) -> Problem:
    """The problem of an image that cannot be read after all."""
    return Problem(UNREADABLE, str(image.path or image.name), f"{error}; left out")


def to_bytes(image: Image.Image, kind: str) -> bytes:
    """An image as a JPEG of quality 95 where it came from a JPEG, else as a PNG."""
    file = io.BytesIO()
    if kind == "JPEG":
        image.save(file, format="JPEG", quality=95, subsampling=0)
    else:
        image.save(file, format="PNG")
    return file.getvalue()


def _path(image: Annotated) -> Path | Record:
    if image.path is None:
        raise ImageError("the place of the image is unknown")
    return image.path
