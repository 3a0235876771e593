"""Findings as a COCO annotation file, with what COCO has no field for beside it."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxloc._files import write_parts
from jaxloc.report.records import Findings


def write(path: str | os.PathLike[str], findings: Findings) -> None:
    """Write the COCO file in one step, however many pictures there are; the same bytes for the same findings.

    It has ``images``, ``annotations``, ``categories``, and ``skipped`` pictures with their reasons, each on a line of
    its own. Boxes are ``x, y, width, height`` in pixels of the original picture. An image also has ``category_id``
    (its set), ``found``, ``noisy`` and ``noise_score``; an annotation also has ``score``.

    Args:
        path: the file to write or replace.
        findings: what was found.
    """
    write_parts(path, _parts(findings))


def _parts(findings: Findings) -> Iterator[str]:
    numbers = {category: number for number, category in enumerate(findings.categories, 1)}
    info = {
        "description": f"{findings.title}: boxes found by jaxloc without labels",
        "version": findings.version,
        "settings": dict(findings.settings),
        "warnings": findings.warnings,
    }
    skipped = (
        {"file_name": item.name, "category_id": numbers[item.category], "reason": item.reason}
        for item in findings.skipped
    )
    yield f'{{\n "info": {json.dumps(info)}'
    yield from _section("images", _images(findings, numbers))
    yield from _section("annotations", _annotations(findings, numbers))
    yield from _section("categories", ({"id": number, "name": category} for category, number in numbers.items()))
    yield from _section("skipped", skipped)
    yield "\n}\n"


def _section(name: str, items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield f',\n "{name}": ['
    before, end = "\n  ", "]"
    for item in items:
        yield before + json.dumps(item)
        before, end = ",\n  ", "\n ]"
    yield end


def _images(findings: Findings, numbers: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for number, finding in enumerate(findings.light(), 1):
        yield {
            "id": number,
            "file_name": finding.name,
            "width": finding.width,
            "height": finding.height,
            "category_id": numbers[finding.category],
            "found": finding.found,
            "noisy": finding.noisy,
            "noise_score": finding.noise_score,
        }


def _annotations(findings: Findings, numbers: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    annotation = 0
    for image, finding in enumerate(findings.light(), 1):
        if finding.box is not None:
            annotation += 1
            x0, y0, x1, y1 = finding.box
            yield {
                "id": annotation,
                "image_id": image,
                "category_id": numbers[finding.category],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
                "score": finding.score,
            }
