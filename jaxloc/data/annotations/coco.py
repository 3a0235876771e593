"""COCO annotation files: ground truth and predictions.

Besides COCO's own fields these are read: of an image ``split``, ``category_id`` (its own class), ``positive_share`` or
``noise_score``, its former name, ``segmentation`` (of all objects) and ``level`` (of clutter, as in RPC); of an
annotation ``score``, ``difficult``, ``truncated``, ``parts`` (``name`` and ``bbox`` of each), ``probability`` and
``point``.
"""

import json
import math
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from pycocotools import mask as coco_masks

from jaxloc.data import remote
from jaxloc.data.annotations import problems
from jaxloc.data.annotations.coco_results import check_results, enumerated, explained, lacking
from jaxloc.data.annotations.merging import once_more
from jaxloc.data.annotations.problems import Annotations, Problem, fit_box
from jaxloc.data.annotations.records import Annotated, Annotation, Box, Keypoint, Polygons, Rle
from jaxloc.data.sources import escaped
from jaxloc.errors import UsageError

_SECTIONS = {"images": ("id", "file_name"), "annotations": (), "categories": ("id", "name")}
"""Sections of a file, and the fields each entry must have; incomplete annotations are left out."""

_BACKSLASH = re.compile(r"\\(?!x[89a-f][0-9a-f])")
"""One of Windows, not that of an escaped byte."""

_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


def read_coco(path: str | os.PathLike[str]) -> dict[str, Annotated]:
    """Read an annotation file; images by file name. An unusable annotation is a ``UsageError``."""
    found = read_coco_file(path)
    for problem in found.problems:
        if problem.kind in problems.UNUSABLE:
            raise UsageError(str(problem))
    return found.images


def read_coco_file(path: str | os.PathLike[str], *, truth: str | os.PathLike[str] | None = None) -> Annotations:
    """Read an annotation file, or a plain list of results as for pycocotools' ``loadRes``; images are without paths.

    Boxes are clipped to their image. Left out are boxes without area or not of numbers, and annotations of no image or
    no known category. Masks that do not fit their image are dropped, their boxes kept. Annotations that share an id are
    all kept.

    ``truth`` is the COCO file that explains the ids of a list of results.
    """
    coco = _load(path)
    try:
        if isinstance(coco, list):
            check_results(coco, str(path))
            coco = explained(coco, str(path), _known(str(path), truth))
        return _File(_checked(coco, str(path)), str(path)).read()
    except UsageError:
        raise
    except _UNREADABLE as error:
        raise UsageError(f"{path}: not a COCO annotation file: an entry is damaged ({error})") from error


def _checked(coco: Any, path: str) -> dict[str, Any]:
    """Check that the sections exist and their entries have the fields they need."""
    found = coco if isinstance(coco, dict) else {}
    if missing := [name for name in _SECTIONS if not isinstance(found.get(name), list)]:
        raise UsageError(f"{path}: not a COCO annotation file: it has no list of {enumerated(missing)}")
    for section, fields in _SECTIONS.items():
        for number, entry in enumerate(found[section] if fields else (), 1):
            if absent := lacking(entry, fields):
                raise UsageError(f"{path}: not a COCO annotation file: entry {number} of {section} has no {absent}")
    return found


def _load(path: str | os.PathLike[str]) -> Any:
    try:
        return json.loads(remote.read(os.fspath(path)))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not readable as JSON ({error})") from error


def _known(path: str, truth: str | os.PathLike[str] | None) -> dict[str, Any]:
    """The COCO file that a list of results was made for."""
    known = _load(truth) if truth is not None and os.fspath(truth).lower().endswith(".json") else None
    if not isinstance(known, dict) or not {"images", "categories"} <= known.keys():
        raise UsageError(
            f"{path}: not a COCO annotation file but a plain list of results, whose ids of images and categories only "
            "its truth explains: evaluate it against the COCO file (.json) that it was made for"
        )
    return _checked(known | {"annotations": []}, os.fspath(truth or ""))


class _File:
    """Reader of one file."""

    def __init__(self, coco: dict[str, Any], path: str) -> None:
        self._coco, self._path = coco, path
        self._problems: list[Problem] = []
        self._categories: dict[Any, str] = {}
        self._coarse: dict[Any, str | None] = {}
        self._points: dict[Any, list[str]] = {}
        self._damaged: dict[Any, dict[str, None]] = {}

    def read(self) -> Annotations:
        for entry in self._coco["categories"]:
            if entry["id"] in self._categories:
                raise UsageError(f"{self._path}: two categories have the id {entry['id']}")
            self._categories[entry["id"]] = escaped(str(entry["name"]))
            self._coarse[entry["id"]] = entry.get("supercategory") or None
            self._points[entry["id"]] = list(map(str, entry.get("keypoints") or ()))
        entries: dict[Any, dict[str, Any]] = {}
        for entry in self._coco["images"]:
            if entry["id"] in entries:
                raise UsageError(f"{self._path}: two images have the id {entry['id']}")
            entries[entry["id"]] = entry
        found: dict[Any, list[Annotation]] = {}
        seen: set[Any] = set()
        for place, entry in enumerate(_taken(self._coco["annotations"]), 1):
            if not isinstance(entry, dict):
                self._report(problems.DAMAGED, f"entry {place} of annotations is none: {entry!r}; left out")
                continue
            number = entry.get("id")
            if number is not None and number in seen:
                self._report(problems.DUPLICATE, f"two annotations have the id {number}; both are kept")
            seen.add(number)
            image = entry.get("image_id")
            if image not in entries:
                self._report(problems.NO_IMAGE, f"annotation {number} belongs to no image ({image})")
                continue
            one = self._annotation(entry, entries[image])
            if one is None:
                category = self._categories.get(entry.get("category_id"), "")
                self._damaged.setdefault(image, {})[category] = None
            else:
                found.setdefault(image, []).append(one)
        images: dict[str, Annotated] = {}
        for number, entry in entries.items():
            listed = self._image(entry, tuple(found.get(number, ())))
            before = images.get(listed.name)
            images[listed.name] = once_more(before, listed, self._path) if before else listed
        numbers: dict[str, int] = {}
        for number, name in self._categories.items():
            if isinstance(number, int):
                numbers.setdefault(name, number)
        return Annotations(images, self._problems, tuple(self._categories.values()), numbers)

    def _report(self, kind: str, what: str) -> None:
        self._problems.append(Problem(kind, self._path, what))

    def _image(self, entry: dict[str, Any], annotations: tuple[Annotation, ...]) -> Annotated:
        own = entry.get("category_id")
        size = _size(entry)
        name = _BACKSLASH.sub("/", escaped(str(entry["file_name"])))
        if size is None:
            self._report(problems.NO_SIZE, f"{name} has no width and height")
        if own is not None and own not in self._categories:
            raise UsageError(f"{self._path}: not a COCO annotation file: {name} has no known category ({own})")
        return Annotated(
            name,
            None if own is None else self._categories[own],
            annotations,
            width=size and size[0],
            height=size and size[1],
            noise_score=_noise_score(entry, self._path),
            splits=() if entry.get("split") is None else (str(entry["split"]),),
            mask=self._mask(entry.get("segmentation"), size, name),
            level=None if entry.get("level") is None else str(entry["level"]),
            damaged=tuple(self._damaged.get(entry["id"], ())),
            coarse=entry.get("coarse") or self._coarse.get(own),
        )

    def _annotation(self, entry: dict[str, Any], image: dict[str, Any]) -> Annotation | None:
        name = f"annotation {entry.get('id')} of {image['file_name']}"
        if entry.get("category_id") not in self._categories:
            self._report(problems.UNKNOWN_CLASS, f"{name} has no known category ({entry.get('category_id')})")
            return None
        size = _size(image)
        mask = self._mask(entry.get("segmentation"), size, name)
        try:
            corners = _around(mask) if mask is not None and not entry.get("bbox") else _corners(entry["bbox"])
        except _UNREADABLE:
            self._report(problems.DAMAGED, f"{name} has a box that is not four numbers: {entry.get('bbox')}; left out")
            return None
        box = fit_box(corners, size, name, self._path, self._problems, shown=entry.get("bbox") or list(corners))
        if box is None:
            return None
        score = 1.0 if entry.get("score") is None else _number(entry["score"])
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
            mask=mask,
            keypoints=self._keypoints(entry, name),
            parts=self._parts(entry, name),
            **self._asked(entry, name),
        )

    def _mask(self, value: Any, size: tuple[int, int] | None, name: str) -> Rle | Polygons | None:
        if not value:
            return None
        try:
            return _to_mask(value, size)
        except (*_UNREADABLE, MemoryError) as error:
            self._report(problems.WRONG_MASK, f"the mask of {name} cannot be used ({error}); its box is kept")
            return None

    def _keypoints(self, entry: dict[str, Any], name: str) -> tuple[Keypoint, ...]:
        values = [_number(value) for value in entry.get("keypoints") or ()]
        if len(values) % 3 or not all(map(math.isfinite, values)):
            self._report(
                problems.DAMAGED_DETAIL, f"{name} has key points that are not x, y, v in turn; its box is kept"
            )
            return ()
        names = self._points[entry["category_id"]]
        names = names + [str(number) for number in range(len(names), len(values) // 3)]
        triples = zip(names, values[0::3], values[1::3], values[2::3], strict=False)
        return tuple(Keypoint(name, x, y, visible > 0) for name, x, y, visible in triples)

    def _asked(self, entry: dict[str, Any], name: str) -> dict[str, Any]:
        """The probability of the class and the point, as far as they are there."""
        found: dict[str, Any] = {}
        probability, point = entry.get("probability"), entry.get("point")
        if probability is not None:
            found["probability"] = _number(probability)
        if point is not None:
            found["point"] = tuple(map(_number, point)) if isinstance(point, list) else ()
        values = (found.get("probability", 0.0), *found.get("point", (0.0, 0.0)))
        if len(values) == 3 and all(map(math.isfinite, values)):
            return found
        what = f"{name} has a probability or a point that is no number or two; its box is kept"
        self._report(problems.DAMAGED_DETAIL, what)
        return {}

    def _parts(self, entry: dict[str, Any], name: str) -> tuple[tuple[str, Box], ...]:
        try:
            return tuple((str(part["name"]), _corners(part["bbox"])) for part in entry.get("parts") or ())
        except _UNREADABLE:
            self._report(
                problems.DAMAGED_DETAIL, f"{name} has parts that are not a name and a box each; its box is kept"
            )
            return ()


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    width, height = _number(entry.get("width")), _number(entry.get("height"))
    return (int(width), int(height)) if 1 <= width < math.inf and 1 <= height < math.inf else None


def _corners(box: list[float]) -> Box:
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height


def _around(mask: Rle | Polygons) -> Box:
    """The box around a mask whose annotation has none."""
    if isinstance(mask, Rle):
        return _corners(coco_masks.toBbox({"size": [mask.rows, mask.columns], "counts": mask.counts}))
    xs, ys = (np.concatenate([points[start::2] for points in mask.points]) for start in (0, 1))
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


def _taken(entries: list[Any]) -> Iterator[Any]:
    """Pop the entries from the front, so that those already read free their memory."""
    entries.reverse()
    while entries:
        yield entries.pop()


def _to_mask(value: Any, size: tuple[int, int] | None) -> Rle | Polygons:
    if isinstance(value, dict):
        high, wide = map(int, value["size"])
        if size is not None and (wide, high) != size:
            raise ValueError(f"it is of {wide} × {high} pixels, the image of {size[0]} × {size[1]}")
        counts = value["counts"]
        if isinstance(counts, list):
            if any(count < 0 for count in counts) or sum(counts) != high * wide:
                raise ValueError("its run lengths do not fill it")
            counts = coco_masks.frPyObjects({"size": [high, wide], "counts": counts}, high, wide)["counts"]
        mask = Rle(high, wide, counts.encode() if isinstance(counts, str) else counts)
        mask.read()
        return mask
    if size is None:
        raise ValueError("outlines need the image's width and height")
    outlines = [tuple(map(float, outline)) for outline in value]
    if any(len(outline) < 6 or len(outline) % 2 for outline in outlines):
        raise ValueError("an outline is not three or more pairs of x and y")
    if not all(math.isfinite(number) for outline in outlines for number in outline):
        raise ValueError("an outline has values that are not numbers")
    return Polygons(size[1], size[0], tuple(outlines))


def _noise_score(entry: dict[str, Any], path: str) -> float | None:
    score = entry.get("noise_score", entry.get("positive_share"))
    if score is None:
        return None
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise UsageError(f"{path}: {entry['file_name']} has a noise score that is not a number: {score!r}")
    return float(score)
