"""Results of many images are written in memory that does not grow with their number."""

import dataclasses
import json
import tracemalloc
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from jaxloc.report import coco, parquet
from jaxloc.report.html import render_page
from jaxloc.report.records import Findings
from tests.report.examples import image

SHARDS, EACH = 20, 125
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def findings(tmp_path_factory) -> Findings:
    """2,500 images in 20 shards, each with a heat map and a thumbnail of 4,000 bytes."""
    folder = tmp_path_factory.mktemp("shards")
    heat = np.zeros((14, 14), np.int8)
    files = [folder / f"{number:02}.parquet" for number in range(SHARDS)]
    for number, file in enumerate(files):
        category = f"set {number // 2}"
        one = image("", category, heat=heat, thumbnail=bytes(4000))
        parquet.write(file, [dataclasses.replace(one, name=f"{category}/{i}.jpg") for i in range(EACH)], [])
    return Findings("many", "ddt", {}, parquet.Images(files), parquet.SkippedImages(files))


def peak(work: Callable[[], object]) -> float:
    """Megabytes that ``work`` needs at most, Python's and those of pyarrow."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        work()
        return (tracemalloc.get_traced_memory()[1] + pool.max_memory()) / MEGABYTE
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


def test_coco_and_page_need_a_fraction_of_what_all_images_need(findings, tmp_path):
    def write() -> None:
        coco.write(tmp_path / "coco.json", findings)
        render_page(findings, limit=100)

    # 6 MB were measured; all of them in a list take 13 MB before anything is written.
    assert peak(write) < 10
    images = json.loads((tmp_path / "coco.json").read_text())["images"]
    assert len(images) == len(findings.images) == SHARDS * EACH
