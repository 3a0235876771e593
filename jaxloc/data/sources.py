"""Images to read, wherever they are: one record type, and sequences of records that stay small however long."""

import abc
import array
import bisect
import operator
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from jaxloc._interrupts import checked
from jaxloc.errors import UsageError


class Record(abc.ABC):
    """One encoded image inside an archive or at a remote place; hashable, and read from any thread or process.

    ``str`` gives its place as a person would write it, such as ``photos.tar#dogs/a.jpg``.
    """

    @property
    def size_in_bytes(self) -> int | None:
        """Bytes of the encoded image, where they are known without reading it."""
        return None

    @property
    def archive_bytes(self) -> int | None:
        """Bytes of the file that the image lies in among others, where they are known."""
        return None

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Rows and columns of the image, upright, where they are known without reading it."""
        return None

    @abc.abstractmethod
    def read(self) -> bytes:
        """The encoded image.

        Raises:
            ImageError: something is wrong with this image alone.
            OSError: its own file cannot be read.
            UsageError: what it lies in cannot be read.
        """

    def read_start(self, count: int) -> bytes:
        """At least the first ``count`` bytes, or all: no more than that is read where the place allows it."""
        return self.read()


def bytes_of(path: Path | Record) -> int:
    """What tells an image from another that took its place, without reading it.

    Returns:
        bytes of its file or record, else of the archive that it lies in; -1 where neither can be told.
    """
    if isinstance(path, Record):
        known = path.archive_bytes if path.size_in_bytes is None else path.size_in_bytes
        return -1 if known is None else known
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


class Source(NamedTuple):
    """One image to read.

    Attributes:
        path: the file, or the record.
        name: unique within a job, with forward slashes: a file's path relative to what the user pointed at, a
            record's name within its archive (its number, padded with zeros, where records have no names).
        label: its class, where its place says one.
    """

    path: Path | Record
    name: str
    label: str | None = None

    @property
    def file(self) -> Path:
        """The local file, for work that needs one.

        Raises:
            UsageError: the image lies inside an archive or at a remote place.
        """
        if isinstance(self.path, Record):
            raise UsageError(f"{self.path}: images have to be files of this machine here: copy or unpack them first")
        return self.path


class Texts(Sequence[str]):
    """Many short texts in two arrays instead of as many objects.

    Args:
        texts: in order.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        joined, ends = bytearray(), array.array("q", [0])
        for text in checked(texts):
            joined += text.encode("utf-8", "surrogateescape")
            ends.append(len(joined))
        self._joined, self._ends = bytes(joined), np.array(ends, np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        number = range(len(self))[index]
        return self._joined[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogateescape")


class Labels:
    """One label, or none, for each of many images.

    Args:
        labels: in order.

    Attributes:
        classes: the different labels, in order of appearance.
        codes: int32 ``[n]``, the place of each image's label in ``classes``; -1 for none.
    """

    def __init__(self, labels: Iterable[str | None]) -> None:
        known: dict[str, int] = {}
        codes = array.array("i")
        for label in checked(labels):
            codes.append(-1 if label is None else known.setdefault(label, len(known)))
        self.classes = list(known)
        self.codes = np.array(codes, np.int32)

    def __getitem__(self, number: int) -> str | None:
        code = self.codes[number]
        return None if code < 0 else self.classes[code]

    def members(self) -> dict[str, np.ndarray]:
        """The numbers of the images of each label, rising."""
        order = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[order], np.arange(len(self.classes) + 1))
        return {name: order[starts[code] : starts[code + 1]] for code, name in enumerate(self.classes)}


class Part(abc.ABC):
    """Images that lie together: a folder's files, or the records of one archive.

    Attributes:
        place: what they lie in.
        labels: of each, where the place says them; see ``find_labels``.
    """

    place: str
    labels: Labels | None = None

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def name(self, number: int) -> str:
        """The image's name within this part."""

    @abc.abstractmethod
    def path(self, number: int) -> Path | Record:
        """Where the image is read from."""

    def find_labels(self) -> Labels | None:
        """The labels, read for this from every record where an index does not hold them."""
        return self.labels


class Files(Part):
    """Single local files below one folder.

    Args:
        folder: what the names are relative to.
        names: of the files, with forward slashes.
        labels: of the files.
    """

    def __init__(self, folder: str, names: Iterable[str], labels: Labels | None = None) -> None:
        self.place, self.labels = folder, labels
        self._names = Texts(names)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, number: int) -> str:
        """The file's path relative to the folder."""
        return self._names[number]

    def path(self, number: int) -> Path:
        """The file."""
        return Path(f"{self.place}/{self._names[number]}")


class Sources(Sequence[Source]):
    """Images of several parts in a row, made when they are asked for.

    A slice is again such a sequence, so ``sources[host::hosts]`` are disjoint exact shards, and reading may start
    anywhere.

    Args:
        parts: in order, each with what its names begin with.
        chosen: numbers of the images that are taken, counted over all parts; ``None`` means all.
    """

    def __init__(self, parts: Sequence[tuple[str, Part]], chosen: range | np.ndarray | None = None) -> None:
        self._parts = list(parts)
        self._starts = [0]
        for _, part in self._parts:
            self._starts.append(self._starts[-1] + len(part))
        self._chosen = range(self._starts[-1]) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> "Sources": ...
    def __getitem__(self, index: "int | slice") -> "Source | Sources":
        if isinstance(index, slice):
            return Sources(self._parts, self._chosen[index])
        number = int(self._chosen[operator.index(index)])
        place = bisect.bisect_right(self._starts, number) - 1
        prefix, part = self._parts[place]
        within = number - self._starts[place]
        return Source(part.path(within), prefix + part.name(within), part.labels[within] if part.labels else None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} images in {', '.join(part.place or os.sep for _, part in self._parts)}>"

    def take(self, numbers: np.ndarray) -> "Sources":
        """The images of these numbers, in this order."""
        chosen, numbers = self._chosen, np.asarray(numbers)
        picked = chosen.start + chosen.step * numbers if isinstance(chosen, range) else chosen[numbers]
        return Sources(self._parts, picked)


class ImageSet(NamedTuple):
    """Images that share an object.

    Attributes:
        name: the category, from the folder's name or the label.
        sources: files in order of name, then the records of each archive in the order they are stored.
    """

    name: str
    sources: Sequence[Source]
