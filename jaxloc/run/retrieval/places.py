"""Places of a gallery's images: relative to it where they lie beside it, so that both can be moved together."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from jaxloc.data.sources import escaped


def stored(path: str, gallery: Path) -> str:
    """An absolute path as a gallery keeps it: relative to the gallery if it lies in the same folder or below."""
    for root, short in _roots(gallery):
        if path.startswith(root):
            return short + path.removeprefix(root)
    return path


def resolved(paths: pa.ChunkedArray, gallery: Path) -> pa.ChunkedArray:
    """Paths as a gallery keeps them, made absolute; those that are absolute already stay."""
    for root, short in _roots(gallery):
        whole = pc.binary_join_element_wise(root, pc.utf8_slice_codeunits(paths, len(short)), "")
        paths = pc.if_else(pc.starts_with(paths, short), whole, paths)
    return paths


def _roots(gallery: Path) -> tuple[tuple[str, str], tuple[str, str]]:
    """The gallery's folder and the one around, escaped as the paths of images are, and what stands for each."""
    folder = os.path.abspath(gallery)
    return (escaped(os.path.join(folder, "")), "./"), (escaped(os.path.join(os.path.dirname(folder), "")), "../")
