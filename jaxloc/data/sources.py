"""Records of encoded images, and compact sequences of them."""

import abc
import bisect
import dataclasses
import operator
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, overload

import numpy as np

from jaxloc.errors import ImageError, UsageError

_SURROGATE = re.compile("[\ud800-\udfff]")


def escaped(text: str) -> str:
    r"""``text`` with ``\xff`` for each byte of a file name that is not UTF-8."""
    return _SURROGATE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)


class Record(abc.ABC):
    """One encoded image inside an archive or at a remote place; hashable, picklable and readable from any thread.

    ``str`` gives its place as a person would write it, such as ``photos.tar#dogs/a.jpg``.

    Attributes:
        size_in_bytes: of the encoded image, if known without reading it.
        archive_bytes: of the file that holds the image among others, if known.
        image_size: rows and columns, upright, if known without reading the image.
    """

    size_in_bytes: int | None = None
    archive_bytes: int | None = None
    image_size: tuple[int, int] | None = None

    @abc.abstractmethod
    def read(self) -> bytes:
        """Read the encoded image.

        Raises:
            ImageError: this image alone cannot be read.
            OSError: its own file cannot be read.
            UsageError: the archive or place that holds it cannot be read.
        """

    def read_start(self, count: int) -> bytes:
        """Read at least the first ``count`` bytes, or all; the whole image unless the place supports ranges."""
        return self.read()


@dataclasses.dataclass(frozen=True)
class NotUtf8(Record):
    """A local file whose name is not UTF-8, by its escaped path; it is skipped."""

    place: str

    def __str__(self) -> str:
        return self.place

    def read(self) -> bytes:
        """Refuse."""
        raise ImageError("its name is not UTF-8: rename it")


def bytes_of(path: Path | Record) -> int:
    """Bytes of an image's file or record, else of its archive, else -1: what tells it from another put in its place."""
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
        path: the file or record.
        name: unique within a job, with forward slashes: a file's path relative to what the user gave, a record's name
            within its archive, or its zero-padded number if records have no names.
        label: its class, if its place gives one.
    """

    path: Path | Record
    name: str
    label: str | None = None

    @property
    def file(self) -> Path:
        """The local file; raises ``UsageError`` for an image inside an archive or at a remote place."""
        if isinstance(self.path, Record):
            raise UsageError(f"{self.path}: images have to be files of this machine here: copy or unpack them first")
        return self.path


def compact(texts: Iterable[str]) -> Any:
    """An Arrow array of many short texts, escaped, which needs less memory than an object each."""
    import pyarrow as pa

    return pa.array(map(escaped, texts), pa.large_string())


class Labels:
    """A label or ``None`` for each of many images.

    Attributes:
        classes: the different labels, in order of appearance.
        codes: int32 ``[n]``, index of each image's label in ``classes``; -1 for none.
    """

    def __init__(self, labels: Iterable[str | None]) -> None:
        known: dict[str, int] = {}
        codes = [-1 if label is None else known.setdefault(escaped(label), len(known)) for label in labels]
        self.classes = list(known)
        self.codes = np.array(codes, np.int32)

    def __getitem__(self, number: int) -> str | None:
        code = self.codes[number]
        return None if code < 0 else self.classes[code]

    def members(self) -> dict[str, np.ndarray]:
        """Numbers of the images of each label, ascending."""
        order = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[order], np.arange(len(self.classes)))
        return dict(zip(self.classes, np.split(order, starts)[1:], strict=True))


class Part(abc.ABC):
    """Images that lie together: the files of a folder, or the records of one archive.

    Attributes:
        place: the folder or archive.
        labels: of each image, if the index holds them; see ``find_labels``.
        ignored: what other files there are (a ``jaxloc.data.foreign.Kind``), by name.
    """

    place: str
    labels: Labels | None = None
    ignored: Mapping[str, Any] = MappingProxyType({})

    @abc.abstractmethod
    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """Name of an image within this part; by default its number in eight digits."""
        return f"{number:08}"

    @abc.abstractmethod
    def path(self, number: int) -> Path | Record:
        """File or record of an image."""

    def find_labels(self) -> Labels | None:
        """The labels; reads every record if the index does not hold them."""
        return self.labels

    def members(self) -> dict[str, np.ndarray]:
        """Numbers of the images of each label, ascending; empty without labels."""
        labels = self.find_labels()
        return labels.members() if labels else {}


class Files(Part):
    """Local files below one folder, by their names there with forward slashes."""

    def __init__(self, folder: str, names: Sequence[str], labels: Labels | None = None) -> None:
        self.place, self.labels, self._names = folder, labels, compact(names)
        self._not_utf8 = {number for number, name in enumerate(names) if escaped(name) != name}

    def __len__(self) -> int:
        return len(self._names)

    def name(self, number: int) -> str:
        """Path of a file relative to the folder."""
        return self._names[number].as_py()

    def path(self, number: int) -> Path | Record:
        """Path of a file."""
        place = f"{self.place}/{self.name(number)}"
        return NotUtf8(place) if number in self._not_utf8 else Path(place)


class Sources(Sequence[Source]):
    """Images of several parts, created on access.

    A slice is again such a sequence: ``sources[host::hosts]`` are disjoint and complete.

    Args:
        parts: in order, each with the prefix of its names.
        chosen: numbers of the images taken, counted over all parts; ``None`` means all.
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
        sources: files in order of name, then the records of each archive in stored order.
    """

    name: str
    sources: Sequence[Source]
