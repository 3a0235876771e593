"""Tar shards: plain ones, and those in WebDataset's layout (``key.jpg`` beside ``key.cls``, ``.txt`` or ``.json``)."""

import dataclasses
import json
import os
import tarfile
from collections.abc import Iterator
from typing import IO

import numpy as np

from jaxloc._interrupts import checked
from jaxloc.data import remote
from jaxloc.data.kinds import is_picture, suffix
from jaxloc.data.sources import Labels, Part, Record, Texts
from jaxloc.errors import UsageError

_LABELS = ("cls", "txt", "json")
_FIELDS = ("label", "cls", "class")
_BLOCK = tarfile.BLOCKSIZE


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


class Tar(Part):
    """The pictures of one tar file, in its order; of two members with one name the later counts, as for ``tar``.

    The headers are read once, to index where each member begins.

    Args:
        place: the tar file.

    Raises:
        UsageError: it is compressed, truncated, damaged, no tar file, or holds no picture.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        found: dict[str, tuple[int, int]] = {}
        said: dict[tuple[str, str], str | None] = {}
        with remote.reaching(place), remote.open_file(place) as file:
            for member in checked(_members(place, file)):
                name = _as_relative(member.name)
                key, extension = _split(name)
                if "/." in f"/{name}":
                    continue
                if suffix(name) and is_picture(name):
                    found[name] = (member.offset_data, member.size)
                elif extension in _LABELS:
                    said[key, extension] = _label(place, file, member, extension)
        if not found:
            raise UsageError(f"{place}: holds no picture: a tar shard holds members such as dogs/a.jpg")
        self._names = Texts(found)
        self._places = np.array(list(found.values()), np.int64)
        self.labels = Labels(_told(name, said) for name in found) if said else None

    def __len__(self) -> int:
        return len(self._names)

    def name(self, number: int) -> str:
        """The member's name."""
        return self._names[number]

    def path(self, number: int) -> TarMember:
        """Where the member lies."""
        offset, size = self._places[number]
        return TarMember(self.place, self._names[number], int(offset), int(size))


def _members(place: str, file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """Every regular file's header; an archive that does not end as it should is refused."""
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
                if member.isreg():
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


def _label(place: str, file: IO[bytes], member: tarfile.TarInfo, extension: str) -> str | None:
    file.seek(member.offset_data)
    content = file.read(member.size)
    try:
        if extension != "json":
            return content.decode().strip()
        entry = json.loads(content)
        value = next((entry[field] for field in _FIELDS if field in entry), None) if isinstance(entry, dict) else entry
        return None if value is None else str(value)
    except ValueError as error:
        raise UsageError(f"{place}: {member.name} is not readable as a label ({error})") from error


def _told(name: str, said: dict[tuple[str, str], str | None]) -> str | None:
    key, _ = _split(name)
    return next((said[key, extension] for extension in _LABELS if said.get((key, extension)) is not None), None)


def _as_relative(name: str) -> str:
    """A member's name such that no file named after it can lie outside a folder of results."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", "..")) or name
