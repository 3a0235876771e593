"""Searches to render."""

import numpy as np

from jaxloc.report.overlays import make_thumbnail
from jaxloc.report.records import Skipped
from jaxloc.report.search_records import Example, Query, Result, Searched, Strip


def thumbnail(shade: int) -> bytes:
    return make_thumbnail(np.full((48, 64, 3), shade, np.uint8))


def result(name: str, label: str | None = "daisy", **changes) -> Result:
    values = {
        "name": name,
        "label": label,
        "score": 0.875,
        "relevant": label == "daisy",
        "thumbnail": thumbnail(90),
        "box": (64.0, 48.0, 320.0, 240.0),
        "width": 640,
        "height": 480,
    }
    return Result(**values | changes)


def query(name: str, label: str | None = "daisy", **changes) -> Query:
    values = {
        "name": name,
        "label": label,
        "width": 600,
        "height": 400,
        "box": (60.0, 40.0, 300.0, 200.0),
        "mask": np.array([[False, True, True], [False, True, False]]),
        "found": True,
        "thumbnail": thumbnail(30),
        "results": [result("gallery/1.jpg"), result("gallery/2.jpg", "rose", score=-0.25)],
        "average_precision": 0.5,
    }
    return Query(**values | changes)


def without_object(name: str) -> Query:
    return query(name, box=None, mask=np.zeros((2, 3), bool), found=False, results=[], average_precision=0.0)


def wrong(name: str, label: str = "rose") -> Query:
    results = [result("gallery/1.jpg", relevant=False), result("gallery/2.jpg", "rose", relevant=True)]
    return query(name, label, results=results, average_precision=0.25)


def unlabelled(name: str) -> Query:
    results = [result("gallery/1.jpg", None, relevant=None)]
    return query(name, None, results=results, average_precision=None)


def strip(dimension: int = 0, **changes) -> Strip:
    values = {
        "dimension": dimension,
        "share": 0.125,
        "high": [Example("gallery/1.jpg", "daisy", 2.5, thumbnail(90)), Example("gallery/2.jpg", "rose", 1.25, None)],
        "low": [Example("gallery/3.jpg", None, -2.0, thumbnail(120))],
    }
    return Strip(**values | changes)


def searched(**changes) -> Searched:
    values = {
        "title": "flowers",
        "settings": {"method": "SCDA", "metric": "cosine"},
        "gallery_size": 1340,
        "queries": [query("daisy/1.jpg"), without_object("daisy/2.jpg"), wrong("rose/1.jpg")],
        "skipped": [Skipped("rose/2.jpg", "gallery", "not an image")],
        "strips": [strip()],
        "summary": {"mAP@5": "79.5 %"},
    }
    return Searched(**values | changes)
