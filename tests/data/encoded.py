"""Small encoded images, archives of them, and folders of empty files, for the tests of sources."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from jaxloc.data import ImageSet, read_image


def image(shade: int, *, rows: int = 6, columns: int = 9, kind: str = "PNG") -> bytes:
    """An encoded image of one shade."""
    file = io.BytesIO()
    Image.fromarray(np.full((rows, columns, 3), shade, np.uint8)).save(file, kind)
    return file.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write members in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return path


def names_of(sets: list[ImageSet]) -> dict[str, list[str]]:
    """Names of the images by set."""
    return {images.name: [source.name for source in images.sources] for images in sets}


def shades_of(images: ImageSet) -> list[int]:
    """The shade of each image, decoded."""
    return [int(read_image(source.path).pixels[0, 0, 0]) for source in images.sources]


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> Path:
    """Encode an image as the file's name says."""
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def attribute(path: Path, name: str) -> object:
    """What Pillow says of a file, so that a test knows what it has written."""
    with Image.open(path) as image:
        return getattr(image, name)


def plant(folder: Path, *names: str) -> Path:
    """Make empty files, and the folders they are in."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder
