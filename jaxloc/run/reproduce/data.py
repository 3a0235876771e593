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

EVERYTHING = "object"
"""The name of a set of images of all classes."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Images that a table is measured on.

    Attributes:
        name: of the data set.
        place: as the user named it.
        images: annotations of every image, by name.
        numbers: of the images of each class, in the order of ``images`` that have an image.
        part: where they are read from.
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
        return ImageSet(EVERYTHING, Sources([("", self.part)]).take(chosen))

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
    """Check that this can be the data of a table, without opening it.

    Args:
        table: the table to measure.
        place: ``NAME:FOLDER``, ``NAME:tfds``, the folder alone where the table knows one data set only, or a COCO file
            with classes of the table.

    Returns:
        the file, or ``NAME/SPLITS:ROOT`` as the table takes it.

    Raises:
        UsageError: nothing is there, or it is another data set or split.
    """
    text = os.fspath(place)
    known = " or ".join(f"{name}:FOLDER" for name in table.sets)
    if not is_spec(text) and Path(text).is_file():
        if Path(text).suffix.lower() != ".json" or table.kind not in ("colocalization", "noise", "cost"):
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
    """Open the data of a table.

    Args:
        table: the table to measure.
        data: as ``find_data`` returns.
        limit: maximum number of images of each class, and for retrieval of each of its splits.

    Raises:
        UsageError: it does not hold the data set, or no image of it is there.
    """
    if not is_spec(data):
        return _limited(_from_coco(table, data), limit, by_split=False)
    opened = open_dataset(data)
    problems = tuple(summarize(opened.problems))
    prepared = _prepared(parse(data).name, data, opened.images, opened.place, problems, "")
    return _limited(prepared, limit, by_split=table.kind == "retrieval")


def _from_coco(table: Table, text: str) -> Prepared:
    read = annotations.read(text)
    return _prepared(
        table.sets[0],
        text,
        read.images,
        Path(text).parent.absolute().as_posix(),
        tuple(read.summary()),
        f"the images of a COCO file ({len(read.images):,}), which need not be the data set's",
    )


def _prepared(
    name: str, text: str, images: Mapping[str, Annotated], place: str, problems: tuple[str, ...], subset: str
) -> Prepared:
    missing = [image.name for image in images.values() if image.path is None]
    if len(missing) == len(images):
        raise UsageError(f"{text}: none of its {len(images):,} images is there, such as {next(iter(images), 'any')!r}")
    if missing:
        problems += (f"{len(missing)} × missing image, such as {missing[0]}",)
    part = DatasetPart(place, images)
    return Prepared(name, text, images, part.members(), part, problems, subset)


def _limited(prepared: Prepared, limit: int | None, *, by_split: bool) -> Prepared:
    """The first images of each class, or of each class and split."""
    if limit is None:
        return prepared
    numbers = {}
    for category, all_of_it in prepared.numbers.items():
        groups: dict[tuple[str, ...], list[int]] = {}
        for number in all_of_it.tolist():
            splits = prepared.images[prepared.part.name(number)].splits if by_split else ()
            groups.setdefault(splits, []).append(number)
        numbers[category] = np.sort([number for some in groups.values() for number in some[:limit]]).astype(int)
    why = f"the first {limit} images of each class{' and split' if by_split else ''}"
    subset = f"{prepared.subset}; {why}" if prepared.subset else why
    return dataclasses.replace(prepared, numbers=numbers, subset=subset, cut=True)
