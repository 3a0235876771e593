"""Frames of videos, which have no files of their own, are exported as images."""

import numpy as np
import pytest
from PIL import Image

from jaxloc.data.annotations import read
from jaxloc.errors import UsageError
from jaxloc.report import coco, parquet
from jaxloc.run.export import export
from tests.run.test_video import SIZE, box_of, found_in, write


@pytest.fixture
def result(tmp_path):
    """What a job leaves that looked at two clips."""
    findings = found_in(write(tmp_path / "clips/a.mp4", 4), write(tmp_path / "clips/b.mov", 3), missing=[2])
    (tmp_path / "result" / "parts").mkdir(parents=True)
    coco.write(tmp_path / "result" / "annotations.json", findings)
    parquet.write(tmp_path / "result" / "parts" / "found-00000.parquet", findings.images, [])
    return tmp_path / "result"


def shades(folder) -> dict[str, int]:
    """The grey of each image; frame N of a clip has 60 + N."""
    found = {}
    for path in sorted(folder.rglob("*.jpg")):
        with Image.open(path) as image:
            assert (image.format, image.size) == ("JPEG", SIZE)
            found[path.relative_to(folder).as_posix()] = round(float(np.asarray(image).mean()))
    return found


def test_each_frame_becomes_a_jpeg_named_by_its_clip_and_number(result, tmp_path):
    made = export(result, tmp_path / "out", "coco")
    assert (made.images, made.problems) == (7, [])
    wanted = {f"a.mp4/00000{n}.jpg": 60 + n for n in range(4)} | {f"b.mov/00000{n}.jpg": 60 + n for n in range(3)}
    found = shades(tmp_path / "out" / "images")
    assert found.keys() == wanted.keys()
    assert all(abs(found[name] - shade) <= 1 for name, shade in wanted.items())
    again = read(tmp_path / "out", images=tmp_path / "out" / "images")
    assert again.problems == []
    assert again.images["a.mp4/000003"].annotations[0].box == box_of(3)
    assert again.images["a.mp4/000002"].annotations == ()


def test_in_flat_layouts_the_clips_stay_apart(result, tmp_path):
    export(result, tmp_path / "out", "voc")
    names = [f"a.mp4_00000{n}.jpg" for n in range(4)] + [f"b.mov_00000{n}.jpg" for n in range(3)]
    assert sorted(shades(tmp_path / "out" / "JPEGImages")) == names


def test_tables_and_crops_hold_frames_as_jpegs_too(result, tmp_path):
    import pyarrow.parquet as pq

    export(result, tmp_path / "table", "parquet")
    rows = pq.read_table(tmp_path / "table" / "data").to_pylist()
    assert len(rows) == 7
    assert all(row["image"]["bytes"].startswith(b"\xff\xd8") for row in rows)
    export(result, tmp_path / "crops", "crops")
    assert len(list((tmp_path / "crops").rglob("*_1.jpg"))) == 5


def test_a_clip_that_went_away_is_named(result, tmp_path):
    (tmp_path / "clips" / "b.mov").unlink()
    with pytest.raises(UsageError, match=r"b\.mov: no such file"):
        export(result, tmp_path / "out", "coco")
