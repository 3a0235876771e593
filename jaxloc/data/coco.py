"""Read COCO annotation files: ground truth and predictions for evaluation."""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any

from jaxloc.data import remote
from jaxloc.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Annotated:
    """One image of an annotation file.

    Attributes:
        name: its ``file_name``.
        category: name of its own category, where the file gives images one; else ``None``.
        boxes: for each category name, ``(x0, y0, x1, y1, score)`` of its annotations (score 1 where there is none).
        noise_score: if the file holds one.
        splits: the parts of a data set it belongs to (``"train"``, ``"test"``, …), if the file says so.
    """

    name: str
    category: str | None
    boxes: Mapping[str, list[tuple[float, float, float, float, float]]]
    noise_score: float | None
    splits: tuple[str, ...] = ()

    @property
    def categories(self) -> list[str]:
        """The image's own category; without one, every category it has boxes of."""
        return [self.category] if self.category is not None else sorted(self.boxes)


def read_coco(path: str | os.PathLike[str]) -> dict[str, Annotated]:
    """Read an annotation file; crowd regions are left out.

    Returns:
        images by file name.

    Raises:
        UsageError: unreadable, not COCO, or inconsistent (an annotation of no image, an image listed twice in one
            split, a box without area), naming the file and the entry.
    """
    try:
        coco = json.loads(remote.read(os.fspath(path)))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not readable as JSON ({error})") from error
    try:
        return _read(coco, str(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: not a COCO annotation file ({type(error).__name__}: {error})") from error


def _read(coco: dict[str, Any], path: str) -> dict[str, Annotated]:
    categories = {entry["id"]: str(entry["name"]) for entry in coco["categories"]}
    boxes: dict[Any, dict[str, list[tuple[float, float, float, float, float]]]] = {}
    known: set[Any] = set()
    for entry in coco["images"]:
        if entry["id"] in known:
            raise UsageError(f"{path}: two images have the id {entry['id']}")
        known.add(entry["id"])
    for entry in coco["annotations"]:
        if entry["image_id"] not in known:
            raise UsageError(f"{path}: annotation {entry.get('id')} belongs to no image ({entry['image_id']})")
        if entry["category_id"] not in categories:
            raise UsageError(f"{path}: annotation {entry.get('id')} has no known category ({entry['category_id']})")
        x, y, width, height = map(float, entry["bbox"])
        if not (width > 0 and height > 0):
            raise UsageError(f"{path}: annotation {entry.get('id')} has a box without area: {entry['bbox']}")
        if not entry.get("iscrowd"):
            box = (x, y, x + width, y + height, float(entry.get("score", 1)))
            boxes.setdefault(entry["image_id"], {}).setdefault(categories[entry["category_id"]], []).append(box)
    images: dict[str, Annotated] = {}
    for entry in coco["images"]:
        name = str(entry["file_name"])
        own = entry.get("category_id")
        image = Annotated(
            name,
            None if own is None else categories[own],
            boxes.get(entry["id"], {}),
            _noise_score(entry, path),
            () if entry.get("split") is None else (str(entry["split"]),),
        )
        images[name] = _in_another_split(images[name], image, path) if name in images else image
    return images


def _in_another_split(listed: Annotated, again: Annotated, path: str) -> Annotated:
    """An image may be listed once for each split it belongs to; with the same category, and its boxes at either."""
    if not again.splits or again.splits[0] in listed.splits or not listed.splits:
        raise UsageError(f"{path}: lists {again.name} twice")
    if again.category != listed.category or (listed.boxes and again.boxes and listed.boxes != again.boxes):
        raise UsageError(f"{path}: lists {again.name} twice, with different contents")
    return dataclasses.replace(listed, boxes=listed.boxes or again.boxes, splits=listed.splits + again.splits)


def _noise_score(entry: dict[str, Any], path: str) -> float | None:
    score = entry.get("noise_score")
    if score is None:
        return None
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise UsageError(f"{path}: {entry['file_name']} has a noise score that is not a number: {score!r}")
    return float(score)
