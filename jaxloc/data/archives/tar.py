"""Tar shards: plain ones, and those in WebDataset's layout (``key.jpg`` beside ``key.cls``, ``.txt`` or ``.json``).

A link is the file that it leads to. GNU tar writes one in place of a file that it has written under another name.
"""

import dataclasses
import json
import os
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

import numpy as np

from jaxloc._interrupts import checked
from jaxloc.data import remote
from jaxloc.data.kinds import is_image, suffix
from jaxloc.data.sources import Labels, Part, Record, Texts
from jaxloc.errors import ImageError, UsageError

_LABELS = ("cls", "txt", "json")
_FIELDS = ("label", "cls", "class")
_BLOCK = tarfile.BLOCKSIZE

_CHAIN = 40
"""Links that lead to one another, at most; as many as Linux follows."""

_Place = tuple[int, int]
"""A file's first byte in the tar file, and how many it has."""
_LOST = (-1, -1)
"""In place of it, for a link that leads to no file."""
_LOST_WHY = "a link that leads to no file in the tar file"
_LOST_CURE = "write the tar file again with the files in place of links (tar --dereference)"


class _Said(NamedTuple):
    """What stands beside an image: its label, or why that cannot be read."""

    label: str | None = None
    problem: str | None = None


@dataclasses.dataclass(frozen=True)
class TarMember(Record):
    """One file inside an uncompressed tar file, read by its position.

    Attributes:
        archive: the tar file's place.
        name: of the member.
        offset: of its first byte in the tar file.
        size: in bytes.
    """

    archive: str
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}#{self.name}"

    @property
    def size_in_bytes(self) -> int:
        """As the member's header says."""
        return self.size

    def read(self) -> bytes:
        """The member's bytes and no others."""
        return self.read_start(self.size)

    def read_start(self, count: int) -> bytes:
        """The member's first bytes."""
        count = min(count, self.size)
        if not count:
            return b""
        data = remote.persist(self.archive, lambda: remote.read(self.archive, self.offset, self.offset + count))
        if len(data) != count:
            raise remote.lost(self.archive, "has become shorter since it was listed", "copy it again")
        return data


@dataclasses.dataclass(frozen=True)
class LostLink(Record):
    """A link to a file that the tar file does not hold.

    Attributes:
        archive: the tar file's place.
        name: of the link.
    """

    archive: str
    name: str

    def __str__(self) -> str:
        return f"{self.archive}#{self.name}"

    def read(self) -> bytes:
        """Nothing.

        Raises:
            ImageError: always.
        """
        raise ImageError(f"{_LOST_WHY}: {_LOST_CURE}")


class Tar(Part):
    """The images of one tar file, in its order; of two members with one name the later counts, as for ``tar``.

    The headers are read once, to index where each member begins.

    Args:
        place: the tar file.

    Raises:
        UsageError: it is compressed, truncated, damaged, no tar file, or holds no image.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        members: dict[str, _Place | str] = {}
        said: dict[tuple[str, str], _Said] = {}
        with remote.reaching(place), remote.open_file(place) as file:
            for member in checked(_members(place, file)):
                name = _as_relative(member.name)
                found = members[name] = _find(member, name, members)
                if _is_label(name) and not isinstance(found, str):
                    said[_split(name)] = _read_label(file, name, found)
            for name, found in members.items():
                if _is_label(name) and isinstance(found, str):
                    said[_split(name)] = _read_label(file, name, _follow(found, members))
        images = [name for name in members if suffix(name) and is_image(name) and not _is_hidden(name)]
        if not images:
            raise UsageError(f"{place}: holds no image: a tar shard holds members such as dogs/a.jpg")
        self._names = Texts(images)
        self._places = np.array([_follow(members[name], members) for name in images], np.int64)
        told = [_told(name, said) for name in images] if said else []
        self.labels = Labels(one.label for one in told) if said else None
        self._unreadable = next((one.problem for one in told if one.problem), None)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, number: int) -> str:
        """The member's name."""
        return self._names[number]

    def path(self, number: int) -> Record:
        """Where the member lies."""
        offset, size = map(int, self._places[number])
        if (offset, size) == _LOST:
            return LostLink(self.place, self._names[number])
        return TarMember(self.place, self._names[number], offset, size)

    def find_labels(self) -> Labels | None:
        """The labels.

        Raises:
            UsageError: the label beside an image cannot be read.
        """
        if self._unreadable:
            raise UsageError(f"{self.place}: {self._unreadable}")
        return self.labels


def _members(place: str, file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """The header of every regular file and link; an archive that does not end as it should is refused."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    again = "copy or write it again"
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            end = 0
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else every header stays in memory
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


def _split(name: str) -> tuple[str, str]:
    """WebDataset's key and extension: the name up to the first dot of its last part, and the rest."""
    folder, slash, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    return folder + slash + stem, extension.lower()


def _find(member: tarfile.TarInfo, name: str, members: Mapping[str, _Place | str]) -> _Place | str:
    """Where a member's bytes are, or the name of the member that it is a link to."""
    if member.isreg():
        return member.offset_data, member.size
    if member.issym():
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)).lstrip("/")
    target = _as_relative(member.linkname)
    return members.get(target, target)  # a hard link keeps what had this name before, whatever has it later


def _follow(found: _Place | str, members: Mapping[str, _Place | str]) -> _Place:
    """Where the bytes are that a member is or leads to."""
    for _ in range(_CHAIN):
        if not isinstance(found, str):
            return found
        found = members.get(found, _LOST)
    return _LOST


def _is_hidden(name: str) -> bool:
    return "/." in f"/{name}"


def _is_label(name: str) -> bool:
    return _split(name)[1] in _LABELS and not _is_hidden(name)


def _read_label(file: IO[bytes], name: str, place: _Place) -> _Said:
    if place == _LOST:
        return _Said(problem=f"{name} is not readable as a label ({_LOST_WHY}): {_LOST_CURE}")
    file.seek(place[0])
    content = file.read(place[1])
    is_json = name.lower().endswith(".json")
    try:
        if not is_json:
            return _Said(content.decode().strip())
        entry = json.loads(content)
    except (ValueError, RecursionError) as error:
        form = "JSON" if is_json else "text"
        return _Said(problem=f"{name} is not readable as a label ({error}): write it again as {form} in UTF-8")
    value = next((entry[field] for field in _FIELDS if field in entry), None) if isinstance(entry, dict) else entry
    return _Said(None if value is None else str(value))


def _told(name: str, said: Mapping[tuple[str, str], _Said]) -> _Said:
    """What stands beside an image, by the order of the extensions."""
    key, _ = _split(name)
    beside = (said.get((key, extension), _Said()) for extension in _LABELS)
    return next((one for one in beside if one != _Said()), _Said())


def _as_relative(name: str) -> str:
    """A member's name such that no file named after it can lie outside a folder of results."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", "..")) or name
