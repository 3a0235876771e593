"""Findings to render."""

import dataclasses
from pathlib import Path

import numpy as np

from jaxloc.localizers import METHODS
from jaxloc.report import parquet
from jaxloc.report.overlays import make_thumbnail
from jaxloc.report.records import Finding, Findings, Skipped

HOSTILE = (
    "cat/</script><script>document.title='broken'</script>.jpg",
    "cat/\"quoted\" & 'single' <img src=x onerror=\"document.title='broken'\">.jpg",
    "cat/<!-- <script> ${name} $title.jpg",
    "cat/\u202egpj.exe",
    "cat/写真 é\u2028\n.jpg",
)


def image(name: str, category: str = "cat", **changes) -> Finding:
    values = {
        "name": name,
        "path": Path("elsewhere") / "a.jpg",
        "category": category,
        "width": 640,
        "height": 480,
        "box": (64.0, 48.0, 320.0, 240.0),
        "score": 0.75,
        "found": True,
        "noise_score": 0.25,
        "heat": np.array([[127, -127, 3], [0, -1, 64]], np.int8),
        "thumbnail": make_thumbnail(np.full((48, 64, 3), 90, np.uint8)),
    }
    return Finding(**values | changes)


def noisy(name: str, category: str = "cat") -> Finding:
    return image(name, category, box=None, score=0.0, found=False, noise_score=0.03125, noisy=True)


def ddt(**changes) -> Findings:
    values = {
        "title": "cat, dog",
        "method": METHODS["ddt"].title,
        "score_meaning": METHODS["ddt"].score_meaning,
        "settings": {"layer": "relu5_4", "sign": "aggregation"},
        "images": [
            image("cat/1.jpg", score=0.5),
            image("cat/2.jpg", score=0.7),
            noisy("cat/3.jpg"),
            image("dog/1.jpg", "dog", score=0.875, noise_score=0.5),
        ],
        "skipped": [Skipped("dog/2.jpg", "dog", "not an image")],
    }
    return Findings(**values | changes)


def scda() -> Findings:
    images = [
        image("cat/1.jpg", noise_score=None),
        image("cat/2.jpg", noise_score=None, box=None, score=0.0, found=False),
    ]
    scda = METHODS["scda"]
    return Findings("cat", scda.title, {"layer": "relu5_3"}, images, [], score_meaning=scda.score_meaning)


def stored(findings: Findings, folder, per_shard: int = 3) -> Findings:
    """The same findings, read from shards."""
    files = []
    for start in range(0, max(1, len(findings.images)), per_shard):
        files.append(folder / f"shard-{start:05}.parquet")
        parquet.write(files[-1], findings.images[start : start + per_shard], [] if start else list(findings.skipped))
    return dataclasses.replace(findings, images=parquet.Images(files), skipped=parquet.SkippedImages(files))
