"""Labelled images for training, in planned batches of few shapes, so that each step can be repeated."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxloc.data import Item, Source, annotations, choose_buckets, find_sets, read_image
from jaxloc.data.ahead import read_ahead
from jaxloc.data.annotations import Annotated
from jaxloc.data.batches import pad
from jaxloc.errors import ImageError, UsageError
from jaxloc.options import NetworkOptions, workers_of
from jaxloc.run.plan import read_sizes

_BUCKETS, _STEP = 4, 32
"""Maximum number of padded shapes, each of which compiles the training step; sides are multiples of the second."""


class LabelledBatch(NamedTuple):
    """Images of one bucket, zero-padded to its shape.

    Attributes:
        images: uint8 ``[n, rows, columns, 3]``.
        sizes: int32 ``[n, 2]``, valid rows and columns; 0 for invalid entries.
        targets: int32 ``[n]``, numbers of classes; or bool ``[n, classes]``, see ``LabelledImages``.
        counted: bool ``[n]``, False for invalid entries.
    """

    images: np.ndarray
    sizes: np.ndarray
    targets: np.ndarray
    counted: np.ndarray


class LabelledImages:
    """Images with one class each: by their names, or the labels of a data set or archive, or their sub-folders.

    With ``annotated``, images by name as ``annotated_images`` reads them, each has any number of classes, its
    ``labels``; ``paths`` are not read.

    Images with a side shorter than ``minimum_side`` are skipped; those whose shorter side exceeds ``max_side`` pixels
    are shrunk to it, with 0 never.

    Attributes:
        sources: usable images in order of name.
        targets: int32 ``[n]``, the number of each image's class; or bool ``[n, classes]``, which ones it has.
        strata: int32 ``[n]``, the class by which an image is drawn: the rarest that it has, -1 for none.
        skipped: reasons by name of the image.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        labels: Mapping[str, str] | None = None,
        *,
        annotated: Mapping[str, Annotated] | None = None,
        minimum_side: int,
        max_side: int,
        workers: int | None = None,
        exclude: Sequence[Path] = (),
    ) -> None:
        self._limit = max_side or None
        self._workers = workers or workers_of(NetworkOptions())
        multi_label = annotated is not None
        listed = _with_labels(paths, labels, exclude) if annotated is None else _with_objects(annotated)
        found = sorted(listed, key=lambda pair: pair[0].name)
        sources = [source for source, _ in found]
        seen = read_sizes(sources, max_side=max_side, workers=self._workers, shown=True)
        self.skipped: dict[str, str] = {}
        self.sources: list[Source] = []
        self._sizes: list[tuple[int, int]] = []
        kept = []
        for (source, label), (rows, columns) in zip(found, seen.tolist(), strict=True):
            if min(rows, columns) < minimum_side:
                self.skipped[source.name] = _reason(source, (rows, columns), minimum_side)
                continue
            self.sources.append(source)
            self._sizes.append((rows, columns))
            kept.append(label)
        self.classes = tuple(sorted({label for some in kept for label in some}))
        if multi_label and not self.classes:
            raise UsageError("no usable image has an object or a class to learn: pass annotated images")
        if not multi_label and len(self.classes) < 2:
            known = f"only of {self.classes[0]!r}" if self.classes else "of no class"
            raise UsageError(
                f"there are usable images {known}, and telling classes apart needs two: "
                "pass a folder with one sub-folder of images for each class"
            )
        has = np.array([[name in some for name in self.classes] for some in kept], bool)
        rarest = np.where(has, has.sum(0), len(has) + 1).argmin(1)
        self.strata = np.where(has.any(1), rarest, -1).astype(np.int32)
        self.targets = has if multi_label else self.strata
        self._bucket = choose_buckets(Counter(sorted(self._sizes)), limit=_BUCKETS, step=_STEP)

    def fingerprint(self) -> str:
        """SHA-256 over names, classes and file sizes, which must not change when a training resumes."""
        listed = [
            (source.name, self._named(target), source.file.stat().st_size)
            for source, target in zip(self.sources, self.targets, strict=True)
        ]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def _named(self, target: np.ndarray) -> str | list[str]:
        return [self.classes[number] for number in np.flatnonzero(target)] if target.ndim else self.classes[target]

    def plan(self, numbers: np.ndarray, batch: int) -> list[list[int]]:
        """Group images ``numbers`` of one bucket into batches, in the order given; incomplete batches come last."""
        waiting: dict[tuple[int, int], list[int]] = {}
        full = []
        for number in map(int, numbers):
            shape = self._bucket(self._sizes[number])
            together = waiting.setdefault(shape, [])
            together.append(number)
            if len(together) == batch:
                full.append(waiting.pop(shape))
        return full + [together for _, together in sorted(waiting.items())]

    def batches(
        self, plan: Sequence[Sequence[int]], batch: int, *, flipped: Callable[[int], bool] = lambda _: False
    ) -> Iterator[LabelledBatch]:
        """Decode ahead in threads and yield the batches of a ``plan``, each padded to ``batch`` entries.

        ``flipped(number)`` tells whether an image is mirrored.
        """

        def read(number: int) -> np.ndarray | str:
            try:
                pixels = read_image(self.sources[number].path, shorter_side=self._limit).pixels
            except ImageError as error:
                return str(error)
            if pixels.shape[:2] != self._sizes[number]:
                return "its header says another size than it has"
            return pixels[:, ::-1] if flipped(number) else pixels

        numbers = [number for together in plan for number in together]
        decoded = read_ahead(read, numbers, workers=self._workers, ahead=2 * batch + self._workers)
        for together in plan:
            items = []
            for number in together:
                pixels = next(decoded)
                if isinstance(pixels, str):
                    self.skipped[self.sources[number].name] = pixels
                else:
                    items.append(Item(number, pixels, self._sizes[number]))
            padded = pad(items, self._bucket(self._sizes[together[0]]), batch)
            counted = padded.indices >= 0
            targets = self.targets[padded.indices]
            targets[~counted] = 0
            yield LabelledBatch(padded.images, padded.sizes, targets, counted)


def _reason(source: Source, size: tuple[int, int], minimum_side: int) -> str:
    if all(size):
        return f"too small: {size[1]}×{size[0]} pixels, and {minimum_side} a side are needed"
    try:
        read_image(source.path)
    except ImageError as error:
        return str(error)
    return "its size cannot be read from its header"


def _with_labels(
    paths: Sequence[str | os.PathLike[str]], labels: Mapping[str, str] | None, exclude: Sequence[Path]
) -> Iterator[tuple[Source, tuple[str, ...]]]:
    sets = find_sets(paths, per_folder=labels is None, exclude=exclude)
    sets.tell_ignored()
    names = [source.name for images in sets for source in images.sources]
    missing = [] if labels is None else [name for name in names if name not in labels]
    if missing:
        first = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise UsageError(f"no label for {first}: add it, or leave the image out")
    for images in sets:
        for source in images.sources:
            yield source, ((source.label or images.name) if labels is None else labels[source.name],)


def annotated_images(paths: Sequence[str | os.PathLike[str]]) -> dict[str, Annotated]:
    """Images of annotated sets by name, with their path in front if there are several sets."""
    found: dict[str, Annotated] = {}
    for path in paths:
        images = annotations.read(path).images
        if not any(image.path for image in images.values()):
            first = next(iter(images), "any")
            raise UsageError(f"{path}: none of its {len(images):,} images is there, such as {first!r}")
        found |= {name if len(paths) == 1 else f"{path}/{name}": image for name, image in images.items()}
    return found


def _with_objects(images: Mapping[str, Annotated]) -> Iterator[tuple[Source, tuple[str, ...]]]:
    for name, image in images.items():
        if image.path is not None:
            yield Source(image.path, name), tuple(sorted(image.labels))
