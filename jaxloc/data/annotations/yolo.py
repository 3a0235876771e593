"""YOLO data sets: one text file for each image, one line for each object, in shares of the image's sides.

A line is ``class x y width height`` (center of the box), the same followed by a score, or ``class x1 y1 x2 y2 …`` (the
outline of a mask).
"""

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Annotations, Problem, fit_box
from jaxloc.data.annotations.records import Annotated, Annotation, Polygons
from jaxloc.data.images import read_size
from jaxloc.data.kinds import is_image
from jaxloc.errors import UsageError

_SPLITS = ("train", "val", "test")


def read_yolo(path: Path) -> Annotations:
    """Read a ``data.yaml``, the folder that holds one, or a folder with ``images`` and ``labels``.

    Names are relative to the deepest folder ``images``, without that of the split. Boxes are clipped to their image.
    Left out are lines that are not numbers, of no known class or without area, unreadable images, and text files of no
    image.
    """
    file = _find_yaml(path)
    about = _load(file) if file else {}
    root = file.parent if file else path
    names = _names(about.get("names"), file) if file else _listed_names(root)
    images: dict[str, Annotated] = {}
    found: list[Problem] = []
    for split, folder in _folders(about, root, file):
        labels = _labels_of(folder)
        used = set()
        for photo in _images(folder):
            inside = photo.relative_to(folder)
            text = labels / inside.with_suffix(".txt")
            used.add(text)
            image = _image(photo, inside.as_posix(), text, names, found)
            if image is None:
                continue
            splits = (split,) if split else ()
            if image.name in images:
                listed = images[image.name]
                if listed.path != image.path:
                    image = dataclasses.replace(image, name=f"{split or folder.name}/{image.name}")
                splits = (*listed.splits, *splits) if listed.path == image.path else splits
            images[image.name] = dataclasses.replace(image, splits=splits)
        unused = (text for text in sorted(set(labels.rglob("*.txt")) - used) if text.name != "classes.txt")
        found += [Problem(problems.NO_IMAGE, str(text), "belongs to no image; left out") for text in unused]
    numbers = {name: number for number, name in reversed((names or {}).items())}
    return Annotations(images, found, tuple((names or {}).values()), numbers, first_number=0)


def is_yolo(path: Path) -> bool:
    """Whether ``path`` is a ``data.yaml`` or the folder of a YOLO data set."""
    return _find_yaml(path) is not None or ((path / "labels").is_dir() and (path / "images").is_dir())


def _find_yaml(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml") else None
    return next((path / name for name in ("data.yaml", "data.yml", "dataset.yaml") if (path / name).is_file()), None)


def _load(file: Path) -> dict[str, Any]:
    try:
        about = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(about, dict) or "names" not in about:
        raise UsageError(f"{file}: not a YOLO data set: it has no names of classes")
    return about


def _names(names: Any, file: Path) -> dict[int, str]:
    pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else None
    try:
        return {int(number): str(name) for number, name in pairs}  # type: ignore[union-attr]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{file}: names is neither a list of classes nor a mapping from their numbers") from error


def _listed_names(root: Path) -> dict[int, str] | None:
    """Classes in ``classes.txt``; ``None`` without such a file, when classes are named by their numbers."""
    for file in (root / "classes.txt", root / "labels" / "classes.txt"):
        if file.is_file():
            return dict(enumerate(file.read_text(encoding="utf-8", errors="replace").split("\n")))
    return None


def _folders(about: dict[str, Any], root: Path, file: Path | None) -> Iterator[tuple[str | None, Path]]:
    """Splits and their folders of images."""
    if file is None:
        folder = root / "images"
        splits = sorted(place.name for place in folder.iterdir() if place.is_dir() and place.name in _SPLITS)
        yield from ((split, folder / split) for split in splits) if splits else [(None, folder)]
        return
    if not any(about.get(split) for split in _SPLITS):
        raise UsageError(f"{file}: names no folder of images (train, val or test)")
    taken: dict[Path, str] = {}
    for split in _SPLITS:
        values = about.get(split) or ()
        for value in (values,) if isinstance(values, str) else values:
            places = _candidates(str(value), str(about.get("path") or ""), root)
            there = [place for place in places if place.is_dir()]
            if not there:
                raise UsageError(f"{file}: {split}: no folder {value}: give folders of images relative to the file")
            folder = there[0] / "images" if (there[0] / "images").is_dir() else there[0]
            if taken.setdefault(folder.resolve(), split) == split:  # many name one folder for two, for want of a second
                yield split, folder


def _candidates(value: str, base: str, root: Path) -> list[Path]:
    """Places a folder may be: below ``path``, beside the file, or, as in Roboflow's files, there without ``../``."""
    inside = value
    while inside.startswith("../"):
        inside = inside[3:]
    return [Path(os.path.normpath(place)) for place in (root / base / value, root / value, root / inside)]


def _labels_of(folder: Path) -> Path:
    """Folder of text files: ``labels`` in place of the last ``images``, else the images' own."""
    parts = folder.parts
    if "images" not in parts:
        return folder
    last = len(parts) - 1 - parts[::-1].index("images")
    return Path(*parts[:last], "labels", *parts[last + 1 :])


def _images(folder: Path) -> list[Path]:
    return sorted(
        place
        for place in folder.rglob("*")
        if place.suffix and is_image(place.name) and place.is_file() and not place.name.startswith(".")
    )


def _image(image: Path, name: str, text: Path, names: dict[int, str] | None, found: list[Problem]) -> Annotated | None:
    size = read_size(image)
    if size is None:
        found.append(Problem(problems.UNREADABLE, str(image), "cannot be read as an image; left out"))
        return None
    height, width = size
    annotations: list[Annotation] = []
    damaged: dict[str, None] = {}
    lines = text.read_text(encoding="utf-8", errors="replace").splitlines() if text.is_file() else []
    for number, line in enumerate(lines, 1):
        if line.strip():
            one = _annotation(line, f"line {number}", str(text), names, (width, height), found)
            if isinstance(one, Annotation):
                annotations.append(one)
            else:
                damaged[one] = None
    return Annotated(name, None, tuple(annotations), width=width, height=height, path=image, damaged=tuple(damaged))


def _annotation(
    line: str,
    entry: str,
    where: str,
    names: dict[int, str] | None,
    size: tuple[int, int],
    found: list[Problem],
) -> Annotation | str:
    """Object in a line; the class of a damaged one, ``""`` if unknown."""
    try:
        first, *values = map(float, line.split())
    except ValueError:
        first, values = math.nan, []
    if not (first >= 0 and first.is_integer() and len(values) >= 4 and all(map(math.isfinite, values))):
        found.append(Problem(problems.DAMAGED, where, f"{entry} is not a class and its box: {line!r}; left out"))
        return ""
    category = str(int(first)) if names is None else names.get(int(first))
    if not category:
        found.append(Problem(problems.UNKNOWN_CLASS, where, f"{entry} has no known class ({int(first)}); left out"))
        return ""
    width, height = size
    mask = None
    score = values.pop() if len(values) % 2 else 1.0
    if len(values) == 4:
        x, y, wide, high = values
        corners = (x - wide / 2) * width, (y - high / 2) * height, (x + wide / 2) * width, (y + high / 2) * height
    else:
        xs, ys = [x * width for x in values[0::2]], [y * height for y in values[1::2]]
        corners = min(xs), min(ys), max(xs), max(ys)
        outline = tuple(number for point in zip(xs, ys, strict=True) for number in point)
        mask = Polygons(height, width, (outline,))
    box = fit_box(corners, size, entry, where, found)
    return category if box is None else Annotation(category, box, score=score, mask=mask)
