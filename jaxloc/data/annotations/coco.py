"""Read COCO annotation files: ground truth and predictions for evaluation."""

import dataclasses
import json
import math
import os
from typing import Any

from jaxloc.data import remote
from jaxloc.data.annotations.records import Annotated, Annotation
from jaxloc.errors import UsageError


def read_coco(path: str | os.PathLike[str]) -> dict[str, Annotated]:
    """Read an annotation file.

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
    found: dict[Any, list[Annotation]] = {}
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
        one = Annotation(
            categories[entry["category_id"]],
            (x, y, x + width, y + height),
            score=float(entry.get("score", 1)),
            crowd=bool(entry.get("iscrowd")),
        )
        found.setdefault(entry["image_id"], []).append(one)
    images: dict[str, Annotated] = {}
    for entry in coco["images"]:
        name = str(entry["file_name"])
        own = entry.get("category_id")
        image = Annotated(
            name,
            None if own is None else categories[own],
            tuple(found.get(entry["id"], ())),
            noise_score=_noise_score(entry, path),
            splits=() if entry.get("split") is None else (str(entry["split"]),),
        )
        images[name] = _in_another_split(images[name], image, path) if name in images else image
    return images


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
