"""What a data set is once it has been opened: images, what disagrees in it, and whom queries should find."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from jaxloc.data.annotations.problems import Problem
from jaxloc.data.annotations.records import Annotated, Box
from jaxloc.data.datasets.parts import DatasetPart, LazyImages, set_names
from jaxloc.data.sources import Part


@dataclasses.dataclass(frozen=True)
class Info:
    """What is worth knowing of a data set before one has it.

    Attributes:
        name: that specs begin with.
        title: as its authors call it.
        holds: what it says of each image.
        size: images, classes, bytes.
        licence: or the terms of use, as its page states them.
        page: official address.
        get: commands or addresses that fetch it.
        layout: what is expected below the root, one line each.
        splits: names that specs may choose from.
        papers: that are measured on it, and what they measure.
        tfds: its name at tensorflow-datasets, where that copy can be read.
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
    papers: tuple[str, ...] = ()
    tfds: str | None = None
    notes: tuple[str, ...] = ()


class Query(NamedTuple):
    """A query of a retrieval protocol.

    Attributes:
        name: of the query.
        image: name of the image that holds it.
        box: of what is looked for; ``None`` for the whole image.
        judged: names of images by judgement: ``good``, ``ok`` and ``junk``; or ``easy``, ``hard`` and ``junk``.
    """

    name: str
    image: str
    box: Box | None
    judged: Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set on this machine.

    Attributes:
        info: what is known of it anyway.
        place: the folder that names are relative to, or ``tfds://NAME``.
        images: by name. Of ImageNet's folders the annotations are read when an image is asked for.
        queries: of a retrieval protocol, else empty.
        problems: what disagrees in all that has been read so far.
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
        """For each class the names of the images that co-localisation is run on; see ``set_names``."""
        if isinstance(self.images, LazyImages):
            return self.images.sets()
        found: dict[str, list[str]] = {}
        for name, image in self.images.items():
            for category in set_names(image):
                found.setdefault(category, []).append(name)
        return dict(sorted(found.items()))
