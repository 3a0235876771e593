"""The images of a labelled set and their items, as arrays to train on and to compare counts with."""

import hashlib
import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxloc.data import Source, annotations
from jaxloc.data.annotations import Annotated
from jaxloc.errors import UsageError
from jaxloc.run.frozen import identities

_VALIDATION = ("val", "valid", "validation")


class Items(NamedTuple):
    """The items of all images, padded to the greatest number in one.

    Attributes:
        boxes: float32 ``[n, m, 4]``, ``x0, y0, x1, y1`` as shares of the image's width and height.
        classes: int32 ``[n, m]``.
        valid: bool ``[n, m]``.
    """

    boxes: np.ndarray
    classes: np.ndarray
    valid: np.ndarray

    def counts(self, numbers: np.ndarray, classes: int) -> np.ndarray:
        """Number of items of each class in each of these images: int ``[len(numbers), classes]``."""
        counts = np.zeros((len(numbers), classes), np.int64)
        images, places = np.nonzero(self.valid[numbers])
        np.add.at(counts, (images, self.classes[numbers][images, places]), 1)
        return counts


class LabelledSet:
    """The images of a set that have a size and a file, and their items without crowds.

    Attributes:
        images: in the set's order, those of a split test left out.
        classes: names, sorted.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        found = annotations.read(place).images.values()
        self.images = [image for image in found if image.path and image.width and image.splits != ("test",)]
        self.sources = [Source(image.path, image.name) for image in self.images if image.path is not None]
        self.classes = tuple(sorted({one.category for image in self.images for one in _items(image)}))
        if not self.classes:
            raise UsageError(
                f"{place}: has no image with a box whose file is there: give a set with its images, such as what "
                "`jaxloc checkout compose` writes"
            )
        self.items = self._pad()

    def digest(self) -> str:
        """SHA-256 over files and items, which must not change when a training resumes."""
        rows = [values.tobytes() for values in self.items]
        listed = json.dumps([identities(self.sources), self.classes]).encode()
        return hashlib.sha256(b"".join([listed, *rows])).hexdigest()

    def divide(self, usable: np.ndarray, share: float, seed: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Of these numbers of images, those to learn from and those held out: the split val's, or a share."""
        of_split = np.array([bool(set(self.images[number].splits) & set(_VALIDATION)) for number in usable], bool)
        if not of_split.any():
            order = np.random.default_rng(seed).permutation(len(usable))
            of_split = order < max(1, round(share * len(usable)))
        seen, held_out = usable[~of_split], usable[of_split]
        if not len(seen) or not len(held_out):
            raise UsageError(
                f"{len(seen)} images to learn from and {len(held_out)} to validate on, and at least one of each is "
                "needed: give more images"
            )
        return seen, held_out

    def _pad(self) -> Items:
        most = max(len(_items(image)) for image in self.images)
        shape = (len(self.images), most)
        items = Items(np.zeros((*shape, 4), np.float32), np.zeros(shape, np.int32), np.zeros(shape, bool))
        numbers = {name: number for number, name in enumerate(self.classes)}
        for image, boxes, classes, valid in zip(self.images, *items, strict=True):
            some = _items(image)
            sides = np.array([image.width, image.height] * 2, np.float32)
            boxes[: len(some)] = np.array([one.box for one in some], np.float32).reshape(-1, 4) / sides
            classes[: len(some)] = [numbers[one.category] for one in some]
            valid[: len(some)] = True
        return items


def _items(image: Annotated) -> list[annotations.Annotation]:
    return [one for one in image.annotations if not one.crowd]
