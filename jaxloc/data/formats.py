"""Formats of images that Pillow decodes here."""

import contextlib
import functools

from PIL import Image

_NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
"""Formats of which Pillow reads the header at most, or has another program draw them."""

_TOLD_BY_START = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "HEIF", "JPEG2000", "JXL")
"""Formats whose first bytes are those of no other file."""


@functools.cache
def decoded() -> tuple[str, ...]:
    """Pillow's names of the formats that are read; HEIF is one of them if ``pillow-heif`` is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.preinit()  # the usual formats come first
    Image.init()
    return tuple(kind for kind in Image.ID if kind not in _NOT_DECODED)


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Extensions of the formats that are read, in lower case with their dots."""
    kinds = decoded()
    return frozenset(extension for extension, kind in Image.registered_extensions().items() if kind in kinds)


def starts_as_image(start: bytes) -> bool:
    """Whether a file with these first 16 bytes or more is an image, by the formats that are told by them."""
    known = (kind for kind in _TOLD_BY_START if kind in decoded())
    return any((accept := Image.OPEN[kind][1]) is not None and accept(start[:16]) is True for kind in known)
