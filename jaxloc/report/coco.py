"""Findings as a COCO annotation file, with further fields of jaxloc."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pycocotools import mask as coco_masks

from jaxloc._files import write_parts
from jaxloc.report.records import Finding, Findings
from jaxloc.report.text import json_lists

Box = tuple[float, float, float, float]
Details = Callable[[Finding], Mapping[str, Any]]
"""Further fields of an image."""


def write(path: str | os.PathLike[str], findings: Findings, **further: Any) -> None:
    """Write the COCO file atomically and in constant memory; the same findings give the same bytes.

    It has ``images``, ``annotations``, ``categories``, and ``skipped`` images with their reasons, each on a line of
    its own. Boxes are ``x, y, width, height`` in pixels of the original image. An image also has ``category_id``
    (its set), ``found``, ``noisy``, ``positive_share`` (also as ``noise_score``, its former name) and, if
    there is one, a ``note``; an annotation also has ``score`` and, if kept, ``segmentation`` (compressed run lengths;
    ``area`` is then the mask's) and ``parts`` (each with ``name`` and ``bbox``). If a classifier was asked, it also has
    the ``class`` with the ``probability`` of it, the ``passes`` of the network, the ``point`` where the class is seen
    most and, of a search, ``iterations`` and ``regions`` (each with ``bbox`` and the scores ``cropped`` and
    ``erased``). Further objects of an image are annotations of their own; each then has its ``weight``.
    ``further`` is as of ``encode``.
    """
    write_parts(path, encode(findings, **further))


def encode(
    findings: Findings,
    *,
    sections: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
    image: Details = lambda finding: {},
    annotation: Details = lambda finding: {},
) -> Iterator[str]:
    """The text of the file that ``write`` writes, piece by piece.

    ``sections`` are further lists of entries; ``image`` and ``annotation`` give further fields of an image's entries.
    """
    numbers = {category: number for number, category in enumerate(findings.categories, 1)}
    info = {
        "description": f"{findings.title}: boxes found by jaxloc without labels",
        "version": findings.version,
        "settings": dict(findings.settings),
        "warnings": findings.warnings,
    }
    lists = {
        **(sections or {}),
        "images": _images(findings, numbers, image),
        "annotations": _annotations(findings, numbers, annotation),
        "categories": ({"id": number, "name": category} for category, number in numbers.items()),
        "skipped": (
            {"file_name": item.name, "category_id": numbers[item.category], "reason": item.reason}
            for item in findings.skipped
        ),
    }
    yield f'{{\n "info": {json.dumps(info)},'
    yield from json_lists(lists)


def _images(findings: Findings, numbers: Mapping[str, int], details: Details) -> Iterator[dict[str, Any]]:
    first = (finding for finding in findings.light() if not finding.rank)
    for number, finding in enumerate(first, 1):
        yield {
            "id": number,
            "file_name": finding.name,
            "width": finding.width,
            "height": finding.height,
            "category_id": numbers[finding.category],
            "found": finding.found,
            "noisy": finding.noisy,
            "noise_score": finding.noise_score,
            "positive_share": finding.noise_score,
            **({"note": finding.note} if finding.note else {}),
            **details(finding),
        }


def _annotations(findings: Findings, numbers: Mapping[str, int], details: Details) -> Iterator[dict[str, Any]]:
    annotation = image = 0
    for finding in findings.light():
        image += not finding.rank
        for box, own in _boxes(finding, findings, details):
            annotation += 1
            _, _, width, height = bbox = _xywh(box)
            yield {
                "id": annotation,
                "image_id": image,
                "category_id": numbers[finding.category],
                "bbox": bbox,
                "area": width * height,
                "iscrowd": 0,
                **own,
            }


def _boxes(finding: Finding, findings: Findings, details: Details) -> Iterator[tuple[Box, dict[str, Any]]]:
    """Each box of an image, the object's first, and what else is said of it; a region's score falls with its weight."""
    if finding.box is None:
        return
    heaviest = finding.objects[0][4] if finding.objects else 1.0
    weight = {"weight": heaviest} if finding.objects else {}
    own = _details(finding, findings)
    yield finding.box, {"score": finding.score, **weight, **_asked(finding), **own, **details(finding)}
    for x0, y0, x1, y1, lighter in finding.objects[1:]:
        yield (x0, y0, x1, y1), {"score": finding.score * lighter / heaviest, "weight": lighter}


def _asked(finding: Finding) -> dict[str, Any]:
    """What a classifier said, if it was asked."""
    point = finding.point and list(finding.point)
    told = {"class": finding.class_name, "probability": finding.probability, "point": point, "passes": finding.passes}
    asked: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    if finding.regions:
        scored = ("cropped", "erased")
        regions = [{"bbox": _xywh(row[:4])} | dict(zip(scored, row[4:], strict=True)) for row in finding.regions]
        asked |= {"iterations": len(regions) - 1, "regions": regions}
    return asked


def _details(finding: Finding, findings: Findings) -> dict[str, Any]:
    """The object's pixels and parts, where the job kept them."""
    details: dict[str, Any] = {}
    if finding.mask is not None:
        runs = {"size": [finding.height, finding.width], "counts": finding.mask}
        details["segmentation"] = runs | {"counts": finding.mask.decode("ascii")}
        details["area"] = int(coco_masks.area(runs))
    if finding.parts:
        named = ((findings.part_name(number), part) for number, part in enumerate(finding.parts))
        details["parts"] = [{"name": name, "bbox": _xywh(part)} for name, part in named if part is not None]
    return details


def _xywh(box: tuple[float, ...]) -> list[float]:
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]
