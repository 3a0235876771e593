"""A job's findings as plain records: the input of every export, overlay and page."""

import dataclasses
import itertools
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jaxloc import __version__

_Record = TypeVar("_Record")


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One image and the object found in it.

    Attributes:
        name: path relative to what the user pointed at, with forward slashes.
        path: the file, or as text the place of an image inside an archive or on another machine.
        category: the image set it belongs to.
        width: width of the original image as displayed (EXIF orientation applied), in pixels.
        height: height of the original image as displayed, in pixels.
        box: ``x0, y0, x1, y1`` in pixels of the original, half-open; ``None`` where nothing was found.
        score: in [0, 1), how far the object stands out; 0 where nothing was found.
        noise_score: share of cells with a positive indicator (DDT), small where the object is absent; ``None`` for
            methods that have no such measure.
        noisy: whether that share is at or below the noise threshold.
        deviation: float ``[d]``, DDT's, see ``jaxloc.ddt.deviation``; ``None`` for other methods, and if not read.
        heat: int8 ``[h, w]``, the response map minus its threshold, scaled to the image's largest magnitude
            (±127): positive cells are object. ``None`` if not kept.
        thumbnail: a small JPEG of the image, or ``None`` if not kept.
        mask: the object's pixels as COCO's compressed run lengths, of the original image's size; ``None`` if not
            requested or nothing was found.
        parts: boxes of the object's parts, in the order of the set's part detectors; ``None`` for a missing part.
            Empty if not requested.
        note: what else is to be said of the image, such as that its file lacks its last bytes.
        rank: 0 for the first object of its image, 1 for that of the next class, if several were asked for.
        class_name: what the classifier calls the class that it was asked for; ``None`` for methods that ask none.
        probability: of that class in the image; ``None`` likewise.
        point: ``x, y`` in pixels of the original, where the class is seen most; ``None`` for methods without a peak.
        passes: images that the network was asked about; ``None`` likewise.
        regions: those that a search went through, each ``x0, y0, x1, y1`` in pixels of the original and the scores of
            the region cropped and of the image with it erased; empty for methods without.
        objects: box and weight, its share of the saliency or of the object cells, of every region of the image, the
            heaviest, ``box``, first. Empty if not requested.
    """

    name: str
    path: Path | str
    category: str
    width: int
    height: int
    box: tuple[float, float, float, float] | None
    score: float
    found: bool
    noise_score: float | None = None
    noisy: bool = False
    deviation: np.ndarray | None = None
    heat: np.ndarray | None = None
    thumbnail: bytes | None = None
    mask: bytes | None = None
    parts: tuple[tuple[float, float, float, float] | None, ...] = ()
    note: str | None = None
    rank: int = 0
    class_name: str | None = None
    probability: float | None = None
    point: tuple[float, float] | None = None
    passes: int | None = None
    regions: tuple[tuple[float, ...], ...] = ()
    objects: tuple[tuple[float, ...], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped:
    """One image that could not be used, and why (one line, without its name)."""

    name: str
    category: str
    reason: str


class Stored(Sequence[_Record]):
    """Records that are not kept in memory but read on each access, from the first on."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(itertools.islice(self, *index.indices(len(self))))
        return next(itertools.islice(self, range(len(self))[index], None))


class StoredImages(Stored[Finding]):
    """Images that are not kept in memory."""

    @abstractmethod
    def light(self, *, deviations: bool = False) -> Iterator[Finding]:
        """Each image in order; heat maps, thumbnails and, unless asked for, deviations are not read and ``None``."""

    @abstractmethod
    def categories(self) -> set[str]:
        """The names of the image sets; nothing else is read."""


@dataclasses.dataclass(frozen=True)
class Findings:
    """All findings of a job.

    Attributes:
        title: heading, such as the names of the sets.
        settings: what the result depends on, printable, in a fixed order.
        images: in order of name within each category; a list, or ``StoredImages`` if they may not fit in memory.
        skipped: images that could not be used.
        warnings: of each category, such as a doubtful sign.
        score_meaning: meaning of the method's score, such as "at 0.5, …".
        finished_before: whether an earlier call had finished the run.
        begun_before: number of images that earlier calls had processed in part or whole.
        classes_each: number of classes asked for in each image; ``images`` holds one after another.
        part_names: of the parts of every image, if they have names.
    """

    title: str
    method: str
    settings: Mapping[str, str]
    images: Sequence[Finding]
    skipped: Sequence[Skipped]
    warnings: list[str] = dataclasses.field(default_factory=list)
    score_meaning: str = ""
    finished_before: bool = False
    begun_before: int = 0
    classes_each: int = 1
    part_names: Sequence[str] = ()

    def part_name(self, number: int) -> str:
        """The name of a part, counted from 0."""
        return self.part_names[number] if self.part_names else f"part {number + 1}"

    @property
    def number(self) -> int:
        """Number of images with findings."""
        return len(self.images) // self.classes_each

    @property
    def categories(self) -> list[str]:
        """Sorted names of the image sets; reads all images on each access."""
        if isinstance(self.images, StoredImages):
            found = self.images.categories()
        else:
            found = {item.category for item in self.images}
        return sorted(found | {item.category for item in self.skipped})

    def light(self, *, deviations: bool = False) -> Iterator[Finding]:
        """Each image in order; stored images without heat map, thumbnail and, unless asked for, deviation."""
        if isinstance(self.images, StoredImages):
            return self.images.light(deviations=deviations)
        return iter(self.images)

    @property
    def version(self) -> str:
        """The version of jaxloc that found it."""
        return __version__
