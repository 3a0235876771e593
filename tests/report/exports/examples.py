"""Images with objects of every kind, on disk."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from jaxloc.data.annotations import Annotated, Annotation, Keypoint, Polygons, Rle

EXIF_TURNED = 6
"""Stored lying on its side: shown with columns and rows exchanged."""


def draw(path: Path, width: int, height: int, *, turned: bool = False) -> Path:
    """An image of noise in large squares, so that a JPEG keeps it well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(width * height).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)
    exif = Image.Exif()
    if turned:
        exif[0x0112] = EXIF_TURNED
    image.save(path, exif=exif)
    return path


def square_mask(width: int, height: int, x: int, y: int, side: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def images(folder: Path) -> list[Annotated]:
    """Three images: two objects with masks and flags, one plain object of another class, and none."""
    disc = Annotation(
        "dog",
        (8.25, 6.5, 30.125, 40.75),
        score=0.625,
        difficult=True,
        mask=Rle.of(square_mask(64, 48, 10, 12, 9)),
        keypoints=(Keypoint("nose", 11.5, 13.25), Keypoint("tail", 0, 0, visible=False)),
        parts=(("head", (9.0, 7.0, 20.0, 18.0)),),
    )
    outlined = Annotation("cat", (40.0, 5.0, 60.0, 25.0), mask=Polygons(48, 64, ((40.0, 5, 60, 5, 60, 25, 40, 25),)))
    flagged = Annotation("cat", (0.0, 0.0, 50.0, 40.0), truncated=True)
    return [
        Annotated(
            "dogs/a.jpg", "dog", (disc, outlined), 64, 48, noise_score=0.25, path=draw(folder / "dogs/a.jpg", 64, 48)
        ),
        Annotated("cats/b.png", None, (flagged,), 50, 40, path=draw(folder / "cats/b.png", 50, 40)),
        Annotated("c.jpg", None, (), 30, 20, path=draw(folder / "c.jpg", 30, 20)),
    ]


def flat(found: list[Annotated]) -> list[Annotated]:
    """The same with names that lie in one folder, as some layouts need them."""
    return [dataclasses.replace(image, name=image.name.replace("/", "_")) for image in found]


def bare(image: Annotated) -> Annotated:
    """Without what has no place in most layouts."""
    objects = tuple(Annotation(one.category, one.box) for one in image.annotations)
    return Annotated(image.name, None, objects, image.width, image.height)
