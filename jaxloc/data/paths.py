"""From what a person points at (folders, files, lists of paths) to named image sets."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from jaxloc.errors import UsageError

_LISTS = (".txt", ".lst", ".list")


class Source(NamedTuple):
    """One picture to read.

    Attributes:
        path: the file.
        name: its path relative to what the user pointed at, with forward slashes.
    """

    path: Path
    name: str


class ImageSet(NamedTuple):
    """Pictures that share an object.

    Attributes:
        name: the category, from the folder's name.
        sources: in order of name.
    """

    name: str
    sources: list[Source]


def find_sets(
    paths: Sequence[str | os.PathLike[str]],
    *,
    per_folder: bool = False,
    name: str | None = None,
    exclude: Sequence[str | os.PathLike[str]] = (),
) -> list[ImageSet]:
    """List the pictures under folders, given as files, or named in text files (one path a line).

    In a folder, files are taken by their extension, or if they have none; hidden files and folders are left out.
    Names are relative to the folder given; where several paths are given, to their common parent.

    Args:
        paths: folders, picture files, and text files (``.txt``, ``.lst``, ``.list``) whose paths are relative to
            the text file's own folder; blank lines and lines starting with ``#`` are skipped.
        per_folder: make each sub-folder of a given folder its own set, named after it.
        name: the category of a single set; by default the folder's name.
        exclude: folders left out of the search (where results are written), but for those given in ``paths``.

    Raises:
        UsageError: a path does not exist, a list cannot be read, or there is nothing to look at.
    """
    if not paths:
        raise UsageError("no picture given: pass a folder, files, or a text file of paths")
    left_out = {Path(os.path.abspath(folder)) for folder in exclude}
    given = [_expand(Path(path), left_out) for path in paths]
    base = Path(os.path.commonpath([root for root, _ in given]))
    found: dict[Path, str] = {}
    for root, pictures in given:
        for path in pictures:
            folder = _set_name(path, root, base) if per_folder else (name or base.name or "object")
            found.setdefault(path, folder)
    if not found:
        raise UsageError(f"no picture found in {', '.join(map(str, paths))}: pass a folder that holds photographs")
    sets: dict[str, list[Source]] = {}
    for path, folder in found.items():
        sets.setdefault(folder, []).append(Source(path, Path(os.path.relpath(path, base)).as_posix()))
    return [
        ImageSet(folder, sorted(sources, key=lambda source: source.name)) for folder, sources in sorted(sets.items())
    ]


def _expand(path: Path, exclude: set[Path]) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the pictures."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    absolute = Path(os.path.abspath(path))
    if path.is_dir():
        return absolute, list(_walk(absolute, exclude))
    if path.suffix.lower() not in _LISTS:
        return absolute.parent, [absolute]
    listed = list(_read_list(absolute))
    inside = all(picture.is_relative_to(absolute.parent) for picture in listed)
    return (absolute.parent if inside else Path(os.path.commonpath([p.parent for p in listed]))), listed


def _set_name(path: Path, root: Path, base: Path) -> str:
    inside = path.relative_to(root).parts
    folder = root / inside[0] if len(inside) > 1 else root
    return base.name if folder == base else Path(os.path.relpath(folder, base)).as_posix()


def _walk(folder: Path, exclude: set[Path]) -> Iterable[Path]:
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    seen = {os.path.realpath(folder)}

    def unreadable(error: OSError) -> None:
        raise UsageError(f"{error.filename}: cannot be listed ({error.strerror})") from error

    def enter(path: Path) -> bool:
        """Links are followed, each folder once, so a loop of links ends."""
        real = os.path.realpath(path)
        if path.name[0] == "." or path in exclude or real in seen:
            return False
        seen.add(real)
        return True

    for here, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        folders[:] = [name for name in sorted(folders) if enter(Path(here, name))]
        for name in sorted(files):
            suffix = Path(name).suffix.lower()
            if name[0] != "." and (suffix in known or not suffix):
                yield Path(here, name)


def _read_list(path: Path) -> Iterable[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a readable list of paths, one a line ({error})") from error
    for line in lines:
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield Path(os.path.normpath(path.parent / entry))
