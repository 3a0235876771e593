"""Findings as a COCO annotation file, with what COCO has no field for beside it."""

import json
from typing import Any

from jaxloc.report.records import Finding, Findings


def to_coco(findings: Findings) -> dict[str, Any]:
    """COCO's dictionary: ``images``, ``annotations``, ``categories``, and ``skipped`` pictures with their reasons.

    Boxes are ``x, y, width, height`` in pixels of the original picture. An image also has ``category_id`` (its
    set), ``found``, ``noisy`` and ``noise_score``; an annotation also has ``score``.
    """
    numbers = {category: number for number, category in enumerate(findings.categories, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, finding in enumerate(findings.pictures, 1):
        images.append(
            {
                "id": number,
                "file_name": finding.name,
                "width": finding.width,
                "height": finding.height,
                "category_id": numbers[finding.category],
                "found": finding.found,
                "noisy": finding.noisy,
                "noise_score": finding.noise_score,
            }
        )
        if finding.box is not None:
            annotations.append(_annotation(len(annotations) + 1, number, numbers[finding.category], finding))
    return {
        "info": {
            "description": f"{findings.title}: boxes found by jaxloc without labels",
            "version": findings.version,
            "settings": dict(findings.settings),
            "warnings": findings.warnings,
        },
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": category} for category, number in numbers.items()],
        "skipped": [
            {"file_name": item.name, "category_id": numbers[item.category], "reason": item.reason}
            for item in findings.skipped
        ],
    }


def _annotation(number: int, image: int, category: int, finding: Finding) -> dict[str, Any]:
    if finding.box is None:
        raise ValueError(f"{finding.name} has no box")
    x0, y0, x1, y1 = finding.box
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": 0,
        "score": finding.score,
    }


def dump(findings: Findings) -> str:
    """The COCO file's text: one image or annotation a line, the same for the same findings."""
    coco = to_coco(findings)
    parts = []
    for key, value in coco.items():
        if isinstance(value, list) and value:
            lines = ",\n  ".join(json.dumps(item, ensure_ascii=True) for item in value)
            parts.append(f'"{key}": [\n  {lines}\n ]')
        else:
            parts.append(f'"{key}": {json.dumps(value, ensure_ascii=True)}')
    return "{\n " + ",\n ".join(parts) + "\n}\n"
