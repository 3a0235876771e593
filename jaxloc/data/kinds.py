"""Kinds of files, by name."""

import itertools
import re
from collections.abc import Iterable, Iterator

from jaxloc.data.formats import image_suffixes

LISTS = (".txt", ".lst", ".list")
"""Text files of paths."""

VIDEOS = ("mp4", "m4v", "mov", "mkv", "webm", "avi")
"""Extensions of videos."""

_SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "@recently-snapshot", "@recycle", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "__macosx"),
        *("found.000", "ipod photo cache", "lost+found", "network trash folder", "recycled", "recycler"),
        *("system volume information", "temporary items"),
    )
)
"""Folders, in lower case, that NAS and desktop systems make beside a user's files."""

_SHARD = re.compile(r"-(\d+)-of-(\d+)(?=(\.[^/]*)?$)")
_ARCHIVE = re.compile(rf"(?<=.)\.(tar|parquet|array_?record|{'|'.join(VIDEOS)})(-\d+-of-\d+)?$", re.IGNORECASE)
_COMPRESSED = re.compile(r"(?<=.)\.(tar\.[a-z0-9]+|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)


def suffix(name: str) -> str:
    """Extension in lower case with its dot; empty if there is none."""
    stem, dot, extension = name.rpartition("/")[2].rpartition(".")
    return f".{extension.lower()}" if dot and stem else ""


def is_image(name: str) -> bool:
    """Whether the extension is that of an image, or missing."""
    return suffix(name) in image_suffixes() or not suffix(name)


def in_system_folder(path: str) -> bool:
    """Whether a path leads through a folder that a NAS or desktop system made."""
    return any(part.lower() in _SYSTEM_FOLDERS for part in path.split("/"))


def is_left_out(path: str) -> bool:
    """Whether a search leaves out a path below its folder: hidden, or in a folder of a NAS or desktop system."""
    return "/." in f"/{path}" or in_system_folder(path)


def archive_kind(name: str) -> str | None:
    """``tar``, ``parquet``, ``arrayrecord``, ``video``, ``compressed`` (a tar file to be unpacked), or ``None``."""
    if _COMPRESSED.search(name):
        return "compressed"
    found = _ARCHIVE.search(name)
    kind = found[1].lower().replace("_", "") if found else None
    return "video" if kind in VIDEOS else kind


def missing_shards(places: Iterable[str]) -> Iterator[str]:
    """Missing archives of series numbered like ``train-00002-of-00005.tar``."""
    there: dict[tuple[str, str, str], set[int]] = {}
    for place in places:
        if found := _SHARD.search(place):
            series = (place[: found.start()], found[2], place[found.end() :])
            there.setdefault(series, set()).add(int(found[1]))
    for (before, total, after), numbers in sorted(there.items()):
        for number in range(int(total)):
            if number not in numbers:
                yield f"{before}-{number:0{len(total)}}-of-{total}{after}"


def title(place: str) -> str:
    """Name of an image set from its place: the last part without an archive's extension, or a data set's name."""
    if place.startswith("tfds://"):
        return re.split("[/:]", place.removeprefix("tfds://"))[0]
    last = place.rstrip("/").rpartition("/")[2]
    return _ARCHIVE.sub("", last)


def common_folder(places: Iterable[str]) -> str:
    """Deepest folder that holds all places; empty for the root."""
    together: list[str] | None = None
    for place in places:
        parts = place.split("/")
        pairs = zip(parts if together is None else together, parts, strict=False)
        together = [part for part, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return "/".join(together or [])
