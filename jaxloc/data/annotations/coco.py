"""Read COCO annotation files: ground truth and predictions.

Besides COCO's own fields these of ours are kept: of an image ``split``, ``category_id`` (its own class),
``noise_score`` and ``segmentation`` (of all that is object); of an annotation ``score``, ``difficult``, ``truncated``
and ``parts`` (``name`` and ``bbox`` of each).
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_masks

from jaxloc.data import remote
from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Annotations, Problem, fit_box
from jaxloc.data.annotations.records import Annotated, Annotation, Box, Keypoint, Mask, Polygons, Rle
from jaxloc.errors import UsageError

_REFUSED = (problems.NO_AREA, problems.OUTSIDE, problems.NO_PICTURE, problems.UNKNOWN_CLASS)
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


def read_coco(path: str | os.PathLike[str]) -> dict[str, Annotated]:
    """Read an annotation file whose every annotation has to count.

    Returns:
        images by file name.

    Raises:
        UsageError: as for ``read_coco_file``; or an annotation belongs to no image, has no known category, or a box
            without area or outside its picture.
    """
    found = read_coco_file(path)
    for problem in found.problems:
        if problem.kind in _REFUSED:
            raise UsageError(str(problem))
    return found.images


def read_coco_file(path: str | os.PathLike[str], *, truth: str | os.PathLike[str] | None = None) -> Annotations:
    """Read an annotation file, or a plain list of results as pycocotools' ``loadRes`` takes it.

    Boxes that reach out of their picture are clipped. Left out are boxes without area, or that are not numbers, and
    annotations of no image or of no known category; masks that do not fit their picture are dropped, the box is kept.
    Annotations that share an id are all kept.

    Args:
        path: the file.
        truth: of a list of results, the COCO file that says what its image and category ids mean.

    Returns:
        images by file name, without the places of their pictures; and what was mended or left out.

    Raises:
        UsageError: unreadable, not COCO, or inconsistent (two images or categories of one id, an image listed twice
            in one split), naming the file and the entry; a list of results without its truth, or without a score.
    """
    coco = _load(path)
    try:
        if isinstance(coco, list):
            coco = _explained(coco, str(path), truth)
        return _File(coco, str(path)).read()
    except UsageError:
        raise
    except _UNREADABLE as error:
        raise UsageError(f"{path}: not a COCO annotation file ({type(error).__name__}: {error})") from error


def _load(path: str | os.PathLike[str]) -> Any:
    try:
        return json.loads(remote.read(os.fspath(path)))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not readable as JSON ({error})") from error


def _explained(results: list[Any], path: str, truth: str | os.PathLike[str] | None) -> dict[str, Any]:
    """A list of results as an annotation file, with the images and categories of its truth."""
    known = _load(truth) if truth is not None and os.fspath(truth).lower().endswith(".json") else None
    if not isinstance(known, dict) or not {"images", "categories"} <= known.keys():
        raise UsageError(
            f"{path}: not a COCO annotation file but a plain list of results, whose ids of images and categories only "
            "its truth explains: evaluate it against the COCO file (.json) that it was made for"
        )
    for number, entry in enumerate(results, 1):
        entry.setdefault("id", number)
        if "score" not in entry:
            raise UsageError(f"{path}: result {number} has no score")
    # What the truth says of a picture besides is no prediction.
    images = [{name: one.get(name) for name in ("id", "file_name", "width", "height")} for one in known["images"]]
    return {"images": images, "categories": known["categories"], "annotations": results}


class _File:
    """One file that is being read."""

    def __init__(self, coco: dict[str, Any], path: str) -> None:
        self._coco, self._path = coco, path
        self._problems: list[Problem] = []
        self._categories: dict[Any, str] = {}
        self._points: dict[Any, list[str]] = {}

    def read(self) -> Annotations:
        for entry in self._coco["categories"]:
            if entry["id"] in self._categories:
                raise UsageError(f"{self._path}: two categories have the id {entry['id']}")
            self._categories[entry["id"]] = str(entry["name"])
            self._points[entry["id"]] = list(map(str, entry.get("keypoints") or ()))
        entries: dict[Any, dict[str, Any]] = {}
        for entry in self._coco["images"]:
            if entry["id"] in entries:
                raise UsageError(f"{self._path}: two images have the id {entry['id']}")
            entries[entry["id"]] = entry
        found: dict[Any, list[Annotation]] = {}
        seen: set[Any] = set()
        for entry in _taken(self._coco["annotations"]):
            number = entry.get("id")
            if number is not None and number in seen:
                self._report(problems.DUPLICATE, f"two annotations have the id {number}; both are kept")
            seen.add(number)
            one = self._annotation(entry, entries)
            if one is not None:
                found.setdefault(entry["image_id"], []).append(one)
        images: dict[str, Annotated] = {}
        for number, entry in entries.items():
            image = self._image(entry, tuple(found.get(number, ())))
            name = image.name
            images[name] = _once_more(images[name], image, self._path) if name in images else image
        return Annotations(images, self._problems)

    def _report(self, kind: str, what: str) -> None:
        self._problems.append(Problem(kind, self._path, what))

    def _image(self, entry: dict[str, Any], annotations: tuple[Annotation, ...]) -> Annotated:
        own = entry.get("category_id")
        width, height = _size(entry)
        name = str(entry["file_name"])
        if width is None:
            self._report(problems.NO_SIZE, f"{name} has no width and height")
        return Annotated(
            name,
            None if own is None else self._categories[own],
            annotations,
            width=width,
            height=height,
            noise_score=_noise_score(entry, self._path),
            splits=() if entry.get("split") is None else (str(entry["split"]),),
            mask=self._mask(entry.get("segmentation"), width, height, name),
        )

    def _annotation(self, entry: dict[str, Any], images: dict[Any, dict[str, Any]]) -> Annotation | None:
        name = f"annotation {entry.get('id')}"
        x, y, width, height = map(float, entry["bbox"])
        if entry["image_id"] not in images:
            self._report(problems.NO_PICTURE, f"{name} belongs to no image ({entry['image_id']})")
            return None
        if entry["category_id"] not in self._categories:
            self._report(problems.UNKNOWN_CLASS, f"{name} has no known category ({entry['category_id']})")
            return None
        columns, rows = _size(images[entry["image_id"]])
        corners = (x, y, x + width, y + height)
        box, problem = fit_box(corners, columns, rows, name, self._path, shown=entry["bbox"])
        if problem is not None:
            self._problems.append(problem)
        if box is None:
            return None
        score = float(entry.get("score", 1))
        if not math.isfinite(score):
            self._report(problems.DAMAGED, f"{name} has a score that is not a number: {entry['score']}; left out")
            return None
        return Annotation(
            self._categories[entry["category_id"]],
            box,
            score=score,
            difficult=bool(entry.get("difficult")),
            truncated=bool(entry.get("truncated")),
            crowd=bool(entry.get("iscrowd")),
            mask=self._mask(entry.get("segmentation"), columns, rows, name),
            keypoints=self._keypoints(entry, name),
            parts=tuple((str(part["name"]), _corners(part["bbox"])) for part in entry.get("parts") or ()),
        )

    def _mask(self, value: Any, columns: int | None, rows: int | None, name: str) -> Mask | None:
        if not value:
            return None
        try:
            return _to_mask(value, columns, rows)
        except (*_UNREADABLE, MemoryError) as error:
            self._report(problems.WRONG_MASK, f"the mask of {name} cannot be used ({error}); its box is kept")
            return None

    def _keypoints(self, entry: dict[str, Any], name: str) -> tuple[Keypoint, ...]:
        values = [float(value) for value in entry.get("keypoints") or ()]
        if len(values) % 3 or not all(map(math.isfinite, values)):
            self._report(problems.DAMAGED, f"{name} has key points that are not x, y, v in turn; its box is kept")
            return ()
        names = self._points[entry["category_id"]]
        names = names + [str(number) for number in range(len(names), len(values) // 3)]
        triples = zip(names, values[0::3], values[1::3], values[2::3], strict=False)
        return tuple(Keypoint(name, x, y, visible > 0) for name, x, y, visible in triples)


def _size(entry: dict[str, Any]) -> tuple[int | None, int | None]:
    width, height = entry.get("width"), entry.get("height")
    if not width or not height or int(width) < 1 or int(height) < 1:
        return None, None
    return int(width), int(height)


def _corners(box: list[float]) -> Box:
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height


def _taken(entries: list[Any]) -> Iterator[Any]:
    """Take the entries out of the list, from its beginning, so that what has been read takes no memory any more."""
    entries.reverse()
    while entries:
        yield entries.pop()


def _to_mask(value: Any, columns: int | None, rows: int | None) -> Mask:
    if isinstance(value, dict):
        high, wide = map(int, value["size"])
        if (rows, columns) != (None, None) and (high, wide) != (rows, columns):
            raise ValueError(f"it is of {wide} × {high} pixels, the picture of {columns} × {rows}")
        counts = value["counts"]
        if isinstance(counts, list):
            if any(count < 0 for count in counts) or sum(counts) != high * wide:
                raise ValueError("its run lengths do not fill it")
            counts = coco_masks.frPyObjects({"size": [high, wide], "counts": counts}, high, wide)["counts"]
        mask = Rle(high, wide, counts.encode() if isinstance(counts, str) else counts)
        mask.read()
        return mask
    if rows is None or columns is None:
        raise ValueError("outlines need the picture's width and height")
    outlines = [tuple(map(float, outline)) for outline in value]
    if any(len(outline) < 6 or len(outline) % 2 for outline in outlines):
        raise ValueError("an outline is not three or more pairs of x and y")
    if not all(math.isfinite(number) for outline in outlines for number in outline):
        raise ValueError("an outline has values that are not numbers")
    return Polygons(rows, columns, tuple(outlines))


def _once_more(listed: Annotated, again: Annotated, path: str) -> Annotated:
    """An image may be listed once for each class that it was looked at for, or once for each split."""
    before = listed.listed
    if listed.category is not None:
        before = ((listed.category, listed.noise_score),)
    known = {category for category, _ in before}
    if again.splits or listed.splits or again.category is None or again.category in known or not known:
        return _in_another_split(listed, again, path)
    return dataclasses.replace(
        listed,
        category=None,
        noise_score=None,
        annotations=listed.annotations + again.annotations,
        listed=(*before, (again.category, again.noise_score)),
    )


def _in_another_split(listed: Annotated, again: Annotated, path: str) -> Annotated:
    """An image may be listed once for each split it belongs to; with the same category, and its boxes at either."""
    if not again.splits or again.splits[0] in listed.splits or not listed.splits:
        raise UsageError(f"{path}: lists {again.name} twice")
    if again.category != listed.category or (
        listed.annotations and again.annotations and listed.annotations != again.annotations
    ):
        raise UsageError(f"{path}: lists {again.name} twice, with different contents")
    return dataclasses.replace(
        listed, annotations=listed.annotations or again.annotations, splits=listed.splits + again.splits
    )


def _noise_score(entry: dict[str, Any], path: str) -> float | None:
    score = entry.get("noise_score")
    if score is None:
        return None
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise UsageError(f"{path}: {entry['file_name']} has a noise score that is not a number: {score!r}")
    return float(score)


def read_coco_folder(folder: Path) -> Annotations:
    """Read the COCO files of a folder, ``annotations.json`` or one ``annotations_SPLIT.json`` for each split.

    Raises:
        UsageError: as for ``read_coco_file``; or two files list the same image with different contents.
    """
    whole = folder / "annotations.json"
    files = [whole] if whole.is_file() else sorted(folder.glob("annotations_*.json"))
    images: dict[str, Annotated] = {}
    found: list[Problem] = []
    for file in files:
        split = file.stem.removeprefix("annotations").removeprefix("_")
        read = read_coco_file(file)
        found += read.problems
        for name, image in read.images.items():
            image = dataclasses.replace(image, splits=image.splits or ((split,) if split else ()))
            images[name] = _in_another_split(images[name], image, str(file)) if name in images else image
    return Annotations(images, found)
