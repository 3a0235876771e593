"""From given paths (folders, files, patterns, lists, archives, data sets) to named image sets."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from jaxloc.data import foreign
from jaxloc.data.annotations.problems import summarize
from jaxloc.data.archives import open_archives
from jaxloc.data.archives.parquet import Columns
from jaxloc.data.datasets import DatasetPart
from jaxloc.data.expansion import Given, expand
from jaxloc.data.kinds import common_folder, title
from jaxloc.data.remote import RemoteFiles, is_remote
from jaxloc.data.sources import Files, ImageSet, Labels, Part, Sources, escaped
from jaxloc.errors import UsageError


class ImageSets(list[ImageSet]):
    """Image sets, and a line for each kind of ``ignored`` files: neither images nor text, or archives beside images."""

    def __init__(self, sets: Iterable[ImageSet], ignored: Sequence[str]) -> None:
        super().__init__(sets)
        self.ignored = ignored

    def tell_ignored(self) -> None:
        """Write the lines to standard error, for jobs whose results hold no warnings."""
        sys.stderr.writelines(f"{line}\n" for line in self.ignored)


def find_sets(
    paths: Sequence[str | os.PathLike[str]],
    *,
    per_folder: bool = False,
    per_label: bool = False,
    name: str | None = None,
    exclude: Sequence[str | os.PathLike[str]] = (),
    every: int = 1,
    image_column: str | None = None,
    label_column: str | None = None,
) -> ImageSets:
    r"""List images, opening only files with extensions that are not known.

    A folder is searched for files with an image's extension, an image's first bytes, or no extension. Hidden files and
    folders are left out, and so are folders that NAS and desktop systems make (``@eaDir``, ``$RECYCLE.BIN``), and the
    outputs of earlier jobs (the folders overlays, parts and video beside a run's other results, the tables of a
    gallery). A folder without any image file may hold archives. The result's ``ignored`` says what else is there.
    Names are relative to the folder or archive given, or to the common parent of several paths. Files whose names are
    not UTF-8 are listed with ``\xff`` for each such byte and cannot be read.

    Args:
        paths: local paths or fsspec addresses (``gs://bucket/photos``) of:

            - folders and image files;
            - patterns such as ``photos/**/*.jpg``;
            - text files (``.txt``, ``.lst``, ``.list``) of paths relative to their own folder; blank lines and lines
              starting with ``#`` are skipped;
            - COCO files (``.json``): their images, relative to their own folder; the label is an image's category, or
              that of its boxes if they agree; with ``per_label``, unusable boxes are reported on standard error;
            - archives: tar files, plain or in WebDataset's layout (``.tar``), Parquet with a column of encoded images
              (``.parquet``), ArrayRecord (``.array_record``), videos (``.mp4``, ``.mov``, ``.mkv``, ``.webm``,
              ``.avi``), whose frames are images named by their number;
            - ``tfds:NAME[/config][:split]``: a set prepared by tensorflow-datasets;
            - ``NAME:ROOT``, ``NAME/SPLIT:ROOT`` or ``NAME:tfds``: a data set of the papers, with its classes as labels;
              an image with objects of two classes is in both sets (see ``jaxloc.data.datasets``).
        per_folder: make a set of each sub-folder of a given folder; images inside archives are grouped by their folders
            there, or else by archive.
        per_label: make a set of the images of each label; reads all records of ArrayRecord files and tfds sets.
        name: category of a single set; by default the folder's or archive's name.
        exclude: folders of results, whose job outputs are left out.
        every: of videos, take every N-th frame only.
        image_column: of Parquet files, the column of encoded images; found by its name or content by default.
        label_column: likewise of labels.

    Raises:
        UsageError: a path does not exist, cannot be read, needs a package, or has a name that is not UTF-8; an archive
            is truncated; ``per_label`` meets images without a label; or there are no images.
    """
    if not paths:
        raise UsageError("no image given: pass a folder, files, or a text file of paths")
    if per_folder and per_label:
        raise UsageError("sets are made either per folder or per label: choose one of them")
    given = [found for path in paths for found in expand(os.fspath(path), exclude)]
    base = common_folder([found.root for found in given])
    parts = [*_files(given), *_archives(given, every, Columns(image_column, label_column))]
    known = {place for some in given for place in (*some.files, *some.archives)}
    ignored = {place: kind for some in given for place, kind in some.ignored.items() if place not in known}
    ignored |= {f"{part.place}#{name}": kind for part in parts for name, kind in part.ignored.items()}
    if not parts:
        where = ", ".join(map(str, paths))
        raise UsageError(f"no image found in {where}{foreign.but(ignored)}: pass a folder that holds photographs")
    sources = Sources([(_prefix(part.place, base), part) for part in parts])
    sets = [ImageSet(name or title(base) or "object", sources)]
    if per_label:
        for line in summarize(problem for some in given for problem in some.problems):
            sys.stderr.write(f"{line}\n")
        sets = _parted(sources, parts, _members)
    if per_folder:
        owners = _owners(given, base)
        sets = _parted(sources, parts, lambda part: _folders(part, owners, base).members())
    return ImageSets(sets, foreign.told(ignored))


def _files(given: Iterable[Given]) -> list[Part]:
    """Single files, each once, in a part for this machine and one for each protocol."""
    found: dict[str, int | None] = {}
    labels: dict[str, str] = {}
    roots: dict[str, list[str]] = {}
    for some in given:
        if some.files:
            roots.setdefault(_protocol(some.root), []).append(some.root)
        found |= some.files
        labels = some.labels | labels
    parts: list[Part] = []
    for protocol in sorted(roots):
        places = sorted((place for place in found if _protocol(place) == protocol), key=escaped)
        folder = common_folder(roots[protocol])
        names = [place[len(folder) + 1 :] for place in places]
        told = Labels(labels.get(place) for place in places) if labels else None
        if protocol:
            parts.append(RemoteFiles(folder, names, (found[place] for place in places), told))
        else:
            parts.append(Files(folder, names, told))
    return parts


def _archives(given: Iterable[Given], every: int, columns: Columns) -> list[Part]:
    places = sorted({place for some in given for place in some.archives})
    opened: dict[str, Part] = {}
    specs: dict[str, str | None] = {}
    for some in given:
        for part in some.parts:
            if part.place in opened and specs[part.place] != some.spec:
                raise UsageError(
                    f"{specs[part.place]} and {some.spec}: are one data set: name its splits together, such as "
                    "NAME/train+test:ROOT"
                )
            opened[part.place], specs[part.place] = part, some.spec
    return [*open_archives(places, every=every, columns=columns), *(opened[place] for place in sorted(opened))]


def _protocol(place: str) -> str:
    return place.partition("://")[0] if is_remote(place) else ""


def _prefix(place: str, base: str) -> str:
    """Prefix of the names of a part."""
    if place == base:
        return ""
    inside = place[len(base) + 1 :] if place.startswith(f"{base}/") else place.replace("://", "/")
    return f"{inside}/"


def _owners(given: Iterable[Given], base: str) -> Mapping[str, str]:
    """Set of each single file."""
    owners: dict[str, str] = {}
    named: dict[str, str] = {}
    for some in given:
        for place in some.files:
            inside = place[len(some.root) + 1 :].split("/")
            folder = f"{some.root}/{inside[0]}" if len(inside) > 1 else some.root
            name = (title(base) if folder == base else _prefix(folder, base).rstrip("/")) or "object"
            owners.setdefault(escaped(place), name)
            if named.setdefault(name, folder) != folder:
                raise UsageError(
                    f"{base or os.sep}: its own images and those of its folder {name} would be one set, {name}: "
                    f"move its own ones into a folder of another name, or give its folders alone ({base}/*/)"
                )
    return owners


def _folders(part: Part, owners: Mapping[str, str], base: str) -> Labels:
    names = (part.name(number) for number in range(len(part)))
    if isinstance(part, Files):
        return Labels(owners[f"{part.place}/{name}"] for name in names)
    folders = (name.partition("/") for name in names)
    return Labels(first if slash else title(part.place) for first, slash, _ in folders)


def _members(part: Part) -> Mapping[str, np.ndarray]:
    """Numbers of the images of each label."""
    return part.members() if isinstance(part, DatasetPart) else _labels(part).members()


def _labels(part: Part) -> Labels:
    labels = part.find_labels()
    place = part.place or "the images"
    if labels is None or not labels.classes:
        raise UsageError(
            f"{place}: no labels there: point at a COCO file, or at archives whose records have labels; "
            "for images in one folder per class, make the sets per folder"
        )
    missing = np.flatnonzero(labels.codes < 0)
    if len(missing):
        example = part.name(int(missing[0]))
        raise UsageError(
            f"{place}: {len(missing)} of {len(part)} images have no label, or several, such as {example}: "
            "label them or leave them out"
        )
    return labels


def _parted(
    sources: Sources, parts: Sequence[Part], find: Callable[[Part], Mapping[str, np.ndarray]]
) -> list[ImageSet]:
    """One set for each name that ``find`` returns for any part, in order of name."""
    members: dict[str, list[np.ndarray]] = {}
    start = 0
    for part in parts:
        for name, numbers in find(part).items():
            members.setdefault(name, []).append(numbers + start)
        start += len(part)
    return [ImageSet(name, sources.take(np.concatenate(numbers))) for name, numbers in sorted(members.items())]
