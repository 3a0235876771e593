"""Where YOLO's tools put images, labels and names of classes.

Known are Ultralytics' ``data.yaml`` (also as Roboflow and CVAT write it: folders, lists of images, several of either),
darknet's ``obj.data`` (CVAT's YOLO 1.1), ``images`` beside ``labels`` with or without splits, ``images`` and ``labels``
in a folder for each split, and images and labels in one folder (labelImg, darknet).
"""

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Problem
from jaxloc.data.kinds import is_image
from jaxloc.data.places import Places, decode
from jaxloc.errors import UsageError

_YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
_NAMES = ("classes.txt", "obj.names", "_darknet.labels")
"""Files with a class's name in each line, the first of them number 0."""
_LABELS = ("labels", "Labels", "labelTxt")
"""Folders of labels that stand in place of ``images``."""
_SPLITS = ("train", "val", "valid", "validation", "test", "minival", "trainval")
"""Splits that are missed if a file names them and they are not there."""
_SPLIT = re.compile(rf"({'|'.join(_SPLITS)}|training|testing|dev|eval)[-_]?\d*", re.IGNORECASE)
_MOST_CLASSES = 100_000
_NO_SPLITS = ("path", "names", "nc", "download", "yaml_file", "backup", "classes")
_NAMED = re.compile(r"^\s*names\s*[:=]", re.MULTILINE)
_DARKNET = re.compile(r"obj_.+_data")
_IMAGES = re.compile(r"([.\\/]*)images[\\/]?")
_LINE = re.compile(r"\d+(\.0*)?(\s+-?\d*\.?\d+(e-?\d+)?){4,}\s*", re.IGNORECASE)


class Labelled(NamedTuple):
    """An image, the file of its objects (which need not be there), its name, and its split."""

    image: Path
    text: Path
    name: str
    split: str | None


@dataclasses.dataclass
class Layout:
    """A YOLO data set.

    Attributes:
        images: in the order of their splits.
        names: of classes by number; ``None`` if classes are named by their numbers.
        points: key points of an object, and numbers for each (2 or 3); ``None`` if no file says so.
        point_names: names of the key points, if known.
    """

    images: list[Labelled] = dataclasses.field(default_factory=list)
    names: dict[int, str] | None = None
    points: tuple[int, int] | None = None
    point_names: Sequence[str] = ()
    problems: list[Problem] = dataclasses.field(default_factory=list)


def find_layout(path: Path) -> Layout:
    """Find the images and labels of a data set; raises ``UsageError`` if its file cannot be used."""
    file = _find_file(path)
    if file is None:
        found = Layout(list(_in_folder(path)))
        found.names = _listed_names(path, found.images)
        return found
    about = _load(file) if file.suffix.lower() in (".yaml", ".yml") else _load_darknet(file)
    found = Layout(names=_names(about, file), points=_points(about, file), point_names=_point_names(about))
    _add_splits(found, about, file)
    return found


def is_yolo(path: Path) -> bool:
    """Whether ``path`` is the file of a YOLO data set, or a folder with such a file or with images and labels."""
    return _find_file(path) is not None or (path.is_dir() and any(map(_has_both, [path, *_split_folders(path)])))


def is_flat_yolo(path: Path) -> bool:
    """Whether ``path`` is a folder of images with labels beside them."""
    return path.is_dir() and any(looks_labelled(one.text) for one in _in_folder(path))


def looks_labelled(text: Path) -> bool:
    """Whether a file's first line is an object as YOLO writes it."""
    return text.is_file() and _LINE.match(read_text(text).lstrip()) is not None


def read_text(file: Path) -> str:
    """A text file in any encoding of Unicode, with a question mark for what is not."""
    try:
        return decode(file.read_bytes(), "replace")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error


def _has_both(folder: Path) -> bool:
    return (folder / "images").is_dir() and any((folder / name).is_dir() for name in _LABELS)


def _split_folders(folder: Path) -> list[Path]:
    return [place for place in sorted(folder.iterdir()) if _SPLIT.fullmatch(place.name) and place.is_dir()]


def _find_file(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml", ".data") else None
    named = next((path / name for name in (*_YAMLS, "obj.data") if (path / name).is_file()), None)
    if named is not None or not path.is_dir():
        return named
    others = [place for place in path.iterdir() if place.suffix.lower() in (".yaml", ".yml", ".data")]
    return others[0] if len(others) == 1 and _NAMED.search(read_text(others[0])) else None


def _load(file: Path) -> dict[str, Any]:
    try:
        about = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(about, dict) or not {"names", "nc"} & about.keys():
        raise UsageError(f"{file}: not a YOLO data set: it has no names of classes")
    return about


def _load_darknet(file: Path) -> dict[str, Any]:
    """The lines ``key = value`` of ``obj.data``, with the names that it points to."""
    pairs = (line.partition("=") for line in read_text(file).splitlines() if not line.lstrip().startswith("#"))
    about: dict[str, Any] = {key.strip(): value.strip() for key, equals, value in pairs if equals}
    listed = Places().find([file.parent], str(about.get("names", "")), endings=True)
    if listed is None:
        raise UsageError(f"{file}: names no file of classes that is there (names = obj.names)")
    return about | {"names": _lines(listed)}


def _names(about: Mapping[str, Any], file: Path) -> dict[int, str]:
    names = about.get("names")
    try:
        if names is None:  # as Ultralytics calls them
            return {number: f"class_{number}" for number in range(min(int(about["nc"]), _MOST_CLASSES))}
        pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else None
        return {int(number): str(name).strip() for number, name in pairs}  # type: ignore[union-attr]
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{file}: names is neither a list of classes nor a mapping from their numbers") from error


def _points(about: Mapping[str, Any], file: Path) -> tuple[int, int] | None:
    shape = about.get("kpt_shape")
    if shape is None:
        return None
    match shape:
        case [int(count), 2 | 3 as numbers] if count > 0:
            return count, numbers
    raise UsageError(f"{file}: kpt_shape is not the number of key points and 2 or 3: {shape}")


def _point_names(about: Mapping[str, Any]) -> list[str]:
    names = about.get("kpt_names")
    if isinstance(names, dict):  # by class; the points of all classes are the same
        names = next(iter(names.values()), None)
    return list(map(str, names)) if isinstance(names, list) else []


def _lines(file: Path) -> list[str]:
    return read_text(file).rstrip().splitlines()


def _listed_names(root: Path, images: Sequence[Labelled]) -> dict[int, str] | None:
    """Classes in a file of names at the root or among the labels; ``None`` without one."""
    folders = dict.fromkeys([root, *(root / name for name in _LABELS), *(one.text.parent for one in images)])
    file = next((folder / name for folder in folders for name in _NAMES if (folder / name).is_file()), None)
    if file is None:
        return None
    names = [line.strip() for line in _lines(file)]
    some = [name for name in names if name]
    if len(some) < len(names):  # blank lines count only if the labels count them
        used = {line.split()[0] for one in images if one.text.is_file() for line in _lines(one.text) if line.strip()}
        names = names if any(word.isdecimal() and float(word) >= len(some) for word in used) else some
    return {number: name for number, name in enumerate(names) if name}


def _add_splits(found: Layout, about: Mapping[str, Any], file: Path) -> None:
    """Add the images of each folder or list that a file names; a folder named twice counts once."""
    roots = [file.parent / str(about.get("path") or "").replace("\\", "/"), file.parent]
    places = Places()
    named: list[str] = []
    missing: list[Problem] = []
    taken: dict[Path, str] = {}
    for split, value in _named_places(about):
        place = places.find(roots, value, endings=True)
        if place in [root / "images" for root in roots] and not _IMAGES.fullmatch(value):
            place = None  # "images" alone is the ending of every split's
        if place is None:
            if split in _SPLITS:
                missing.append(Problem(problems.MISSING_SPLIT, str(file), f"{split}: no folder or list {value}"))
            continue
        named.append(split)
        if taken.setdefault(place.resolve(), split) != split:
            continue  # many name one folder for two, for want of a second
        if place.is_dir():
            folder = place / "images" if (place / "images").is_dir() else place
            found.images += [
                Labelled(image, _text_of(image), image.relative_to(folder).as_posix(), split)
                for image in _images(folder)
            ]
        else:
            found.images += _listed(place, [place.parent, *roots], split, places, found.problems)
    if missing and not named:
        raise UsageError(f"{missing[0]}: give folders or lists of images relative to the file")
    if not named:
        raise UsageError(f"{file}: names no folder of images (train, val or test)")
    found.problems += [one._replace(what=f"{one.what}; the other splits are read") for one in missing]


def _named_places(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Entries of a data set's file that may name a place of images: splits can have any name."""
    for split, values in about.items():
        for value in values if isinstance(values, list) else [values]:
            if split not in _NO_SPLITS and isinstance(value, str) and value and "\n" not in value:
                yield str(split), value


def _listed(file: Path, roots: Sequence[Path], split: str, places: Places, found: list[Problem]) -> Iterator[Labelled]:
    for line in map(str.strip, read_text(file).splitlines()):
        if not line or line.startswith("#"):
            continue
        image = places.find(roots, line, endings=True)
        if image is None:
            found.append(Problem(problems.MISSING, str(file), f"{line}: no such image; left out"))
        else:
            yield Labelled(image, _text_of(image), _name(image, roots[-1]), split)


def _in_folder(root: Path) -> Iterator[Labelled]:
    """The images below ``images``, or below each split's, or of a folder that has their labels beside them."""
    bases = [root]
    if _has_both(root):
        bases = [root / "images"]
    elif splits := [folder for folder in _split_folders(root) if _has_both(folder)]:
        bases = [folder / "images" for folder in splits]
    for image in (image for base in bases for image in _images(base)):
        folders = image.relative_to(root).parts[:-1]
        split = next((part for part in folders if _SPLIT.fullmatch(part)), None)
        yield Labelled(image, _text_of(image), _name(image, root), split)


def _name(image: Path, root: Path) -> str:
    """Path below the deepest folder that is ``images`` or a split's, else below the root."""
    parts = image.relative_to(root).parts if image.is_relative_to(root) else image.parts[-1:]
    for start in range(len(parts) - 1, 0, -1):
        part = parts[start - 1]
        if part.lower() == "images" or _SPLIT.fullmatch(part) or _DARKNET.fullmatch(part):
            return "/".join(parts[start:])
    return "/".join(parts)


def _images(folder: Path) -> list[Path]:
    named = (Path(here, name) for here, _, names in os.walk(folder) for name in names)
    return sorted(place for place in named if place.suffix and is_image(place.name) and place.name[0] != ".")


def _text_of(image: Path) -> Path:
    """The file of an image's objects: in ``labels`` in place of the last ``images``, beside it, in its ``labels``."""
    beside = image.with_suffix(".txt")
    *folders, last = beside.parts
    there = [number for number, part in enumerate(folders) if part.lower() == "images"]
    swapped = [Path(*folders[: there[-1]], name, *folders[there[-1] + 1 :], last) for name in _LABELS if there]
    wanted = [*swapped, beside, *(beside.parent / name / last for name in _LABELS)]
    return next((text for text in wanted if os.path.isfile(text)), wanted[0])
