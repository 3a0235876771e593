"""The COCO file is written image by image, the same bytes as if it were made in one piece."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from jaxloc.data.annotations import Rle
from jaxloc.report import coco, parquet
from jaxloc.report.records import Findings, Skipped
from tests.report.examples import HOSTILE, ddt, image, noisy, scda, stored


def plain(findings: Findings) -> str:
    """The whole file from one dictionary."""
    numbers = {category: number for number, category in enumerate(findings.categories, 1)}
    found = [(number, item) for number, item in enumerate(findings.images, 1) if item.box is not None]
    sections = {
        "images": [
            {
                "id": number,
                "file_name": item.name,
                "width": item.width,
                "height": item.height,
                "category_id": numbers[item.category],
                "found": item.found,
                "noisy": item.noisy,
                "noise_score": item.noise_score,
                "positive_share": item.noise_score,
            }
            for number, item in enumerate(findings.images, 1)
        ],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": numbers[item.category],
                "bbox": [item.box[0], item.box[1], item.box[2] - item.box[0], item.box[3] - item.box[1]],
                "area": (item.box[2] - item.box[0]) * (item.box[3] - item.box[1]),
                "iscrowd": 0,
                "score": item.score,
            }
            for number, (image, item) in enumerate(found, 1)
        ],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "skipped": [
            {"file_name": item.name, "category_id": numbers[item.category], "reason": item.reason}
            for item in findings.skipped
        ],
    }
    info = {
        "description": f"{findings.title}: boxes found by jaxloc without labels",
        "version": findings.version,
        "settings": findings.settings,
        "warnings": findings.warnings,
    }
    lists = {
        name: "[\n  " + ",\n  ".join(map(json.dumps, items)) + "\n ]" if items else "[]"
        for name, items in sections.items()
    }
    texts = {"info": json.dumps(info), **lists}
    return "{\n " + ",\n ".join(f'"{name}": {text}' for name, text in texts.items()) + "\n}\n"


EXAMPLES = [
    ddt(),
    scda(),
    ddt(images=[image(name, name) for name in HOSTILE], skipped=[Skipped(HOSTILE[0], "other", HOSTILE[0])]),
    ddt(images=[noisy("a.jpg")], skipped=[], warnings=["cat: in doubt"]),
    ddt(images=[]),
    Findings("nothing", "ddt", {}, [], []),
]


@pytest.mark.parametrize("findings", EXAMPLES)
def test_streamed_text_is_that_of_one_piece(findings, tmp_path):
    for some in (findings, stored(findings, tmp_path)):
        coco.write(tmp_path / "coco.json", some)
        assert (tmp_path / "coco.json").read_bytes() == plain(findings).encode()


def test_boxes_are_corner_width_and_height_and_numbers_count_from_one(tmp_path):
    coco.write(tmp_path / "coco.json", ddt())
    read = json.loads((tmp_path / "coco.json").read_text())
    assert [image["id"] for image in read["images"]] == [1, 2, 3, 4]
    assert [(one["id"], one["image_id"], one["category_id"]) for one in read["annotations"]] == [
        (1, 1, 1),
        (2, 2, 1),
        (3, 4, 2),
    ]
    assert read["annotations"][0]["bbox"] == [64, 48, 256, 192]
    assert read["annotations"][0]["area"] == 256 * 192
    assert read["skipped"] == [{"file_name": "dog/2.jpg", "category_id": 2, "reason": "not an image"}]


def test_masks_are_run_lengths_that_pycocotools_reads_and_parts_that_are_there_have_names(tmp_path, capsys):
    mask = np.zeros((480, 640), bool)
    mask[50:60, 70:90] = True
    parts = ((64.0, 48.0, 100.0, 80.0), None, (1.5, 2.0, 3.0, 4.0))
    findings = ddt(images=[image("cat/1.jpg", mask=Rle.of(mask).counts, parts=parts), image("cat/2.jpg")])
    for some in (findings, stored(findings, tmp_path)):
        coco.write(tmp_path / "coco.json", some)
        read = COCO(tmp_path / "coco.json")
        masked, plain_box = read.loadAnns(read.getAnnIds())
        np.testing.assert_array_equal(read.annToMask(masked), mask)
        assert masked["area"] == 200
        assert masked["parts"] == [
            {"name": "part 1", "bbox": [64, 48, 36, 32]},
            {"name": "part 3", "bbox": [1.5, 2, 1.5, 2]},
        ]
        assert not {"segmentation", "parts"} & plain_box.keys()
    capsys.readouterr()


def test_heat_maps_and_thumbnails_are_not_read(tmp_path, monkeypatch):
    findings = stored(ddt(), tmp_path)
    monkeypatch.setattr(parquet.Images, "__iter__", None)
    coco.write(tmp_path / "coco.json", findings)
    assert (tmp_path / "coco.json").read_text() == plain(ddt())


def test_a_full_disk_leaves_the_old_file(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "coco.json"
    coco.write(path, ddt())
    many = ddt(images=[image(f"cat/{number}.jpg") for number in range(2000)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            coco.write(path, many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == plain(ddt())
    assert list(tmp_path.iterdir()) == [path]
