"""Telling formats apart by content, whatever a file is called."""

import zipfile
from pathlib import Path

from jaxloc.errors import WeightsError
from weights_convert import caffe_file, keras_file, matconvnet_file, torch_file


def recognise(path: Path) -> str:
    """The format of a file: one of ``FORMATS``.

    Raises:
        WeightsError: none of them.
        OSError: missing or unreadable.
        zipfile.BadZipFile: a damaged archive.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            return "keras" if keras_file.ARCHIVED in archive.namelist() else "torch"
    if head.startswith(b"\x80"):
        return "torch" if torch_file.PLAIN_MAGIC in head[:64] else "lpips"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if head.startswith((matconvnet_file.VERSION_5, matconvnet_file.VERSION_73)):
        return "matconvnet"
    if head[8:9] == b"{":
        return "safetensors"
    if caffe_file.starts(head):
        return "caffe"
    raise WeightsError(
        f"{path}: of no known format, it begins with {head[:12]!r}: "
        "look whether the download saved a web page instead, or name the format"
    )
