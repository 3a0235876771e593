"""COCO: ``annotations.json``, or ``annotations_SPLIT.json`` for each split, beside the images in ``images``.

Category ids are those of the source, where it has some. Boxes keep every digit. Masks are run lengths, or outlines
where they were outlines. Further fields: of an image ``category_id``, ``positive_share`` (also as ``noise_score``),
``split``, ``level`` and ``segmentation``; of an annotation ``score``, ``difficult``, ``truncated`` and ``parts``.
Unknown pixels of a mask become background.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_masks

from jaxloc._files import write_parts
from jaxloc.data.annotations import Annotated, Annotation, MaskFile, Polygons, Problem, Rle
from jaxloc.data.annotations.records import Mask
from jaxloc.report.exports.job import Job, by_split
from jaxloc.report.exports.masks import read_mask, wrong_size
from jaxloc.report.text import json_lists


def write(job: Job) -> list[Annotated]:
    """Write a file for each split, and the images."""

    def ready(image: Annotated, own: list[Problem]) -> Annotated | None:
        return _with_masks(image, own) if job.place(image, "images", own) else None

    images = list(job.images)
    if job.placement != "none" or any(map(_has_mask_file, images)):
        images = [known for _, known in job.each("images", ready) if known is not None]
    for split, chosen in by_split(images).items():
        name = f"annotations_{split}.json" if split else "annotations.json"
        write_parts(job.folder / name, _parts(job, chosen, split))
    return images


def _parts(job: Job, images: Sequence[Annotated], split: str) -> Iterator[str]:
    numbers = job.numbers or {category: number for number, category in enumerate(job.categories, 1)}
    points = _points(images)
    lists = {
        "images": (_image(image, number, numbers, split, job.problems) for number, image in enumerate(images, 1)),
        "annotations": _annotations(job, images, numbers, points),
        "categories": (_category(name, number, points) for name, number in numbers.items()),
    }
    yield "{"
    yield from json_lists(lists)


def _category(name: str, number: int, points: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": number, "name": name, "supercategory": ""}
    return entry | ({"keypoints": list(points[name]), "skeleton": []} if name in points else {})


def _points(images: Iterable[Annotated]) -> dict[str, list[str]]:
    """The names of each class's key points, in the order they are met."""
    points: dict[str, dict[str, None]] = {}
    for image in images:
        for one in image.annotations:
            if one.keypoints:
                points.setdefault(one.category, {}).update(dict.fromkeys(point.name for point in one.keypoints))
    return {category: list(names) for category, names in points.items()}


def _image(
    image: Annotated, number: int, numbers: Mapping[str, int], split: str, found: list[Problem]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": number, "file_name": image.name, "width": image.width, "height": image.height}
    if image.category is not None:
        entry["category_id"] = numbers[image.category]
    if image.noise_score is not None:
        entry |= {"noise_score": image.noise_score, "positive_share": image.noise_score}
    if split:
        entry["split"] = split
    if image.level is not None:
        entry["level"] = image.level
    segmentation = _segmentation(image.mask, image, found)[0]
    return entry | ({} if segmentation is None else {"segmentation": segmentation})


def _annotations(
    job: Job, images: Sequence[Annotated], numbers: Mapping[str, int], points: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    def describe(image: Annotated, own: list[Problem]) -> list[dict[str, Any]]:
        return [_annotation(one, image, numbers, points, own) for one in image.annotations]

    count = 0
    for number, (_, entries) in enumerate(job.each("annotations", describe, images, threads=False), 1):
        for entry in entries:
            count += 1
            yield {"id": count, "image_id": number, **entry}


def _annotation(
    one: Annotation,
    image: Annotated,
    numbers: Mapping[str, int],
    points: Mapping[str, Sequence[str]],
    found: list[Problem],
) -> dict[str, Any]:
    x0, y0, x1, y1 = one.box
    segmentation, area = _segmentation(one.mask, image, found)
    return {
        "category_id": numbers[one.category],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0) if area is None else area,
        "iscrowd": int(one.crowd),
        "segmentation": [] if segmentation is None else segmentation,
        "score": one.score,
        **_extras(one, points),
    }


def _extras(one: Annotation, points: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    extras: dict[str, Any] = {flag: 1 for flag in ("difficult", "truncated") if getattr(one, flag)}
    if one.keypoints:
        known = {point.name: point for point in one.keypoints if point.visible}
        triples = ([known[name].x, known[name].y, 2] if name in known else [0, 0, 0] for name in points[one.category])
        extras |= {"keypoints": [value for triple in triples for value in triple], "num_keypoints": len(known)}
    if one.parts:
        extras["parts"] = [{"name": name, "bbox": [x0, y0, x1 - x0, y1 - y0]} for name, (x0, y0, x1, y1) in one.parts]
    return extras


def _has_mask_file(image: Annotated) -> bool:
    return any(isinstance(mask, MaskFile) for mask in (image.mask, *(one.mask for one in image.annotations)))


def _with_masks(image: Annotated, found: list[Problem]) -> Annotated:
    """The image with run lengths in place of mask files."""
    if not _has_mask_file(image):
        return image
    objects = tuple(dataclasses.replace(one, mask=_without_file(one.mask, image, found)) for one in image.annotations)
    return dataclasses.replace(image, annotations=objects, mask=_without_file(image.mask, image, found))


def _without_file(mask: Mask | None, image: Annotated, found: list[Problem]) -> Mask | None:
    if not isinstance(mask, MaskFile):
        return mask
    pixels = read_mask(mask, image, found)
    return None if pixels is None else Rle.of(pixels.inside)


def _segmentation(mask: Mask | None, image: Annotated, found: list[Problem]) -> tuple[Any, float | None]:
    """A mask as COCO writes it, and its area in pixels."""
    if isinstance(mask, Rle | Polygons) and image.width is not None:
        size = (mask.columns, mask.rows)
        if size != (image.width, image.height):
            found.append(wrong_size(size, image))
            return None, None
    if isinstance(mask, Polygons):
        pieces = coco_masks.frPyObjects([list(points) for points in mask.points], mask.rows, mask.columns)
        return [list(points) for points in mask.points], float(coco_masks.area(coco_masks.merge(pieces)))
    if not isinstance(mask, Rle):  # files have been read
        return None, None
    counts = {"size": [mask.rows, mask.columns], "counts": mask.counts}
    return counts | {"counts": mask.counts.decode()}, float(coco_masks.area(counts))
