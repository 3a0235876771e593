"""The data set of a table: opened, checked, and limited if requested."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from jaxloc.data import ImageSet, annotations
from jaxloc.data.annotations import Annotated
from jaxloc.data.annotations.problems import summarize
from jaxloc.data.datasets import DatasetPart, is_spec, open_dataset, parse
from jaxloc.data.sources import Sources
from jaxloc.errors import UsageError
from jaxloc.run.reproduce.tables import Table

_OF_FILES = ("colocalization", "noise", "points", "detections", "curves")
"""Kinds of table that a COCO file serves."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Images that a table is measured on.

    Attributes:
        images: annotations of every image, by name.
        numbers: of the images of each class, in the order of ``images`` that have an image.
        problems: what disagrees in the data, a line for each kind.
        subset: why these are not all of the paper's images; empty if they are.
        cut: whether images or classes of the data set were left out here.
    """

    name: str
    place: str
    images: Mapping[str, Annotated]
    numbers: Mapping[str, np.ndarray]
    part: DatasetPart
    problems: tuple[str, ...]
    subset: str
    table: Table
    cut: bool = False

    def of_classes(self, classes: Iterable[str]) -> "Prepared":
        """The images of these classes alone."""
        numbers = {name: self.numbers[name] for name in sorted(set(classes) & set(self.numbers))}
        return dataclasses.replace(self, numbers=numbers, cut=self.cut or len(numbers) < len(self.numbers))

    def sets(self) -> list[ImageSet]:
        """An image set for each class."""
        sources = Sources([("", self.part)])
        return [ImageSet(name, sources.take(numbers)) for name, numbers in sorted(self.numbers.items())]

    def together(self) -> ImageSet:
        """All images as one set, each once."""
        chosen = np.unique(np.concatenate(list(self.numbers.values())))
        return ImageSet("object", Sources([("", self.part)]).take(chosen))

    def truth(self) -> dict[str, Annotated]:
        """Annotations of the images; without the objects of classes that an image was left out of."""
        if not self.cut:
            return dict(self.images)
        chosen: dict[str, set[str]] = {}
        for category, numbers in self.numbers.items():
            for number in numbers.tolist():
                chosen.setdefault(self.part.name(number), set()).add(category)
        kept = {name: image for name, image in self.images.items() if name in chosen}
        for name, image in kept.items():
            if image.category is None:
                annotations = tuple(one for one in image.annotations if one.category in chosen[name])
                kept[name] = dataclasses.replace(image, annotations=annotations)
        return kept


def find_data(table: Table, place: str | os.PathLike[str]) -> str:
    """The data of a table as it takes them, a COCO file or ``NAME/SPLITS:ROOT``, from what ``reproduce`` takes.

    Nothing is opened.
    """
    text = os.fspath(place)
    known = " or ".join(f"{name}:FOLDER" for name in table.sets)
    if not is_spec(text) and Path(text).is_file():
        if Path(text).suffix.lower() != ".json" or table.kind not in _OF_FILES:
            raise UsageError(f"{text}: {table.name} takes {known}, and no file of this kind")
        return text
    if not is_spec(text):
        if not Path(text).is_dir():
            raise UsageError(
                f"{text}: no such folder, and no data set that is known: {table.name} takes {known} (`jaxloc datasets "
                f"{table.sets[0]}` tells how to get it)"
            )
        if len(table.sets) > 1:
            raise UsageError(f"{text}: say which data set this is: {known}")
        text = f"{table.sets[0]}:{text}"
    spec = parse(text)
    if spec.name not in table.sets:
        raise UsageError(f"{text}: {table.name} is not measured on {spec.name}: it takes {known}")
    if spec.splits and set(spec.splits) != set(table.splits):
        used = f"on {'+'.join(table.splits)}" if table.splits else "on all splits"
        raise UsageError(f"{text}: {table.name} is measured {used}: write {spec.name}:{spec.root}")
    split = f"/{'+'.join(table.splits)}" if table.splits else ""
    return f"{spec.name}{split}:{spec.root}"


def prepare(table: Table, data: str, *, limit: int | None = None) -> Prepared:
    """Open the data of a table, as ``find_data`` returns them.

    At most ``limit`` images of each class are taken, for retrieval and classification of each of its splits.
    """
    name, subset = table.sets[0], ""
    images: Mapping[str, Annotated]
    if is_spec(data):
        opened = open_dataset(data)
        name, images, place, problems = parse(data).name, opened.images, opened.place, summarize(opened.problems)
    else:
        read = annotations.read(data)
        images, place, problems = read.images, Path(data).parent.absolute().as_posix(), summarize(read.problems)
        subset = f"the images of a COCO file ({len(images):,}), which need not be the data set's"
    missing = [image.name for image in images.values() if image.path is None]
    if len(missing) == len(images):
        raise UsageError(f"{data}: none of its {len(images):,} images is there, such as {next(iter(images), 'any')!r}")
    if missing:
        problems = [*problems, f"{len(missing)} × missing image, such as {missing[0]}"]
    part = DatasetPart(place, images)
    numbers = dict(part.members())
    if limit is not None:
        by_split = table.kind in ("retrieval", "classification", "points", "detections", "checkout", "identities")
        for category, all_of_it in numbers.items():
            groups: dict[tuple[str, ...], list[int]] = {}
            for number in all_of_it.tolist():
                splits = images[part.name(number)].splits if by_split else ()
                groups.setdefault(splits, []).append(number)
            numbers[category] = np.sort([number for some in groups.values() for number in some[:limit]]).astype(int)
        why = f"the first {limit} images of each class{' and split' if by_split else ''}"
        subset = f"{subset}; {why}" if subset else why
    return Prepared(name, data, images, numbers, part, tuple(problems), subset, table, cut=limit is not None)
