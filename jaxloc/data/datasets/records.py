"""A data set, before and after it is opened."""

import bisect
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxloc.data.annotations.problems import Problem
from jaxloc.data.annotations.records import Annotated, Box
from jaxloc.data.sources import Labels, Part, Record


@dataclasses.dataclass(frozen=True)
class Info:
    """Facts about a data set.

    Attributes:
        title: its authors' name for it.
        holds: kinds of annotation.
        size: images, classes, bytes.
        licence: licence or terms of use as its page states them.
        get: commands or addresses to fetch it.
        layout: files expected below the root, one line each.
        splits: names that specs may choose from.
        tfds: its name in tensorflow-datasets, if that copy can be read.
        notes: decisions taken in reading it.
    """

    name: str
    title: str
    holds: str
    size: str
    licence: str
    page: str
    get: tuple[str, ...]
    layout: tuple[str, ...]
    splits: tuple[str, ...] = ()
    tfds: str | None = None
    notes: tuple[str, ...] = ()


class Query(NamedTuple):
    """A query of a retrieval protocol.

    Attributes:
        image: name of the image that holds it.
        box: of the object; ``None`` for the whole image.
        judged: names of images by judgement: ``good``, ``ok`` and ``junk``; or ``easy``, ``hard`` and ``junk``.
    """

    name: str
    image: str
    box: Box | None
    judged: Mapping[str, tuple[str, ...]]


def set_names(image: Annotated) -> list[str]:
    """Classes whose sets an image belongs to.

    The image's own class, or else the classes of its objects that are not difficult, truncated or crowds, as the
    co-localisation papers choose the images of PASCAL VOC (Cho et al., CVPR 2015; Wei et al., 2019).
    """
    if image.category is not None:
        return [image.category]
    plain = (one.category for one in image.annotations if not (one.difficult or one.truncated or one.crowd))
    return sorted(set(plain))


class DatasetPart(Part):
    """Images of a data set whose annotations have been read; ``place`` is what their names are relative to."""

    def __init__(self, place: str, images: Mapping[str, Annotated]) -> None:
        self.place = place
        self._images = [image for image in images.values() if image.path is not None]
        self._sets = [set_names(image) for image in self._images]
        self.labels = Labels(names[0] if len(names) == 1 else None for names in self._sets)

    def __len__(self) -> int:
        return len(self._images)

    def name(self, number: int) -> str:
        """Name of the image in the data set."""
        return self._images[number].name

    def path(self, number: int) -> Path | Record:
        """File or record of the image."""
        path = self._images[number].path
        if path is None:
            raise ValueError(f"{self._images[number].name} has no image")
        return path

    def members(self) -> dict[str, np.ndarray]:
        """Numbers of the images of each class; an image with two classes is in both."""
        found: dict[str, list[int]] = {}
        for number, names in enumerate(self._sets):
            for name in names:
                found.setdefault(name, []).append(number)
        return {name: np.array(numbers) for name, numbers in found.items()}


class LazyImages(Mapping[str, Annotated]):
    """Images in order of name, whose annotations ``read`` gets by number, on access."""

    def __init__(self, part: Part, read: Callable[[int], Annotated]) -> None:
        self.part = part
        self._read = read

    def __getitem__(self, name: str) -> Annotated:
        number = bisect.bisect_left(range(len(self.part)), name, key=self.part.name)
        if number == len(self.part) or self.part.name(number) != name:
            raise KeyError(name)
        return self._read(number)

    def __iter__(self) -> Iterator[str]:
        return (self.part.name(number) for number in range(len(self.part)))

    def __len__(self) -> int:
        return len(self.part)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """An opened data set.

    Attributes:
        place: folder that names are relative to, or ``tfds://NAME``.
        images: by name. ImageNet's annotations are read on access.
        queries: of a retrieval protocol, else empty.
        problems: disagreements in what has been read so far.
    """

    info: Info
    place: str
    images: Mapping[str, Annotated]
    queries: tuple[Query, ...]
    problems: list[Problem]

    def part(self) -> Part:
        """The images, for jobs."""
        return self.images.part if isinstance(self.images, LazyImages) else DatasetPart(self.place, self.images)

    def sets(self) -> dict[str, list[str]]:
        """Names of the images co-localised for each class; see ``set_names``."""
        part = self.part()
        return {name: list(map(part.name, numbers)) for name, numbers in sorted(part.members().items())}
