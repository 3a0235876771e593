"""Expansion of one given path, or of a list of paths, to images and archives."""

import collections
import dataclasses
import fnmatch
import glob
import itertools
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jaxloc.data import foreign, remote
from jaxloc.data.annotations import Annotated, Problem, problems
from jaxloc.data.annotations.coco import read_coco_file
from jaxloc.data.annotations.reading import image_folders, with_paths
from jaxloc.data.archives import is_tfds, open_tfds
from jaxloc.data.datasets import is_spec, open_dataset
from jaxloc.data.kinds import (
    LISTS,
    archive_kind,
    common_folder,
    in_system_folder,
    is_image,
    is_left_out,
    missing_shards,
    suffix,
)
from jaxloc.data.places import Places, decode, normal_form
from jaxloc.data.remote import Entry
from jaxloc.data.sources import Part, escaped
from jaxloc.errors import UsageError

_RESULTS = ("overlays", "parts", "video")
"""Folders that jobs make in their results."""

_MADE = {
    "parts/_run.json": _RESULTS,
    "gallery.json": ("table", "vectors", "whitened"),
    "work/grouping.json": ("groups",),
}
"""Files that mark the results of a job or a gallery, and the folders written beside them."""


@dataclasses.dataclass
class Given:
    """Images and archives found at one path; places are absolute, with forward slashes.

    Attributes:
        root: folder or archive that names are relative to.
        files: places of single images, with their bytes if a listing gave them.
        parts: archives that are open already.
        labels: of single images, by place.
        problems: annotations dropped while reading the labels.
        ignored: files that are neither images nor text, by place.
    """

    root: str
    files: dict[str, int | None] = dataclasses.field(default_factory=dict)
    archives: list[str] = dataclasses.field(default_factory=list)
    parts: Sequence[Part] = ()
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    problems: Sequence[Problem] = ()
    spec: str | None = None
    ignored: dict[str, foreign.Kind] = dataclasses.field(default_factory=dict)


def expand(path: str, exclude: Iterable[str | os.PathLike[str]] = ()) -> list[Given]:
    """Find the images and archives of a path; a pattern gives one entry for each match."""
    if is_tfds(path):
        parts = open_tfds(path)
        root = parts[0].place if len(parts) == 1 else posixpath.dirname(parts[0].place)
        return [Given(root, parts=parts)]
    if is_spec(path):
        part = open_dataset(path).part()
        return [Given(part.place, parts=[part], spec=path)]
    left_out = {os.path.join(os.path.abspath(folder), name) for folder in exclude for name in _RESULTS}
    found, ignored = _find(path, left_out)
    _check_shards(path, found)
    expanded = [_expand_entry(entry, left_out) for entry in found]
    expanded[0].ignored |= ignored
    for place in (place for given in expanded for place in (given.root, *given.archives)):
        if escaped(place) != place:
            raise UsageError(f"{escaped(place)}: its name is not UTF-8: rename it")
    return expanded


def _find(path: str, left_out: set[str]) -> tuple[list[Entry], dict[str, foreign.Kind]]:
    """The entry of a path, or the matches of a pattern; a file of the pattern's own name takes precedence."""
    if remote.is_remote(path):
        return _images_of(path, remote.match(path)) if "*" in path else ([remote.stat(path)], {})
    if os.path.exists(path):
        return [_entry(path)], {}
    if not glob.has_magic(path):
        raise UsageError(f"{path}: no such file or folder")
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), Path(path).parts)
    start = Path(os.path.abspath(os.path.join("", *plain)))
    below = [folder for folder in map(Path, left_out) if start in folder.parents]
    found = sorted(map(_entry, glob.iglob(path, recursive=True)))
    return _images_of(
        path, (entry for entry in found if not any(Path(entry.place).is_relative_to(folder) for folder in below))
    )


def _check_shards(path: str, found: Sequence[Entry]) -> None:
    """Refuse a pattern whose matches lack some of the archives numbered together with them."""
    archives = (entry.place for entry in found if archive_kind(entry.place) and not entry.is_folder)
    last = posixpath.basename(Path(path).as_posix())
    if glob.has_magic(last) and not os.path.exists(path):
        _refuse_missing(place for place in missing_shards(archives) if fnmatch.fnmatch(posixpath.basename(place), last))


def _refuse_missing(shards: Iterable[str]) -> None:
    for missing in shards:
        raise UsageError(f"{missing}: this shard is missing: fetch it, or name those to use by a pattern in quotes")


def _images_of(pattern: str, found: Iterable[Entry]) -> tuple[list[Entry], dict[str, foreign.Kind]]:
    """Matches of the kinds that a folder's search takes, or all if the pattern names an extension; and the others."""
    extension = suffix(pattern)
    anything = extension and not glob.has_magic(extension)
    if not in_system_folder(_absolute(pattern)):
        found = [entry for entry in found if not in_system_folder(entry.place)]
    found = list(found)
    sure = {
        entry for entry in found if anything or entry.is_folder or is_image(entry.place) or archive_kind(entry.place)
    }
    looked = foreign.look(entry.place for entry in found if entry not in sure)
    wanted = [entry for entry in found if entry in sure or looked.get(entry.place, entry) is None]
    ignored = {place: kind for place, kind in looked.items() if kind is not None}
    if not wanted:
        raise UsageError(f"{pattern}: matches no image, folder or archive{foreign.but(ignored)}: check the pattern")
    return wanted, ignored


def _entry(path: str) -> Entry:
    return Entry(_absolute(path), os.path.isdir(path), None)


def _expand_entry(entry: Entry, left_out: set[str]) -> Given:
    if not entry.is_folder:
        return _expand_file(entry.place, entry.size)
    if remote.is_remote(entry.place):
        return _expand_folder(entry.place, remote.walk(entry.place))
    return _expand_folder(entry.place.rstrip("/"), dict.fromkeys(_walk(entry.place, left_out)))


def _expand_folder(root: str, files: dict[str, int | None]) -> Given:
    """Its images; its archives if no file has an image's extension or first bytes."""
    images = {place: size for place, size in files.items() if is_image(place)}
    archives = [place for place in files if archive_kind(place)]
    tables = [place for place in archives if archive_kind(place) == "parquet" and f"{place[:-8]}.tar" in files]
    looked = foreign.look(place for place in files if not (is_image(place) or archive_kind(place)))
    images |= {place: files[place] for place, kind in looked.items() if kind is None}
    ignored = {place: kind for place, kind in looked.items() if kind is not None}
    if archives and not any(suffix(place) for place in images):
        _refuse_missing(missing_shards(archives))
        ignored |= {place: foreign.UNMARKED for place, kind in foreign.look(images).items() if kind is None}
        ignored |= dict.fromkeys(tables, foreign.TABLE)
        return Given(root, archives=sorted(set(archives).difference(tables)), ignored=ignored)
    return Given(root, images, ignored=ignored | {place: foreign.beside(place) for place in archives})


def _expand_file(place: str, size: int | None) -> Given:
    folder = posixpath.dirname(place)
    if archive_kind(place):
        return Given(place, archives=[place])
    if suffix(place) == ".json":
        return _expand_coco(folder, place)
    if suffix(place) in LISTS:
        return _expand_list(folder, place)
    return Given(folder, {place: size})


def _expand_coco(folder: str, place: str) -> Given:
    read = read_coco_file(place)
    if not remote.is_remote(place):
        read = with_paths(read, image_folders(Path(place)))
    root = _root(read.images.values()) or folder
    paths = {name: image.path for name, image in read.images.items()}
    classes = {_join(root, str(paths[name] or name)): _classes(image) for name, image in read.images.items()}
    given = _listed(root, classes)
    given.labels = {place: some[0] for place, some in classes.items() if len(some) == 1}
    given.problems = [problem for problem in read.problems if problem.kind in problems.UNUSABLE]
    return given


def _root(images: Iterable[Annotated]) -> str | None:
    """The folder that the names of all images that are there start from, if it is one."""
    roots: set[str] = set()
    for image in images:
        if isinstance(image.path, Path):
            folders = Path(image.name).parts
            root = Path(*image.path.parts[: -len(folders)])
            alike = normal_form(root.joinpath(*folders).as_posix()) == normal_form(image.path.as_posix())
            roots.add(root.as_posix() if alike and not Path(image.name).is_absolute() else "")
    return roots.pop() if len(roots) == 1 else None


def _expand_list(folder: str, place: str) -> Given:
    places = Places()
    found: dict[str, str | None] = {}
    for line, path, label in read_list(place):
        if remote.is_remote(folder) or remote.is_remote(path):
            found[_join(folder, path)] = label
        elif path != line and os.path.exists(os.path.join(folder, line)):
            found[_join(folder, line)] = None
        else:
            there = places.find([Path(folder)], path)
            found[_join(folder, path if there is None else os.fspath(there))] = label
    given = _listed(folder, found)
    given.labels = {place: label for place, label in found.items() if label is not None}
    return given


def _classes(image: Annotated) -> list[str]:
    """Classes of an image; if it has none, those of its damaged annotations."""
    return image.categories or [category for category in image.damaged if category]


def _listed(folder: str, places: Iterable[str]) -> Given:
    """Images listed in a file; names are relative to its folder, or to their common folder if some lie elsewhere."""
    files: dict[str, int | None] = dict.fromkeys(places)
    if all(place.startswith(f"{folder}/") for place in files):
        return Given(folder, files)
    return Given(common_folder(posixpath.dirname(place) for place in files), files)


def _join(folder: str, entry: str) -> str:
    if remote.is_remote(folder) or remote.is_remote(entry):
        return remote.join(folder, entry)
    return _absolute(os.path.join(folder, entry))


def _absolute(path: str) -> str:
    return Path(os.path.abspath(path)).as_posix()


def _walk(folder: str, exclude: set[str]) -> Iterable[str]:
    """Files below a folder; each folder once, by its own name rather than that of a link to it."""
    waiting = collections.deque([folder])  # links to folders are followed last
    seen: set[str] = set()

    def unreadable(error: OSError) -> None:
        raise UsageError(f"{error.filename}: cannot be listed ({error.strerror})") from error

    while waiting:
        for here, folders, files in os.walk(waiting.popleft(), onerror=unreadable):
            real = os.path.realpath(here)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            ours = {name for file, made in _MADE.items() if os.path.isfile(os.path.join(here, file)) for name in made}
            wanted = (name for name in sorted(folders) if not is_left_out(name) and name not in ours)
            inner = {name: path for name in wanted if (path := os.path.join(here, name)) not in exclude}
            folders[:] = [name for name, path in inner.items() if not os.path.islink(path)]
            waiting += [path for path in inner.values() if os.path.islink(path)]
            yield from (Path(here, name).as_posix() for name in sorted(files) if not is_left_out(name))


_GAP = re.compile(r"\s*[,;]\s*|\s+")
_WHOLE = re.compile(r"(-?\d+)\.0*")


def read_list(place: str) -> Iterator[tuple[str, str, str | None]]:
    """Read a list, local or remote, in any encoding of Unicode, without blank lines and those that start with ``#``.

    Yields:
        the line; the path in it; and the label behind it (``a.jpg 3``), or before it as MXNet has it (number, label and
        path, with tabs between). There is none if there are several.
    """
    try:
        lines = decode(remote.read(place)).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{place}: not a readable list of paths, one a line ({error})") from error
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            path, labels = _divided(line)
            label = labels[0].strip() if len(labels) == 1 else ""
            whole = _WHOLE.fullmatch(label)
            yield line, path, None if not label or _names_image(label) else whole[1] if whole else label


def _divided(line: str) -> tuple[str, list[str]]:
    """The path in a line, and the labels."""
    fields = line.split("\t")
    if len(fields) > 2 and fields[0].isdecimal():
        return fields[-1].strip(), fields[1:-1]
    if len(fields) > 1:
        path = next(filter(_names_image, fields), fields[0])
        fields.remove(path)
        return path.strip(), fields
    for gap in _GAP.finditer(line):
        if _names_image(line[: gap.start()]):
            return line[: gap.start()], _GAP.split(line[gap.end() :])
    return line, []


def _names_image(text: str) -> bool:
    return bool(suffix(text)) and is_image(text.strip())
