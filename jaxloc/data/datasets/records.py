"""A data set, before and after it is opened."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from jaxloc.data.annotations.problems import Problem
from jaxloc.data.annotations.records import Annotated, Box
from jaxloc.data.datasets.parts import DatasetPart, LazyImages
from jaxloc.data.sources import Part


@dataclasses.dataclass(frozen=True)
class Info:
    """Facts about a data set.

    Attributes:
        name: start of its specs.
        title: its authors' name for it.
        holds: kinds of annotation.
        size: images, classes, bytes.
        licence: licence or terms of use as its page states them.
        page: official address.
        get: commands or addresses to fetch it.
        layout: files expected below the root, one line each.
        splits: names that specs may choose from.
        papers: papers that measure on it, and what they measure.
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
    papers: tuple[str, ...] = ()
    tfds: str | None = None
    notes: tuple[str, ...] = ()


class Query(NamedTuple):
    """A query of a retrieval protocol.

    Attributes:
        name: of the query.
        image: name of the image that holds it.
        box: of the object; ``None`` for the whole image.
        judged: names of images by judgement: ``good``, ``ok`` and ``junk``; or ``easy``, ``hard`` and ``junk``.
    """

    name: str
    image: str
    box: Box | None
    judged: Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """An opened data set.

    Attributes:
        info: facts about it.
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
