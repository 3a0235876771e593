"""Tar shards: plain ones, and those in WebDataset's layout (``key.jpg`` beside ``key.cls``, ``.txt`` or ``.json``).

A link is read as the file before it that it names; other links are not read.
"""

import collections
import dataclasses
import functools
import json
import os
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from typing import IO

import numpy as np

from jaxloc.data import foreign, remote
from jaxloc.data.kinds import archive_kind, is_image, is_left_out, suffix
from jaxloc.data.sources import Labels, Part, Record, compact
from jaxloc.errors import UsageError

_LABELS = ("cls", "txt", "json")
_SIDE = frozenset(
    (
        *("alpha", "annotation", "depth", "disparity", "edge", "edges", "flow", "gt", "instance", "instances", "label"),
        *("labels", "mask", "masks", "matte", "normal", "normals", "panoptic", "saliency", "seg", "segm"),
        *("segmentation", "semantic", "target", "trimap"),
    )
)
"""Words between a sample's name and the extension of an image that belongs to its photograph."""
_FIELDS = ("label", "cls", "class")
_BLOCK = tarfile.BLOCKSIZE

_Place = tuple[int, int]
"""Offset and size of a member in bytes."""


@dataclasses.dataclass(frozen=True)
class TarMember(Record):
    """One file inside an uncompressed tar file, read by its position."""

    archive: str
    name: str
    offset: int
    size_in_bytes: int

    def __str__(self) -> str:
        return f"{self.archive}#{self.name}"

    def read(self) -> bytes:
        """Read the member."""
        return self.read_start(self.size_in_bytes)

    def read_start(self, count: int) -> bytes:
        """Read the first bytes of the member."""
        count = min(count, self.size_in_bytes)
        if not count:
            return b""
        data = remote.persist(self.archive, lambda: remote.read(self.archive, self.offset, self.offset + count))
        if len(data) != count:
            raise remote.lost(self.archive, "has become shorter since it was listed", "copy it again")
        return data


class Tar(Part):
    """The images of one tar file, in its order; of two members with one name the later counts, as for ``tar``."""

    def __init__(self, place: str) -> None:
        self.place = place
        places: dict[str, _Place] = {}
        told: dict[tuple[str, str], str | UsageError | None] = {}
        looked: dict[str, foreign.Kind | None] = {}
        with remote.reaching(place), remote.open_file(place) as file:
            for member in _members(place, file):
                name = _as_relative(member.name)
                target = _target(member, name)
                if target is not None and target not in places:
                    looked[name] = foreign.LINK
                    continue
                places[name] = (member.offset_data, member.size) if target is None else places[target]
                if _is_label(name):
                    told[_split(name)] = _read_label(file, name, places[name])
                elif not (_is_image(name) or is_left_out(name) or foreign.is_text(name) or archive_kind(name)):
                    looked[name] = foreign.look_at(name, functools.partial(_read_start, file, places[name]))
        images = [name for name in places if (looked[name] is None if name in looked else _is_image(name))]
        self.ignored = {name: kind for name, kind in looked.items() if kind is not None and suffix(name)}
        if not images:
            told_of = foreign.but(self.ignored)
            raise UsageError(f"{place}: holds no image{told_of}: a tar shard holds members such as dogs/a.jpg")
        images = self._one_of_each(images, {key for key, _ in told})
        self._names = compact(images)
        self._places = np.array([places[name] for name in images], np.int64)
        beside = [_beside(name, told) for name in images] if told else []
        self.labels = Labels(None if isinstance(one, UsageError) else one for one in beside) if told else None
        self._unreadable = next((one for one in beside if isinstance(one, UsageError)), None)

    def _one_of_each(self, images: list[str], labelled: set[str]) -> list[str]:
        """One image of each WebDataset sample; the others, such as masks, are put into ``ignored``.

        The files of a sample have one name up to its first dot. It is one if a label is beside it, if another image is
        called a mask or the like, or if the same extensions come together again and again (``a.jpg`` and ``a.png``).
        """
        samples: dict[str, list[str]] = {}
        for name in images:
            samples.setdefault(_split(name)[0], []).append(name)
        together = collections.Counter(tuple(sorted(_split(name)[1] for name in some)) for some in samples.values())
        side: dict[str, foreign.Kind] = {}
        for key, some in samples.items():
            kinds = tuple(sorted(_split(name)[1] for name in some))
            pairs = together[kinds] > 1 and len(set(kinds)) > 1 and not any("." in kind for kind in kinds)
            best = min(some, key=_rank)
            others = (one for one in some if one != best and (key in labelled or pairs or _rank(one)[0]))
            side |= dict.fromkeys(others, foreign.MASK)
        self.ignored = {**self.ignored, **side}
        return [name for name in images if name not in side]

    def __len__(self) -> int:
        return len(self._names)

    def name(self, number: int) -> str:
        """Name of the member."""
        return self._names[number].as_py()

    def path(self, number: int) -> TarMember:
        """Position of the member."""
        offset, size = map(int, self._places[number])
        return TarMember(self.place, self.name(number), offset, size)

    def find_labels(self) -> Labels | None:
        """The labels beside the images; raises ``UsageError`` for one that cannot be read."""
        if self._unreadable:
            raise UsageError(f"{self.place}: {self._unreadable}")
        return self.labels


def _members(place: str, file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """Headers of all regular files and links; raises ``UsageError`` if the archive does not end as it should."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    again = "copy or write it again"
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            end = 0
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else all headers stay in memory
                end = tar.offset
                if end > length:
                    raise UsageError(f"{place}: truncated in {member.name} ({length} bytes): {again}")
                if member.isreg() or member.islnk() or member.issym():
                    yield member
    except tarfile.TarError as error:
        raise UsageError(f"{place}: not an uncompressed tar file, or damaged ({error}): {again}") from error
    file.seek(end)
    if file.read(_BLOCK) != bytes(_BLOCK):
        what = "truncated" if end + _BLOCK > length else "damaged"
        raise UsageError(f"{place}: {what} at byte {end} of {length}, no end of archive there: {again}")


def _target(member: tarfile.TarInfo, name: str) -> str | None:
    """Name of the member that a link leads to; ``None`` for a regular file."""
    if member.isreg():
        return None
    if member.islnk():
        return _as_relative(member.linkname)
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)).lstrip("/")


def _split(name: str) -> tuple[str, str]:
    """WebDataset's key and extension: the name up to the first dot of its last part, and the rest."""
    folder, slash, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    return folder + slash + stem, extension.lower()


def _is_image(name: str) -> bool:
    return bool(suffix(name)) and is_image(name) and not is_left_out(name)


def _read_start(file: IO[bytes], place: _Place) -> bytes:
    file.seek(place[0])
    return file.read(min(place[1], foreign.START))


def _rank(name: str) -> tuple[bool, int, bool]:
    """Smaller for the image of a sample than for what belongs to it."""
    *words, kind = _split(name)[1].split(".")
    return bool(_SIDE.intersection(words)), len(words), kind not in ("jpg", "jpeg", "webp")


def _is_label(name: str) -> bool:
    return _split(name)[1] in _LABELS and not is_left_out(name)


def _read_label(file: IO[bytes], name: str, place: _Place) -> str | UsageError | None:
    """The label that a file says, or why it cannot be read."""
    file.seek(place[0])
    content = file.read(place[1])
    is_json = name.lower().endswith(".json")
    try:
        if not is_json:
            return content.decode().strip()
        entry = json.loads(content)
    except (ValueError, RecursionError) as error:
        form = "JSON" if is_json else "text"
        return UsageError(f"{name} is not readable as a label ({error}): write it again as {form} in UTF-8")
    value = next((entry[field] for field in _FIELDS if field in entry), None) if isinstance(entry, dict) else entry
    return None if value is None else str(value)


def _beside(name: str, told: Mapping[tuple[str, str], str | UsageError | None]) -> str | UsageError | None:
    """The label beside an image: the first of ``.cls``, ``.txt`` and ``.json`` that says one."""
    key, _ = _split(name)
    found = (told.get((key, extension)) for extension in _LABELS)
    return next((one for one in found if one is not None), None)


def _as_relative(name: str) -> str:
    """A member's name without parts that would lead out of a folder of results."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", "..")) or name
